//! Children whose first report has their listener's cookie, and sockets without cookies.

use super::*;
use crate::model::testing::diag_entry;

/// Linux 6.1 and 6.12: the first report of a child has the listener's cookie, and no remote port.
#[test]
fn a_child_under_its_listeners_cookie_is_matched_with_its_second_report() {
    for listener_was_seen in [true, false] {
        let mut tracker = tracker();
        if listener_was_seen {
            tracker.observe(&listener(1, 200));
        }
        let tracked = run(
            &mut tracker,
            [
                child(1, 200).at(5_000).between("0.0.0.0:80", "0.0.0.0:0"),
                report(SynRecv, Established).of(2).at(6_000).between("127.0.0.1:80", "127.0.0.1:50000"),
                child(1, 200).at(7_000).between("0.0.0.0:80", "0.0.0.0:0"),
                report(SynRecv, Established).of(3).at(8_000).between("127.0.0.1:80", "127.0.0.1:50001"),
                report(Listen, Close).of(1).shut(3).in_call(CLOSE).on(task(200, "server")),
            ],
        );
        let established = &tracked[1].transition;
        assert_eq!(established.socket, SocketId { number: 2, generation: 1 });
        assert_eq!(nanoseconds(&tracked[1]), Some(1_000));
        assert_eq!(pid(&tracked[1]), (Some(200), Known::Listener));
        let (open, history) = tracker.history(established.socket).expect("it is open");
        assert_eq!((open, history.path()), (Some(Open::Passive), [Listen, SynRecv, Established].into()));
        assert_eq!(history.seqs(), [tracked[0].transition.seq, established.seq]);
        assert_eq!(tracked[3].transition.socket, SocketId { number: 3, generation: 1 });
        // The listener was in LISTEN all the time.
        assert!(tracked.iter().all(|t| t.previous.is_none_or(|previous| previous == t.transition.old)));
    }
}

#[test]
fn a_connection_whose_opening_was_lost_is_not_the_previous_one() {
    let mut tracker = tracker();
    run(&mut tracker, client(7));
    tracker.lost();
    let tracked = run(&mut tracker, client(7).into_iter().skip(1));
    let connection = tracked[3].ended.as_ref().expect("it ended");
    assert_eq!((connection.open, connection.complete), (Open::Preexisting, false));
    assert_eq!(connection.path, [SynSent, Established, FinWait1, FinWait2, Close].into());
    assert_eq!(seqs(&tracker, connection.socket), [6, 7, 8, 9]);
}

