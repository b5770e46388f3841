//! What the tracker derives from reports.

mod events;
mod identity;
mod preexisting;
mod summary;

use State::*;
use proptest::{collection, prelude::*, sample::select};

use super::{
    preexisting::MAX,
    testing::report,
    tracker::{MAX_CLOSED, opening},
    *,
};
use crate::model::{
    Cause, Connection, Endpoint, Errno, Known, Mono, Open, Protocol, Report, SocketId, SocketIdentity, State,
    is_legal,
    testing::{endpoints, host, task},
};

const CLOSE: u32 = 3;

fn tracker() -> Tracker {
    Tracker::new(&host())
}

/// Feeds the reports, and returns what the tracker made of each.
fn run(tracker: &mut Tracker, reports: impl IntoIterator<Item = Report>) -> Vec<Tracked> {
    reports.into_iter().map(|report| tracker.observe(&report)).collect()
}

fn pid(tracked: &Tracked) -> (Option<u32>, Known) {
    let owner = &tracked.transition.owner;
    (owner.task.as_ref().map(|task| task.pid), owner.known)
}

/// How a socket's connection opened.
fn open(tracker: &Tracker, socket: SocketId) -> Option<Open> {
    tracker.history(socket)?.0
}

/// The `seq` of each transition of a socket's connection.
fn seqs(tracker: &Tracker, socket: SocketId) -> Vec<u64> {
    tracker.history(socket).map(|(_, history)| history.seqs()).unwrap_or_default()
}

/// The text of the cause.
fn detail(cause: Option<Cause>) -> &'static str {
    cause.map_or("unknown", Cause::detail)
}

/// The time in the old state, in nanoseconds.
fn nanoseconds(tracked: &Tracked) -> Option<u128> {
    tracked.transition.state_duration.map(|duration| duration.as_nanos())
}

/// A client's connection from connect to close, in process 100.
fn client(cookie: u64) -> Vec<Report> {
    vec![
        report(Close, SynSent).of(cookie).at(1_000).between("127.0.0.1:0", "127.0.0.1:80").opened_by(
            task(100, "client"),
            Known::Exact,
            1,
        ),
        report(SynSent, Established).of(cookie).at(3_000),
        report(Established, FinWait1).of(cookie).at(10_000).shut(3).in_call(CLOSE),
        report(FinWait1, FinWait2).of(cookie).at(12_000).shut(3).orphaned().on(task(999, "other")),
        report(FinWait2, Close)
            .of(cookie)
            .at(15_000)
            .shut(3)
            .fin()
            .orphaned()
            .between("127.0.0.1:0", "127.0.0.1:0")
            .counted(6, 5),
    ]
}

fn listener(cookie: u64, pid: u32) -> Report {
    report(Close, Listen).of(cookie).between("0.0.0.0:80", "0.0.0.0:0").opened_by(
        task(pid, "server"),
        Known::Exact,
        1,
    )
}

/// A child as the kernel side reports it where it knows the listener's owner.
fn child(cookie: u64, pid: u32) -> Report {
    report(Listen, SynRecv)
        .of(cookie)
        .between("127.0.0.1:80", "127.0.0.1:50000")
        .on(task(100, "client"))
        .opened_by(task(pid, "server"), Known::Listener, 1)
}

#[test]
fn a_connection_has_its_transitions_times_owner_and_path() {
    let mut tracker = tracker();
    let tracked = run(&mut tracker, client(7));
    let numbers: Vec<u64> = tracked.iter().map(|tracked| tracked.transition.seq).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    let durations: Vec<_> = tracked.iter().map(nanoseconds).collect();
    assert_eq!(durations, [None, Some(2_000), Some(7_000), Some(2_000), Some(3_000)]);
    let previous: Vec<_> = tracked.iter().map(|tracked| tracked.previous).collect();
    assert_eq!(previous, [None, Some(SynSent), Some(Established), Some(FinWait1), Some(FinWait2)]);
    assert!(tracked.iter().all(|tracked| pid(tracked) == (Some(100), Known::Exact)));

    let last = &tracked[4];
    assert_eq!(
        last.transition.identity.endpoints,
        endpoints("127.0.0.1:50000", "127.0.0.1:80"),
        "ends that were cleared"
    );
    assert_eq!(last.transition.segs_out, Some(6));
    let connection = last.ended.as_ref().expect("it ended");
    assert_eq!(connection.path, [Close, SynSent, Established, FinWait1, FinWait2, Close].into());
    assert_eq!((connection.open, connection.complete), (Open::Active, true));
    assert_eq!((connection.opened, connection.established), (Some(Mono(1_000)), Some(Mono(3_000))));
    let close = connection.close.as_ref().expect("it ended");
    assert_eq!((close.at, detail(close.cause)), (Mono(15_000), "FIN received"));
    assert_eq!(connection.identity.endpoints, endpoints("127.0.0.1:50000", "127.0.0.1:80"));
    assert_eq!(seqs(&tracker, connection.socket), [1, 2, 3, 4, 5]);
    assert!(tracked[..4].iter().all(|tracked| tracked.ended.is_none()));
}

