//! Compares the fast writer with serde.

use proptest::{collection::vec, prelude::*};

use crate::{
    model::{
        Backend, Clock, Connection, Endpoints, Host, Output, Owner, SocketIdentity, Transition, testing,
    },
    record::{Lines, Object, StreamTime, arbitrary},
};

fn transition(event: Output) -> Option<Transition> {
    match event {
        Output::Transition(transition) => Some(transition),
        _ => None,
    }
}

fn connection(event: Output) -> Option<Connection> {
    match event {
        Output::Connection(connection) => Some(connection),
        _ => None,
    }
}

/// Both writers of one stream.
#[derive(Default)]
struct Writers {
    lines: Lines,
    time: StreamTime,
}

impl Writers {
    fn with_clock(clock: Option<Clock>) -> Self {
        let mut writers = Self::default();
        if let Some(clock) = clock {
            let host = Host { clock, ..testing::host() };
            let backend = Backend::TpBtf;
            let ready = Output::Ready { host, backend, unavailable: Vec::new(), existing: None };
            writers.lines.observe(&ready);
            writers.time.observe(&ready);
        }
        writers
    }

    /// The line of the event, and what serde writes.
    fn write(&mut self, event: &Output) -> [String; 2] {
        let mut line = Vec::new();
        self.lines.write(event, &mut line).expect("a Vec accepts every write");
        self.time.observe(event);
        let expected = Object::of(event, self.time);
        [String::from_utf8(line).expect("UTF-8"), serde_json::to_string(&expected).expect("JSON") + "\n"]
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_line_is_what_serde_writes(
        events in vec(arbitrary::output(), 1..8),
        offset in prop_oneof![Just(None), any::<i64>().prop_map(Some)],
    ) {
        let clock = offset.map(|offset| Clock { realtime_offset_ns: offset.into() });
        let mut writers = Writers::with_clock(clock);
        // Twice, because fragments are cached from line to line.
        for event in events.iter().chain(&events) {
            let [line, expected] = writers.write(event);
            prop_assert_eq!(line, expected);
        }
    }

    #[test]
    fn cached_fragments_of_similar_transitions_are_not_mixed_up(events in vec(arbitrary::output(), 4..8)) {
        let transitions: Vec<Transition> = events.into_iter().filter_map(transition).collect();
        let mut writers = Writers::default();
        for pair in transitions.windows(2) {
            let [one, other] = pair else { unreachable!("windows of two") };
            let owner = Owner { task: one.owner.task.clone(), ..(*other.owner).clone() };
            // Each has a cache slot in common with the one before, and more or less of the key.
            for next in [
                one.clone(),
                Transition { socket: one.socket, ..other.clone() },
                Transition { socket: one.socket, identity: SocketIdentity { endpoints: one.identity.endpoints, ..other.identity }, ..other.clone() },
                Transition { old: one.old, new: one.new, ..other.clone() },
                Transition { owner: owner.into(), ..one.clone() },
            ] {
                let event = Output::Transition(next);
                let [line, expected] = writers.write(&event);
                prop_assert_eq!(line, expected);
            }
        }
    }

    #[test]
    fn cached_fragments_of_similar_connections_are_not_mixed_up(events in vec(arbitrary::output(), 4..12)) {
        let connections: Vec<Connection> = events.into_iter().filter_map(connection).collect();
        let mut writers = Writers::default();
        for pair in connections.windows(2) {
            let [one, other] = pair else { unreachable!("windows of two") };
            let with = |identity| Connection { identity, ..one.clone() };
            for next in [
                one.clone(),
                with(SocketIdentity { netns: other.identity.netns, ..one.identity }),
                with(SocketIdentity { endpoints: one.identity.endpoints, ..other.identity }),
                with(SocketIdentity {
                    endpoints: Endpoints { local: other.identity.endpoints.local, ..one.identity.endpoints },
                    ..one.identity
                }),
                Connection { open: other.open, ..one.clone() },
                Connection { close: one.close.clone(), path: other.path.clone(), ..other.clone() },
            ] {
                let event = Output::Connection(next);
                let [line, expected] = writers.write(&event);
                prop_assert_eq!(line, expected);
            }
        }
    }
}
