//! Connections from summaries.

use probe_ebpf::StackFunction;

use super::*;
use crate::model::{Owner, Summary, testing::diag_entry};

/// The summary that the kernel side makes of these reports.
fn summary(reports: &[Report]) -> Summary {
    let (first, last) = (&reports[0], &reports[reports.len() - 1]);
    let known = reports
        .iter()
        .fold(first.identity.endpoints, |earlier, report| report.identity.endpoints.or_earlier(earlier));
    Summary {
        end: Report {
            opened: first.opened.clone(),
            identity: SocketIdentity { endpoints: known, ..last.identity },
            ..last.clone()
        },
        opened: (first.opened.is_some()).then_some(first.at),
        established: reports.iter().find(|report| report.new == Established).map(|report| report.at),
        first_port: first.identity.endpoints.local.port,
        path: [first.old].into_iter().chain(reports.iter().map(|report| report.new)).collect(),
        path_is_complete: true,
    }
}

/// The connection of these reports.
fn from_reports(reports: &[Report]) -> Connection {
    *run(&mut tracker(), reports.iter().cloned()).pop().and_then(|last| last.ended).expect("it ended")
}

fn opened(report: Report) -> Report {
    report.opened_by(task(100, "client"), Known::Exact, 1)
}

#[test]
fn a_summary_gives_the_connection_of_its_reports() {
    let (one, other) = ("10.0.0.1:1314", "10.0.0.2:1314");
    let crossed = |remote: &str| {
        vec![
            opened(report(Close, SynSent)).between(one, remote),
            report(SynSent, SynRecv).between(one, remote),
            report(SynRecv, Established).between(one, remote),
            report(Established, Close).between(one, remote).failed(Errno::ECONNRESET),
        ]
    };
    let accepted = vec![
        child(2, 200),
        report(SynRecv, Established).of(2),
        report(Established, CloseWait).of(2).shut(1),
        report(CloseWait, LastAck).of(2).shut(3).in_call(CLOSE),
        report(LastAck, Close).of(2).shut(3).fin(),
    ];
    // The kernel side reports the final owner: the worker that closed it.
    let accepted = accepted.into_iter().map(|report| report.on(task(200, "server"))).collect();
    let refused = vec![
        opened(report(Close, SynSent)).between("127.0.0.1:0", "127.0.0.1:80"),
        report(SynSent, Close).counted(1, 1).failed(Errno::ECONNREFUSED),
    ];
    let taken = vec![
        opened(report(Close, SynSent)),
        report(SynSent, Close).counted(0, 0).on_stack(&[StackFunction::TcpV4Connect]),
    ];
    for (reports, open, cause) in [
        (client(7), Open::Active, Cause::FinReceived),
        (crossed(other), Open::Simultaneous, Cause::RstReceived(Errno::ECONNRESET)),
        (crossed(one), Open::SelfConnect, Cause::RstReceived(Errno::ECONNRESET)),
        (accepted, Open::Passive, Cause::AckOfFinReceived),
        (refused, Open::Active, Cause::RstReceived(Errno::ECONNREFUSED)),
        (taken, Open::Active, Cause::TupleInUse),
    ] {
        let connection = tracker().summarize(&mut summary(&reports));
        assert_eq!(connection.open, open);
        let close = connection.close.as_ref().expect("it ended");
        assert_eq!(close.cause, Some(cause));
        let mut expected = from_reports(&reports);
        // An earlier report made the owner exact; a summary has only the final one.
        let Owner { cgroup, known, .. } = (*connection.owner).clone();
        expected.owner = Owner { cgroup, known, ..(*expected.owner).clone() }.into();
        assert_eq!(connection, expected);
    }
}

