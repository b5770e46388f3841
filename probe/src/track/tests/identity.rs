//! Children that have no name yet, and sockets that have none at all.

use super::*;

/// Linux 6.1 and 6.12: the first report of a child has the listener's cookie, and no remote port.
#[test]
fn a_child_without_a_name_is_recognised_when_it_has_one() {
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
        assert_eq!(established.since.map(|since| since.as_nanos()), Some(1_000));
        assert_eq!(pid(&tracked[1]), (Some(200), Known::Listener));
        let (open, course) = tracker.so_far(established.socket).expect("it lives");
        assert_eq!((open, course.path()), (Some(Open::Passive), [Listen, SynRecv, Established].into()));
        assert_eq!(course.seqs(), [tracked[0].transition.seq, established.seq]);
        assert_eq!(tracked[3].transition.socket, SocketId { number: 3, generation: 1 });
        // The listener was in LISTEN all the time.
        assert!(tracked.iter().all(|t| t.previous.is_none_or(|previous| previous == t.transition.old)));
    }
}

#[test]
fn a_connection_whose_opening_was_lost_is_not_the_one_before() {
    let mut tracker = tracker();
    run(&mut tracker, client(7));
    tracker.lost();
    let tracked = run(&mut tracker, client(7).into_iter().skip(1));
    let connection = tracked[3].ended.as_ref().expect("it ended");
    assert_eq!((connection.open, connection.complete), (Open::Preexisting, false));
    assert_eq!(connection.path, [SynSent, Established, FinWait1, FinWait2, Close].into());
    assert_eq!(seqs(&tracker, connection.socket), [6, 7, 8, 9]);
}

mod fallback {
    use super::*;

    const NOBODY: u64 = 0xffff_8880_0000_0000;

    /// As the classic tracepoint reports: by address, without owners of children.
    fn anonymous(report: Report, place: u64) -> Report {
        Report { socket: NOBODY + place, cookie: None, ..report }
    }

    fn owner_of_child(listeners: &[(&str, u32)], child_at: &str) -> (Option<u32>, Known) {
        let mut tracker = tracker();
        for (place, (local, pid)) in listeners.iter().enumerate() {
            let listener = listener(1, *pid).between(local, "0.0.0.0:0");
            tracker.observe(&anonymous(listener, 64 * place as u64));
        }
        let child = Report { opened: None, ..child(2, 0).between(child_at, "127.0.0.1:50000") };
        pid(&tracker.observe(&anonymous(child, 4096)))
    }

    #[test]
    fn a_child_inherits_from_the_one_listener_on_its_port() {
        let (one, nobody) = ((Some(200), Known::Listener), (None, Known::Unknown));
        assert_eq!(owner_of_child(&[("127.0.0.1:80", 200)], "127.0.0.1:80"), one);
        assert_eq!(owner_of_child(&[("0.0.0.0:80", 200)], "127.0.0.1:80"), one);
        assert_eq!(owner_of_child(&[("[::]:80", 200)], "[::ffff:127.0.0.1]:80"), one);
        assert_eq!(owner_of_child(&[("0.0.0.0:80", 200), ("0.0.0.0:80", 200)], "127.0.0.1:80"), one);
        assert_eq!(owner_of_child(&[("0.0.0.0:80", 200), ("0.0.0.0:80", 201)], "127.0.0.1:80"), nobody);
        assert_eq!(owner_of_child(&[("127.0.0.2:80", 200)], "127.0.0.1:80"), nobody);
        assert_eq!(owner_of_child(&[("0.0.0.0:81", 200)], "127.0.0.1:80"), nobody);
        assert_eq!(owner_of_child(&[], "127.0.0.1:80"), nobody);
    }

    #[test]
    fn an_address_that_is_used_again_is_another_socket() {
        let mut tracker = tracker();
        let mut first = client(7);
        let second = first[0].clone();
        first.truncate(3);
        run(&mut tracker, first.into_iter().map(|report| anonymous(report, 0)));
        let tracked = tracker.observe(&anonymous(second, 0));
        assert_eq!((tracked.previous, tracked.transition.since), (None, None));
    }

    #[test]
    fn a_listener_that_ends_is_no_longer_asked() {
        let mut tracker = tracker();
        tracker.observe(&anonymous(listener(1, 200), 0));
        // Listening again after shutdown takes another port, which only the end shows.
        let end = report(Listen, Close).between("0.0.0.0:81", "0.0.0.0:0").shut(3);
        tracker.observe(&anonymous(end, 0));
        let child = Report { opened: None, ..child(2, 0) };
        assert_eq!(pid(&tracker.observe(&anonymous(child, 4096))), (None, Known::Unknown));
    }
}
