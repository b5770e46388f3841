//! Binds that failed, and resets that were sent.

use super::*;
use crate::model::{
    BindFailure, Cgroup, DiagEntry, Family, Name, Owner, Reset,
    testing::{endpoint, listed, owner},
};

fn failure(holders: Vec<DiagEntry>) -> BindFailure {
    BindFailure {
        at: Mono(20_000),
        cpu: 0,
        task: Some(task(500, "late")),
        cgroup: Some(Cgroup { id: 9, path: None }),
        cookie: None,
        netns: Some(1),
        protocol: Protocol::Tcp,
        family: Family::Ipv4,
        local: endpoint("0.0.0.0:80"),
        errno: Errno::EADDRINUSE,
        holders,
    }
}

/// Whose the one holder is by what the tracker knows.
fn holder(tracker: &mut Tracker, row: DiagEntry) -> (Option<u32>, Known) {
    let cookie = row.cookie;
    let failure = tracker.bind_failed(failure(vec![row]));
    let row = failure.holders.into_iter().find(|row| row.cookie == cookie).unwrap();
    let owner = row.owner;
    (owner.task.as_ref().map(|task| task.pid), owner.known)
}

fn row(cookie: u64, state: State) -> DiagEntry {
    listed(cookie, state, "127.0.0.1:50000", "127.0.0.1:80")
}

#[test]
fn a_live_holder_is_known_by_its_reports() {
    let mut tracker = tracker();
    run(&mut tracker, client(7).into_iter().take(2));
    assert_eq!(holder(&mut tracker, row(7, Established).held_by(999, "heir")), (Some(100), Known::Exact));
    assert_eq!(holder(&mut tracker, row(8, Established).held_by(999, "heir")), (Some(999), Known::Inferred));
}

#[test]
fn a_holder_that_is_gone_when_it_is_asked_for_is_known_by_its_reports() {
    let mut tracker = tracker();
    let listens = report(Close, Listen).of(7).between("0.0.0.0:80", "0.0.0.0:0");
    run(&mut tracker, [listens.clone()]);
    let holders = tracker.bind_failed(failure(Vec::new())).holders;
    assert_eq!(holders.len(), 1);
    assert_eq!((holders[0].cookie, holders[0].state), (7, Listen));
    // It was asked for later than it failed.
    let later = listed(7, TimeWait, "0.0.0.0:80", "0.0.0.0:0");
    assert_eq!(tracker.bind_failed(failure(vec![later])).holders[0].state, Listen);
    let elsewhere = BindFailure { netns: Some(2), ..failure(Vec::new()) };
    assert_eq!(tracker.bind_failed(elsewhere).holders, []);
    run(&mut tracker, [Report { old: Listen, new: Close, ..listens }]);
    assert_eq!(tracker.bind_failed(failure(Vec::new())).holders, []);
}

#[test]
fn a_holder_from_the_snapshot_is_whose_it_was_then() {
    let mut tracker = tracker();
    let there = [row(5, Established).held_by(300, "daemon"), row(6, TimeWait).held_by(301, "gone")];
    tracker.existing(Mono(1), &there);
    assert_eq!(holder(&mut tracker, row(5, Established)), (Some(300), Known::Inferred));
    assert_eq!(holder(&mut tracker, row(6, TimeWait)), (Some(301), Known::Inferred));
}

#[test]
fn a_time_wait_is_whose_the_connection_was() {
    let mut tracker = tracker();
    run(&mut tracker, client(7));
    // More closed sockets than are remembered in full.
    (100..100 + CLOSED as u64).for_each(|cookie| {
        run(&mut tracker, [report(Established, Close).of(cookie).shut(3)]);
    });
    assert!(!tracker.lives.contains_key(&7));
    assert_eq!(holder(&mut tracker, row(7, TimeWait)), (Some(100), Known::Exact));
    assert_eq!(holder(&mut tracker, row(99_999, TimeWait)), (None, Known::Unknown), "another's cookie");
}