proptest! {
    /// A summary and its reports give equal connections.
    #[test]
    fn any_summary_gives_the_connection_of_its_reports(walk in walk(), port in 0..3_u16) {
        let opens = |edge: &(State, State)| matches!(edge, (Close, SynSent) | (Listen, SynRecv));
        let opening = walk.iter().position(opens);
        prop_assume!(opening.is_some());
        let walk = walk.into_iter().skip(opening.unwrap_or_default());
        let mut walk: Vec<_> = walk.take_while(|edge| edge.1 != Close).collect();
        // Every state has an edge to CLOSE.
        walk.push((walk[walk.len() - 1].1, Close));
        let mut reports: Vec<Report> = walk.iter().map(|edge| report(edge.0, edge.1)).collect();
        let first = format!("127.0.0.1:{port}");
        reports[0] = opened(reports[0].clone()).between(&first, "127.0.0.1:1");
        for report in &mut reports[1..] {
            *report = report.clone().between("127.0.0.1:1", "127.0.0.1:1").counted(u32::from(port), 1);
        }
        prop_assert_eq!(tracker().summarize(&mut summary(&reports)), from_reports(&reports));
    }
}

#[test]
fn a_pre_existing_sockets_owner_comes_from_the_snapshot() {
    let mut tracker = tracker();
    let rows = [5, 6].map(|cookie| diag_entry(cookie, Established, "127.0.0.1:50000", "127.0.0.1:80"));
    tracker.existing(Mono(1), &rows.map(|row| row.held_by(300, "daemon")));
    let reports = |cookie| {
        [
            report(Established, CloseWait).of(cookie).shut(1),
            report(CloseWait, Close).of(cookie).between("127.0.0.1:0", "127.0.0.1:0").failed(Errno::EPIPE),
        ]
    };
    let connection = tracker.summarize(&mut summary(&reports(5)));
    assert_eq!((connection.open, connection.opened, connection.complete), (Open::Preexisting, None, false));
    assert_eq!(connection.owner.task, Some(task(300, "daemon")));
    assert_eq!(connection.owner.known, Known::Inferred);
    assert_eq!(connection.identity.endpoints, endpoints("127.0.0.1:50000", "127.0.0.1:80"));
    assert_eq!(tracker.preexisting.len(), 1);
    // The process that closes it has it.
    let mut closed = reports(6);
    closed[1] = report(CloseWait, Close).of(6).shut(3).in_call(CLOSE).on(task(301, "worker"));
    let owner = tracker.summarize(&mut summary(&closed)).owner;
    assert_eq!((&owner.task, owner.known), (&Some(task(301, "worker")), Known::Exact));
}

#[test]
fn a_child_of_a_pre_existing_listener_has_its_owner() {
    let mut tracker = tracker();
    let row = diag_entry(1, Listen, "0.0.0.0:80", "0.0.0.0:0").held_by(200, "server");
    tracker.existing(Mono(1), &[row]);
    let mut summary = summary(&[child(2, 0), report(SynRecv, Close).of(2).failed(Errno::ECONNRESET)]);
    summary.end = summary.end.between("127.0.0.1:80", "127.0.0.1:50000");
    let opened = summary.end.opened.as_mut().expect("it was");
    (opened.owner, opened.known) = (None, Known::Unknown);
    let owner = tracker.summarize(&mut summary).owner;
    assert_eq!((&owner.task, owner.known), (&Some(task(200, "server")), Known::Listener));
}

#[test]
fn only_an_incomplete_path_makes_a_connection_incomplete() {
    let mut tracker = tracker();
    tracker.lost();
    let mut summary = summary(&client(7));
    let mut cut = Summary { path_is_complete: false, ..summary.clone() };
    assert!(tracker.summarize(&mut summary).complete, "the lost reports are of other sockets");
    assert!(!tracker.summarize(&mut cut).complete);
}

#[test]
fn an_accepted_mptcp_socket_has_no_handshake() {
    let mptcp = |report: Report| report.with_protocol(Protocol::Mptcp);
    let accepted = child(2, 200);
    let reports = [Report { new: Established, ..accepted }, report(Established, Close).of(2)].map(mptcp);
    let connection = tracker().summarize(&mut summary(&reports));
    assert_eq!((connection.open, connection.path), (Open::Passive, [Listen, Established, Close].into()));
}

#[test]
fn the_time_wait_of_a_summary_has_an_owner() {
    let mut tracker = tracker();
    let connection = tracker.summarize(&mut summary(&client(7)));
    let row = diag_entry(7, TimeWait, "127.0.0.1:50000", "127.0.0.1:80");
    assert_eq!(tracker.time_wait_owners.find(&row).map(|left| &left.owner), Some(&connection.owner));
}
