//! Pre-existing sockets.

use super::*;
use crate::model::{
    Cgroup, DiagEntry, Name, Owner,
    testing::{diag_entry, owner},
};

const AT: Mono = Mono(10_000);

/// A connection of process 300, in this state in the snapshot.
fn existing(cookie: u64, state: State) -> DiagEntry {
    diag_entry(cookie, state, "127.0.0.1:50000", "127.0.0.1:80").held_by(300, "daemon")
}

fn listening(cookie: u64, pid: u32) -> DiagEntry {
    diag_entry(cookie, Listen, "0.0.0.0:80", "0.0.0.0:0").held_by(pid, "server")
}

fn tracker_after(rows: &[DiagEntry]) -> Tracker {
    let mut tracker = tracker();
    tracker.existing(AT, rows);
    tracker
}

/// A child as the kernel side reports it where the listener is pre-existing.
fn child_of_unknown(cookie: u64) -> Report {
    let mut child = child(cookie, 0);
    let opened = child.opened.as_mut().expect("a child is opened");
    (opened.owner, opened.known, opened.cgroup) = (None, Known::Unknown, None);
    child
}

#[test]
fn the_snapshot_gives_the_owner_until_a_call_does() {
    let mut tracker = tracker_after(&[existing(5, Established)]);
    let tracked = run(
        &mut tracker,
        [
            report(Established, CloseWait).of(5).at(20_000).shut(1).on(task(999, "other")),
            report(CloseWait, LastAck).of(5).at(30_000).shut(3).in_call(CLOSE).on(task(301, "worker")),
            report(LastAck, Close).of(5).at(40_000).shut(3).fin().between("127.0.0.1:0", "127.0.0.1:0"),
        ],
    );
    assert_eq!(pid(&tracked[0]), (Some(300), Known::Inferred), "not the task on the CPU");
    assert_eq!(pid(&tracked[1]), (Some(301), Known::Exact), "the caller has it");
    assert_eq!((tracked[0].previous, tracked[0].transition.state_duration), (None, None));
    assert_eq!(tracked[0].transition.socket, SocketId { number: 5, generation: 0 });
    assert_eq!(tracked[1].previous, Some(CloseWait));
    let connection = tracked[2].ended.as_ref().expect("it ended");
    assert_eq!((connection.open, connection.opened, connection.complete), (Open::Preexisting, None, false));
    assert_eq!(connection.path, [Established, CloseWait, LastAck, Close].into());
    assert_eq!(connection.identity.endpoints, endpoints("127.0.0.1:50000", "127.0.0.1:80"));
}

#[test]
fn endpoints_that_are_cleared_at_the_first_report_come_from_the_snapshot() {
    let mut tracker = tracker_after(&[existing(5, Established)]);
    let end = report(Established, Close).of(5).between("127.0.0.1:0", "127.0.0.1:0").shut(3);
    let tracked = tracker.observe(&end);
    assert_eq!(tracked.transition.identity.endpoints, endpoints("127.0.0.1:50000", "127.0.0.1:80"));
    assert_eq!(tracked.ended.expect("it ended").identity.endpoints, tracked.transition.identity.endpoints);
}

/// The programs are attached before the snapshot: transitions in between are reported after it.
#[test]
fn reports_older_than_the_snapshot_are_used_in_order() {
    let mut tracker = tracker_after(&[existing(5, LastAck)]);
    let tracked = run(
        &mut tracker,
        [
            report(Established, CloseWait).of(5).at(8_000).shut(1),
            report(CloseWait, LastAck).of(5).at(9_000).shut(3),
            report(LastAck, Close).of(5).at(20_000).shut(3).fin(),
        ],
    );
    let previous: Vec<_> = tracked.iter().map(|tracked| tracked.previous).collect();
    assert_eq!(previous, [None, Some(CloseWait), Some(LastAck)]);
    let durations: Vec<_> = tracked.iter().map(nanoseconds).collect();
    assert_eq!(durations, [None, Some(1_000), Some(11_000)]);
}

#[test]
fn a_socket_opened_before_the_snapshot_is_newly_opened() {
    for (shown, reports) in [(FinWait1, client(7)), (Established, vec![child(7, 200)])] {
        let tracked = run(&mut tracker_after(&[existing(7, shown)]), reports.clone());
        assert_eq!(tracked, run(&mut tracker(), reports));
    }
    let mut tracker = tracker_after(&[DiagEntry { cookie: 1, ..listening(1, 999) }]);
    tracker.observe(&listener(1, 200));
    assert_eq!(pid(&tracker.observe(&child_of_unknown(2))), (Some(200), Known::Listener));
}

#[test]
fn a_pre_existing_listener_gives_its_children_their_owner() {
    let mut tracker = tracker_after(&[listening(1, 200)]);
    let tracked = run(
        &mut tracker,
        [
            child_of_unknown(2),
            report(SynRecv, Established).of(2),
            report(Listen, Close).of(1).between("0.0.0.0:80", "0.0.0.0:0").shut(3).in_call(CLOSE),
            child_of_unknown(3),
        ],
    );
    assert_eq!(pid(&tracked[0]), (Some(200), Known::Listener));
    assert_eq!(open(&tracker, tracked[1].transition.socket), Some(Open::Passive));
    assert!(tracked[2].ended.is_none(), "a listener is no connection");
    assert_eq!(pid(&tracked[3]), (None, Known::Unknown), "the listener is closed");
}