/// What can happen in a stream of a few sockets.
#[derive(Clone, Debug)]
enum Step {
    /// A socket goes along these edges. Where it has no cookie, its openings carry this generation.
    Walk { number: u64, edges: Vec<(State, State)>, generation: Option<u32> },
    /// A child appears under this number, which is its listener's.
    Child { number: u64 },
    /// Reports were lost.
    Lost,
    /// This many other sockets close.
    Others(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let number = 1..4_u64;
    let walk = (number.clone(), walk(), any::<prop::sample::Index>(), proptest::option::of(1..3_u32))
        .prop_map(|(number, edges, start, generation)| {
            let start = start.index(edges.len());
            Step::Walk { number, edges: edges[start..].to_vec(), generation }
        });
    prop_oneof![
        8 => walk,
        1 => number.prop_map(|number| Step::Child { number }),
        1 => Just(Step::Lost),
        1 => (1..64_u64).prop_map(Step::Others),
        1 => Just(Step::Others(MAX_CLOSED as u64 + 1)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is reported, lost or listed in the snapshot, and however often a number is reused: the number and the
    /// generation identify a connection. The kernel side counts the openings of a socket with a cookie, also those whose
    /// reports are lost; otherwise it may repeat any generation.
    #[test]
    fn no_two_connections_of_a_stream_have_the_same_id(
        steps in collection::vec(step(), 1..40),
        existing in collection::vec((1..4_u64, select(State::ALL.to_vec())), 0..3),
        has_cookies in any::<bool>(),
        protocol in select(vec![Protocol::Tcp, Protocol::Mptcp]),
    ) {
        let counts_openings = has_cookies && protocol == Protocol::Tcp;
        let mut tracker = tracker();
        let row = |(cookie, state)| diag_entry(cookie, state, "127.0.0.1:50000", "127.0.0.1:80");
        tracker.existing(Mono(1), &existing.into_iter().map(row).collect::<Vec<_>>());
        let mut openings = [0_u32; 4];
        let mut ids = std::collections::HashSet::new();
        let mut others = 1_000;
        for step in steps {
            let reports: Vec<Report> = match step {
                Step::Walk { number, edges, generation } => {
                    let mut make = |(index, edge): (usize, &(State, State))| {
                        let report = Report { protocol, ..report(edge.0, edge.1).of(number) };
                        let opens = opening(&report).is_some();
                        openings[number as usize] += u32::from(opens || index == 0);
                        let counted = opens.then_some(openings[number as usize]);
                        match if counts_openings { counted } else { generation.filter(|_| opens) } {
                            Some(generation) => report.opened_by(task(100, "client"), Known::Exact, generation),
                            None => report,
                        }
                    };
                    edges.iter().enumerate().map(&mut make).collect()
                }
                // Only MPTCP sockets have a number that is another's.
                Step::Child { number } => {
                    let child = child(number, 200).between("0.0.0.0:80", "0.0.0.0:0");
                    vec![Report { protocol, ..child }]
                }
                Step::Lost => {
                    tracker.lost();
                    continue;
                }
                Step::Others(count) => {
                    others += count;
                    (others - count..others).map(|number| report(Established, Close).of(number)).collect()
                }
            };
            for report in reports {
                let cookie = report.cookie.filter(|_| has_cookies);
                if let Some(ended) = tracker.observe(&Report { cookie, ..report }).ended {
                    prop_assert!(ids.insert(ended.socket), "{:?} identifies two connections", ended.socket);
                }
            }
        }
    }
}

mod fallback {
    use super::*;

    const ADDRESS: u64 = 0xffff_8880_0000_0000;

    /// As the classic tracepoint reports: by address, without owners of children.
    fn by_address(report: Report, offset: u64) -> Report {
        Report { socket: ADDRESS + offset, cookie: None, ..report }
    }

    fn owner_of_child(listeners: &[(&str, u32)], child_at: &str) -> (Option<u32>, Known) {
        let mut tracker = tracker();
        for (index, (local, pid)) in listeners.iter().enumerate() {
            let listener = listener(1, *pid).between(local, "0.0.0.0:0");
            tracker.observe(&by_address(listener, 64 * index as u64));
        }
        let child = Report { opened: None, ..child(2, 0).between(child_at, "127.0.0.1:50000") };
        pid(&tracker.observe(&by_address(child, 4096)))
    }

    #[test]
    fn a_child_inherits_from_the_one_listener_on_its_port() {
        let (one, unknown) = ((Some(200), Known::Listener), (None, Known::Unknown));
        assert_eq!(owner_of_child(&[("127.0.0.1:80", 200)], "127.0.0.1:80"), one);
        assert_eq!(owner_of_child(&[("0.0.0.0:80", 200)], "127.0.0.1:80"), one);
        assert_eq!(owner_of_child(&[("[::]:80", 200)], "[::ffff:127.0.0.1]:80"), one);
        assert_eq!(owner_of_child(&[("0.0.0.0:80", 200), ("0.0.0.0:80", 200)], "127.0.0.1:80"), one);
        assert_eq!(owner_of_child(&[("0.0.0.0:80", 200), ("0.0.0.0:80", 201)], "127.0.0.1:80"), unknown);
        assert_eq!(owner_of_child(&[("127.0.0.2:80", 200)], "127.0.0.1:80"), unknown);
        assert_eq!(owner_of_child(&[("0.0.0.0:81", 200)], "127.0.0.1:80"), unknown);
        assert_eq!(owner_of_child(&[], "127.0.0.1:80"), unknown);
    }

    #[test]
    fn a_reused_address_is_another_socket() {
        let mut tracker = tracker();
        let mut first = client(7);
        let second = first[0].clone();
        first.truncate(3);
        run(&mut tracker, first.into_iter().map(|report| by_address(report, 0)));
        let tracked = tracker.observe(&by_address(second, 0));
        assert_eq!((tracked.previous, tracked.transition.state_duration), (None, None));
    }

    #[test]
    fn a_closed_listener_has_no_children() {
        let mut tracker = tracker();
        tracker.observe(&by_address(listener(1, 200), 0));
        // A listen after shutdown takes another port, which only the end shows.
        let end = report(Listen, Close).between("0.0.0.0:81", "0.0.0.0:0").shut(3);
        tracker.observe(&by_address(end, 0));
        let child = Report { opened: None, ..child(2, 0) };
        assert_eq!(pid(&tracker.observe(&by_address(child, 4096))), (None, Known::Unknown));
    }
}

/// An accepted MPTCP socket has the cookie of its listener.
#[test]
fn mptcp_sockets_that_share_a_cookie_have_generations_of_their_own() {
    let [listener, first, second] = [0xffff_8880_0000_1000, 0xffff_8880_0000_2000, 0xffff_8880_0000_3000];
    let of = |report: Report, address| report.of(7).of_mptcp().at_address(address);
    let accepted = |address| of(report(Listen, Established), address);
    let closed = |address| of(report(Established, Close), address);
    let mut tracker = tracker();
    let tracked = run(
        &mut tracker,
        [
            of(report(Close, Listen), listener),
            accepted(first),
            accepted(second),
            of(report(Listen, Close).shut(3), listener),
            of(report(Close, Close).shut(3), listener),
            closed(second),
            closed(first),
            // The address is that of another socket now.
            of(report(Close, Listen), second),
        ],
    );
    let generations = tracked.iter().map(|tracked| tracked.transition.socket.generation);
    assert_eq!(generations.collect::<Vec<_>>(), [0, 2, 3, 0, 0, 3, 2, 4]);
    assert!(tracked.iter().all(|tracked| tracked.transition.socket.number == 7));
    // Only their own ends end the connections.
    let ended = tracked.iter().map(|tracked| tracked.ended.as_ref().map(|ended| ended.socket.generation));
    assert_eq!(ended.collect::<Vec<_>>(), [None, None, None, None, None, Some(3), Some(2), None]);
    assert!(tracked.iter().filter_map(|tracked| tracked.ended.as_ref()).all(|ended| ended.complete));
    let id = |generation| SocketId { number: 7, generation };
    assert_eq!(open(&tracker, id(2)), Some(Open::Passive));
    assert_eq!(tracked[3].previous, Some(Listen));
}