#[test]
fn a_childs_owner_is_the_listeners_until_a_process_closes_it() {
    let mut tracker = tracker();
    let tracked = run(
        &mut tracker,
        [
            listener(1, 200),
            child(2, 200),
            report(SynRecv, Established).of(2),
            report(Established, FinWait1).of(2).shut(3).in_call(CLOSE).on(task(201, "worker")),
            report(FinWait1, FinWait2).of(2).shut(3),
        ],
    );
    let owners: Vec<_> = tracked.iter().map(pid).collect();
    let (listener, worker) = ((Some(200), Known::Listener), (Some(201), Known::Exact));
    assert_eq!(owners, [(Some(200), Known::Exact), listener, listener, worker, worker]);
    let socket = tracked[4].transition.socket;
    assert_eq!(open(&tracker, socket), Some(Open::Passive));
}

#[test]
fn a_kernel_worker_is_no_owner() {
    let mut tracker = tracker();
    let tracked = run(
        &mut tracker,
        [
            child(2, 200),
            report(SynRecv, Established).of(2),
            report(Established, FinWait1).of(2).shut(3).on(task(33, "kworker/1:2")),
        ],
    );
    assert_eq!(pid(&tracked[2]), (Some(200), Known::Listener));
}

#[test]
fn a_deferred_shutdown_runs_in_no_call_of_the_owner() {
    let mut tracker = tracker();
    let tracked = run(
        &mut tracker,
        [
            child(2, 200),
            report(SynRecv, Established).of(2).shut(2),
            report(Established, FinWait1).of(2).shut(2),
        ],
    );
    assert_eq!(detail(tracked[2].transition.cause), "shutdown, deferred from SYN_RECV");
    assert_eq!(pid(&tracked[2]), (Some(200), Known::Listener));
}

#[test]
fn a_pre_existing_sockets_owner_is_unknown_until_a_call_moves_it() {
    let mut tracker = tracker();
    let tracked = run(
        &mut tracker,
        [
            report(Established, CloseWait).of(5).shut(1).on(task(999, "other")),
            report(CloseWait, LastAck).of(5).shut(3).in_call(CLOSE).on(task(300, "daemon")),
            report(LastAck, Close).of(5).shut(3).fin(),
        ],
    );
    assert_eq!(pid(&tracked[0]), (None, Known::Unknown), "a segment runs on top of any task");
    assert_eq!(pid(&tracked[1]), (Some(300), Known::Exact));
    assert_eq!(tracked[0].transition.socket.generation, 0);
    assert_eq!((tracked[0].previous, tracked[0].transition.state_duration), (None, None));
    let connection = tracked[2].ended.as_ref().expect("it ended");
    assert_eq!((connection.open, connection.opened, connection.complete), (Open::Preexisting, None, false));
    assert_eq!(connection.path, [Established, CloseWait, LastAck, Close].into());
}

#[test]
fn an_end_without_sk_err_has_no_cause() {
    let mut reports = client(7);
    let last = reports.pop().expect("it ends");
    let mut tracker = tracker();
    run(&mut tracker, reports);
    let tracked = tracker.observe(&Report { error: None, ..last.clone() });
    assert_eq!(tracked.transition.cause, None);
    let close = tracked.ended.and_then(|connection| connection.close).expect("it ended");
    assert_eq!((close.at, close.cause), (last.at, None));
}

#[test]
fn without_a_task_the_owner_is_unknown() {
    let first = Report { task: None, ..report(Established, CloseWait) };
    assert_eq!(pid(&tracker().observe(&first)), (None, Known::Unknown));
}

#[test]
fn a_socket_that_connects_again_has_a_new_generation() {
    let mut tracker = tracker();
    run(&mut tracker, client(7));
    let again = report(Close, SynSent).of(7).at(20_000).between("0.0.0.0:0", "127.0.0.1:81").opened_by(
        task(100, "client"),
        Known::Exact,
        2,
    );
    let tracked = tracker.observe(&again);
    assert_eq!(tracked.transition.socket, SocketId { number: 7, generation: 2 });
    assert_eq!(
        tracked.transition.identity.endpoints,
        endpoints("0.0.0.0:0", "127.0.0.1:81"),
        "none of the first connection's endpoints"
    );
    assert_eq!(nanoseconds(&tracked), Some(5_000));
    assert_eq!(tracked.previous, Some(Close));
    assert!(tracker.history(SocketId { number: 7, generation: 1 }).is_none());
    assert_eq!(seqs(&tracker, tracked.transition.socket), [6]);
}

#[test]
fn a_destroyed_listener_reports_twice_and_is_no_connection() {
    let mut tracker = tracker();
    let tracked = run(
        &mut tracker,
        [
            listener(1, 200),
            report(Listen, Close).of(1).on(task(9, "ss")),
            report(Close, Close).of(1).failed(Errno::ECONNABORTED).on(task(9, "ss")),
        ],
    );
    assert!(tracked.iter().all(|tracked| tracked.ended.is_none()));
    assert!(tracked.iter().all(|tracked| pid(tracked) == (Some(200), Known::Exact)));
    assert_eq!(tracked[2].transition.socket.generation, 1);
}

