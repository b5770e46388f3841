//! Failed binds, and sent RSTs.

use super::*;
use crate::model::{
    BindFailure, BindOptions, Cgroup, DiagEntry, Endpoints, Name, OpenerFate, Owner, Reset,
    testing::{diag_entry, endpoint, owner},
};

fn failure(holders: Vec<DiagEntry>) -> BindFailure {
    BindFailure {
        at: Mono(20_000),
        cpu: 0,
        task: Some(task(500, "late")),
        cgroup: Some(Cgroup { id: 9, path: None }),
        cookie: None,
        identity: SocketIdentity::tcp(Some(1), Endpoints::unconnected(endpoint("0.0.0.0:80"))),
        errno: Errno::EADDRINUSE,
        options: BindOptions::default(),
        holders,
        is_queried: true,
        opener_fates: Vec::new(),
    }
}

/// The owner of this holder, according to the tracker.
fn holder(tracker: &mut Tracker, row: DiagEntry) -> (Option<u32>, Known) {
    let cookie = row.cookie;
    let port = row.identity.endpoints.local.port;
    let mut failure = failure(vec![row]);
    failure.identity.endpoints.local.port = port;
    let failure = tracker.bind_failed(failure);
    let row = failure.holders.into_iter().find(|row| row.cookie == cookie).unwrap();
    let owner = row.owner;
    (owner.task.as_ref().map(|task| task.pid), owner.known)
}

fn row(cookie: u64, state: State) -> DiagEntry {
    diag_entry(cookie, state, "127.0.0.1:50000", "127.0.0.1:80")
}

#[test]
fn a_live_holders_owner_comes_from_its_reports() {
    let mut tracker = tracker();
    run(&mut tracker, client(7).into_iter().take(2));
    assert_eq!(holder(&mut tracker, row(7, Established)), (Some(100), Known::Exact));
    assert_eq!(holder(&mut tracker, row(8, Established).held_by(999, "heir")), (Some(999), Known::Inferred));
}

#[test]
fn another_process_than_the_opener_may_have_the_descriptor() {
    let mut tracker = tracker();
    run(&mut tracker, client(7).into_iter().take(2));
    let mut after = |pid, comm, fates| {
        let row = DiagEntry { inode: Some(5), ..row(7, Established).held_by(pid, comm) };
        let mut failure = failure(vec![row]);
        failure.identity.endpoints.local = endpoint("127.0.0.1:50000");
        let openers = tracker.openers(&failure);
        failure.opener_fates = fates;
        let row = tracker.bind_failed(failure).holders.remove(0);
        let opener = row.opener.map(|opener| (opener.owner.task.as_ref().map(|task| task.pid), opener.fate));
        (openers, row.owner.task.as_ref().map(|task| task.pid), opener)
    };
    let exited = Some(OpenerFate::Exited);
    assert_eq!(after(100, "client", vec![]), (vec![], Some(100), None));
    assert_eq!(
        after(999, "heir", vec![(7, OpenerFate::Exited)]),
        (vec![(7, 100, 5)], Some(999), Some((Some(100), exited)))
    );
    assert_eq!(after(999, "heir", vec![]).2, Some((Some(100), None)), "where it was not queried");
    // exec(2) under one process id.
    assert_eq!(after(100, "other", vec![]), (vec![], Some(100), Some((Some(100), None))));
}

#[test]
fn a_holder_that_closed_before_the_query_comes_from_its_reports() {
    let mut tracker = tracker();
    let listens = report(Close, Listen).of(7).between("0.0.0.0:80", "0.0.0.0:0");
    run(&mut tracker, [listens.clone()]);
    let holders = tracker.bind_failed(failure(Vec::new())).holders;
    assert_eq!(holders.len(), 1);
    assert_eq!((holders[0].cookie, holders[0].state), (7, Listen));
    // sock_diag lists a later state than at the failure.
    let later = diag_entry(7, TimeWait, "0.0.0.0:80", "0.0.0.0:0");
    assert_eq!(tracker.bind_failed(failure(vec![later])).holders[0].state, Listen);
    let mut elsewhere = failure(Vec::new());
    elsewhere.identity.netns = Some(2);
    assert_eq!(tracker.bind_failed(elsewhere).holders, []);
    run(&mut tracker, [Report { old: Listen, new: Close, ..listens }]);
    assert_eq!(tracker.bind_failed(failure(Vec::new())).holders, []);
}