/// A socket whose cookie nobody had asked for gives none to its mini-socket.
#[test]
fn without_a_cookie_the_ends_tell() {
    let mut tracker = tracker();
    let nameless = |report| Report { socket: 0xffff_8880_0000_0000, cookie: None, ..report };
    run(&mut tracker, client(7).into_iter().map(nameless));
    assert_eq!(holder(&mut tracker, row(4711, TimeWait)), (Some(100), Known::Exact));
    let elsewhere = DiagEntry { netns: 2, ..row(4711, TimeWait) };
    assert_eq!(holder(&mut tracker, elsewhere), (None, Known::Unknown));
}

#[test]
fn a_connection_that_was_reset_or_closed_second_leaves_nothing() {
    let mut tracker = tracker();
    run(&mut tracker, [report(FinWait2, Close).of(1).failed(Errno::ECONNRESET)]);
    run(&mut tracker, [report(LastAck, Close).of(2).shut(3).fin()]);
    run(
        &mut tracker,
        [report(Established, FinWait1).of(3).shut(3), report(FinWait2, Close).of(3).shut(3).fin()],
    );
    // As if all three were long closed.
    tracker.lives.clear();
    let pids: Vec<_> = (1..4)
        .map(|cookie| listed(cookie, TimeWait, "127.0.0.1:1", "127.0.0.1:2"))
        .map(|row| holder(&mut tracker, row).0)
        .collect();
    assert_eq!(pids, [None, None, Some(100)]);
}

#[test]
fn a_half_open_connection_is_its_listeners() {
    let mut tracker = tracker();
    tracker.observe(&listener(1, 200));
    let request = listed(9, SynRecv, "127.0.0.1:80", "127.0.0.1:50000");
    assert_eq!(holder(&mut tracker, request), (Some(200), Known::Listener));
}

#[test]
fn callers_and_holders_have_their_cgroups_paths() {
    let mut tracker = tracker();
    tracker.cgroup(&Cgroup { id: 9, path: Some(Name::from_bytes(b"/a")) });
    let unheard_of = DiagEntry { owner: owner(999, "heir", Known::Inferred).into(), ..row(8, Established) };
    let failure = tracker.bind_failed(failure(vec![unheard_of]));
    let path = |cgroup: &Option<Cgroup>| Some(cgroup.as_ref()?.path.as_ref()?.to_text().into_owned());
    assert_eq!(path(&failure.cgroup).as_deref(), Some("/a"));
    assert_eq!(path(&failure.holders[0].owner.cgroup).as_deref(), Some("/a"));
}

fn reset(cookie: u64) -> Reset {
    Reset {
        at: Mono(30_000),
        cpu: 0,
        socket: SocketId { number: cookie, generation: 0 },
        netns: Some(1),
        family: Family::Ipv4,
        ends: ends("127.0.0.1:0", "127.0.0.1:0"),
        state: Close,
        reason: Some("TCP_ABORT_ON_CLOSE".to_owned()),
        owner: Owner::UNKNOWN,
    }
}

#[test]
fn a_reset_is_its_connections() {
    let mut tracker = tracker();
    tracker.existing(Mono(1), &[row(5, Established).held_by(300, "daemon")]);
    run(&mut tracker, client(7));
    let known = |reset: &Reset| (reset.socket.generation, reset.owner.task.as_ref().map(|task| task.pid));
    let [closed, older, stranger] = [7, 5, 8].map(|cookie| tracker.reset(reset(cookie)));
    assert_eq!(known(&closed), (1, Some(100)));
    assert_eq!(known(&older), (0, Some(300)));
    assert_eq!(closed.ends, ends("127.0.0.1:50000", "127.0.0.1:80"), "ends that were cleared");
    assert_eq!(older.ends, closed.ends);
    assert_eq!(stranger, reset(8));
}