#[test]
fn simultaneous_open_and_self_connect_are_distinguished() {
    let open_from = |local: &str| {
        let mut tracker = tracker();
        run(
            &mut tracker,
            [
                report(Close, SynSent).between(local, "10.0.0.2:1314"),
                report(SynSent, SynRecv).between(local, "10.0.0.2:1314"),
            ],
        );
        open(&tracker, SocketId { number: 7, generation: 0 })
    };
    assert_eq!(open_from("10.0.0.1:1314"), Some(Open::Simultaneous));
    assert_eq!(open_from("10.0.0.2:1314"), Some(Open::SelfConnect));
}

#[test]
fn a_loss_makes_open_connections_incomplete_and_nothing_illegal() {
    let mut tracker = tracker();
    let reports = client(7);
    tracker.observe(&reports[0]);
    tracker.lost();
    let after: Vec<_> = run(&mut tracker, reports[2..].iter().cloned());
    assert_eq!((after[0].previous, after[0].transition.state_duration), (None, None));
    assert_eq!(after[1].previous, Some(FinWait1), "the loss was earlier");
    assert!(!after[2].ended.as_ref().expect("it ended").complete);
    assert!(run(&mut tracker, client(8))[4].ended.as_ref().expect("it ended").complete);
}

#[test]
fn closed_sockets_are_evicted() {
    let mut tracker = tracker();
    for cookie in 1..=(3 * MAX_CLOSED as u64) {
        run(&mut tracker, client(cookie));
    }
    assert_eq!(tracker.sockets.len(), MAX_CLOSED);
    // One socket that connects repeatedly counts once.
    for _ in 0..(3 * MAX_CLOSED) {
        run(&mut tracker, client(1));
    }
    assert_eq!((tracker.sockets.len(), tracker.closed.len()), (MAX_CLOSED, MAX_CLOSED));
}

#[test]
fn after_a_loss_sockets_without_a_report_are_evicted_where_there_are_too_many() {
    let mut tracker = tracker();
    let established = |cookie| report(SynRecv, Established).of(cookie);
    run(&mut tracker, (1..=MAX as u64).map(established));
    tracker.lost();
    tracker.observe(&established(1));
    assert_eq!(tracker.sockets.len(), MAX);
    tracker.observe(&established(0));
    assert_eq!(tracker.sockets.len(), 2, "the two with a report since");
    run(&mut tracker, (1..=MAX as u64 + 1).map(established));
    assert_eq!(tracker.sockets.len(), MAX + 2, "all of them are open");
}

/// A random walk along legal edges: of a client, a listener, or a child from its first report on.
fn walk() -> impl Strategy<Value = Vec<(State, State)>> {
    (select(vec![Close, Listen]), collection::vec(any::<prop::sample::Index>(), 1..12)).prop_map(
        |(start, picks)| {
            let mut state = start;
            let mut edges = Vec::new();
            for pick in picks {
                let next: Vec<State> =
                    State::ALL.into_iter().filter(|new| is_legal(Protocol::Tcp, (state, *new))).collect();
                let is_listener = state == Listen && !edges.is_empty();
                let next = if is_listener { vec![Close] } else { next };
                let new = next[pick.index(next.len())];
                edges.push((state, new));
                state = new;
            }
            edges
        },
    )
}

proptest! {
    #[test]
    fn other_sockets_make_no_difference(
        walks in collection::vec(walk(), 2..5),
        picks in collection::vec(any::<prop::sample::Index>(), 60),
        port in 1..=u16::MAX,
    ) {
        let make = |index: usize, edge: (State, State)| {
            let mut report = report(edge.0, edge.1).of(index as u64 + 1);
            // Each at its own address: a child inherits its owner from the listener on its port.
            report.identity.endpoints.local = Endpoint::new([127, 0, 0, index as u8 + 1].into(), port);
            report
        };
        let mut together: Vec<Vec<Tracked>> = vec![Vec::new(); walks.len()];
        let mut tracker = tracker();
        let mut queues: Vec<_> = walks.iter().map(|walk| walk.iter()).collect();
        for pick in picks {
            let index = pick.index(queues.len());
            if let Some(edge) = queues[index].next() {
                together[index].push(tracker.observe(&make(index, *edge)));
            }
        }
        for (index, seen) in together.iter().enumerate() {
            let mut alone = Tracker::new(&host());
            for (edge, tracked) in walks[index].iter().zip(seen) {
                let mut expected = alone.observe(&make(index, *edge));
                expected.transition.seq = tracked.transition.seq;
                prop_assert_eq!(&expected, tracked);
                prop_assert!(tracked.previous.is_none_or(|previous| previous == edge.0));
            }
        }
    }
}