#[test]
fn a_pre_existing_holders_owner_comes_from_the_snapshot() {
    let mut tracker = tracker();
    let existing = [row(5, Established).held_by(300, "daemon"), row(6, TimeWait).held_by(301, "gone")];
    tracker.existing(Mono(1), &existing);
    assert_eq!(holder(&mut tracker, row(5, Established)), (Some(300), Known::Inferred));
    assert_eq!(holder(&mut tracker, row(6, TimeWait)), (Some(301), Known::Inferred));
}

#[test]
fn a_time_waits_owner_is_its_connections() {
    let mut tracker = tracker();
    run(&mut tracker, client(7));
    // More closed sockets than the tracker keeps.
    (100..100 + MAX_CLOSED as u64).for_each(|cookie| {
        run(&mut tracker, [report(Established, Close).of(cookie).shut(3)]);
    });
    assert!(!tracker.sockets.contains_key(&7));
    assert_eq!(holder(&mut tracker, row(7, TimeWait)), (Some(100), Known::Exact));
    assert_eq!(holder(&mut tracker, row(99_999, TimeWait)), (None, Known::Unknown), "another's cookie");
}

/// A socket without a cookie passes none on to its mini-socket.
#[test]
fn without_a_cookie_a_time_wait_is_found_by_its_endpoints() {
    let mut tracker = tracker();
    let nameless = |report| Report { socket: 0xffff_8880_0000_0000, cookie: None, ..report };
    run(&mut tracker, client(7).into_iter().map(nameless));
    assert_eq!(holder(&mut tracker, row(4711, TimeWait)), (Some(100), Known::Exact));
    let elsewhere = row(4711, TimeWait).in_netns(2);
    assert_eq!(holder(&mut tracker, elsewhere), (None, Known::Unknown));
}

#[test]
fn a_connection_that_was_reset_or_closed_second_leaves_no_time_wait() {
    let mut tracker = tracker();
    run(&mut tracker, [report(FinWait2, Close).of(1).failed(Errno::ECONNRESET)]);
    run(&mut tracker, [report(LastAck, Close).of(2).shut(3).fin()]);
    run(
        &mut tracker,
        [report(Established, FinWait1).of(3).shut(3), report(FinWait2, Close).of(3).shut(3).fin()],
    );
    // As if all three had been evicted.
    tracker.sockets.clear();
    let pids: Vec<_> = (1..4)
        .map(|cookie| diag_entry(cookie, TimeWait, "127.0.0.1:1", "127.0.0.1:2"))
        .map(|row| holder(&mut tracker, row).0)
        .collect();
    assert_eq!(pids, [None, None, Some(100)]);
}

#[test]
fn callers_and_holders_have_their_cgroup_paths() {
    let mut tracker = tracker();
    tracker.cgroup(&Cgroup { id: 9, path: Some(Name::from_bytes(b"/a")) });
    let unreported = DiagEntry { owner: owner(999, "heir", Known::Inferred).into(), ..row(8, Established) };
    let failure = tracker.bind_failed(failure(vec![unreported]));
    let path = |cgroup: &Option<Cgroup>| Some(cgroup.as_ref()?.path.as_ref()?.to_text().into_owned());
    assert_eq!(path(&failure.cgroup).as_deref(), Some("/a"));
    assert_eq!(path(&failure.holders[0].owner.cgroup).as_deref(), Some("/a"));
}

fn reset(cookie: u64) -> Reset {
    Reset {
        at: Mono(30_000),
        cpu: 0,
        socket: SocketId { number: cookie, generation: 0 },
        identity: SocketIdentity::tcp(Some(1), endpoints("127.0.0.1:0", "127.0.0.1:0")),
        state: Close,
        reason: Some("TCP_ABORT_ON_CLOSE".to_owned()),
        owner: Owner::UNKNOWN,
    }
}

#[test]
fn an_rst_has_its_connections_generation_owner_and_endpoints() {
    let mut tracker = tracker();
    tracker.existing(Mono(1), &[row(5, Established).held_by(300, "daemon")]);
    run(&mut tracker, client(7));
    let known = |reset: &Reset| (reset.socket.generation, reset.owner.task.as_ref().map(|task| task.pid));
    let [closed, existing, unknown] = [7, 5, 8].map(|cookie| tracker.reset(reset(cookie)));
    assert_eq!(known(&closed), (1, Some(100)));
    assert_eq!(known(&existing), (0, Some(300)));
    assert_eq!(
        closed.identity.endpoints,
        endpoints("127.0.0.1:50000", "127.0.0.1:80"),
        "the kernel cleared them"
    );
    assert_eq!(existing.identity.endpoints, closed.identity.endpoints);
    assert_eq!(unknown, reset(8));
}