/// Linux 6.1 and 6.12.
#[test]
fn a_child_under_a_pre_existing_listeners_cookie_leaves_the_listener_tracked() {
    let mut tracker = tracker_after(&[listening(1, 200)]);
    let tracked = run(
        &mut tracker,
        [
            child_of_unknown(1).at(5_000).between("0.0.0.0:80", "0.0.0.0:0"),
            report(SynRecv, Established).of(2).at(6_000).between("127.0.0.1:80", "127.0.0.1:50000"),
            report(Listen, Close).of(1).shut(3).in_call(CLOSE).on(task(200, "server")),
        ],
    );
    assert_eq!(pid(&tracked[1]), (Some(200), Known::Listener));
    assert_eq!(nanoseconds(&tracked[1]), Some(1_000));
    assert_eq!((pid(&tracked[2]), tracked[2].previous), ((Some(200), Known::Exact), None));
}

#[test]
fn on_the_classic_tracepoint_the_cookie_finds_the_snapshots_entry() {
    let classic = |report: Report| Report { socket: 0xffff_8880_0000_0000 + report.socket, ..report };
    let mut tracker = tracker_after(&[existing(5, Established), listening(1, 200)]);
    let tracked = run(
        &mut tracker,
        [
            classic(report(Established, CloseWait).of(5).on(task(999, "other"))),
            classic(Report { cookie: None, ..child_of_unknown(2) }),
            classic(
                report(Listen, Close)
                    .of(1)
                    .between("0.0.0.0:80", "0.0.0.0:0")
                    .shut(3)
                    .on(task(200, "server")),
            ),
            classic(Report { cookie: None, ..child_of_unknown(3) }),
        ],
    );
    assert_eq!(pid(&tracked[0]), (Some(300), Known::Inferred));
    assert_eq!(pid(&tracked[1]), (Some(200), Known::Listener));
    assert_eq!(pid(&tracked[2]), (Some(200), Known::Exact));
    assert_eq!(pid(&tracked[3]), (None, Known::Unknown));
}

#[test]
fn reports_override_a_late_snapshot() {
    let mut tracker = tracker();
    tracker.observe(&listener(1, 200));
    tracker.existing(AT, &[listening(1, 999)]);
    assert_eq!(
        (pid(&tracker.observe(&child_of_unknown(2))), tracker.preexisting.len()),
        ((Some(200), Known::Listener), 0)
    );
}

#[test]
fn without_an_owner_in_proc_the_task_of_a_call_is_inferred() {
    let row = DiagEntry { owner: Owner::unknown(), ..existing(5, Established) };
    let mut tracker = tracker_after(&[row]);
    let by_a_segment = tracker.observe(&report(FinWait1, FinWait2).of(5).on(task(999, "other")));
    assert_eq!(pid(&by_a_segment), (None, Known::Unknown));
    // Closed with data unread.
    let by_a_call = tracker.observe(&report(FinWait2, Close).of(5));
    assert_eq!(pid(&by_a_call), (Some(100), Known::Inferred));
}

#[test]
fn an_owner_has_its_cgroup_path() {
    let slice = Cgroup { id: 9, path: Some(Name::from_bytes(b"/system.slice/a.service")) };
    let mut tracker = tracker();
    tracker.cgroup(&slice);
    tracker.existing(
        AT,
        &[DiagEntry { owner: owner(300, "daemon", Known::Inferred).into(), ..existing(5, Established) }],
    );
    let old = tracker.observe(&report(Established, CloseWait).of(5));
    let new = run(&mut tracker, client(7)).pop().expect("it ends");
    assert_eq!(old.transition.owner.cgroup.as_ref(), Some(&slice));
    assert_eq!(new.transition.owner.cgroup.as_ref(), Some(&slice));
    assert_eq!(new.ended.and_then(|connection| connection.owner.cgroup.clone()), Some(slice));
}

#[test]
fn mini_sockets_and_request_sockets_are_not_tracked() {
    let mini = DiagEntry { expires: Some(std::time::Duration::from_secs(1)), ..existing(3, FinWait2) };
    let tracker = tracker_after(&[existing(1, TimeWait), existing(2, SynRecv), mini, existing(4, FinWait2)]);
    assert_eq!(tracker.preexisting.len(), 1);
}

#[test]
fn memory_is_bounded() {
    let rows: Vec<_> = (0..2 * MAX as u64).map(|cookie| existing(cookie, Established)).collect();
    let mut tracker = tracker_after(&rows);
    tracker.existing(AT, &[listening(1, 200)]);
    assert_eq!(tracker.preexisting.len(), MAX);
    tracker.lost();
    run(&mut tracker, client(9_999_999));
    assert_eq!(tracker.preexisting.len(), 0, "they may have ended without a report");
}

proptest! {
    /// Whatever the snapshot lists, and however late reports arrive, no previous state contradicts a report.
    #[test]
    fn no_snapshot_contradicts_the_reports(walk in walk(), shown in select(State::ALL.to_vec()), at in 0..40_000_u64) {
        // A child under its listener's cookie is not the listener.
        prop_assume!(shown != Listen || walk[0].0 != Listen);
        let mut tracker = tracker();
        tracker.existing(Mono(at), &[existing(7, shown)]);
        for (index, edge) in walk.iter().enumerate() {
            let now = 1_000 * (index as u64 + 1);
            let tracked = tracker.observe(&report(edge.0, edge.1).of(7).at(now));
            prop_assert!(tracked.previous.is_none_or(|previous| previous == edge.0));
            prop_assert_eq!(tracked.previous.is_some(), index > 0);
            prop_assert_eq!(nanoseconds(&tracked), (index > 0).then_some(1_000));
        }
        prop_assert_eq!(tracker.preexisting.len(), 0);
    }
}
