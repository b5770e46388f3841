//! Held against what serde makes of the same.

use proptest::{collection::vec, prelude::*};

use crate::{
    model::{Clock, Connection, Endpoints, Output, Owner, Transition},
    record::{Lines, Object, arbitrary},
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

fn written(lines: &mut Lines, event: &Output, clock: Option<Clock>) -> String {
    let mut line = Vec::new();
    lines.write(event, clock, &mut line).expect("memory takes everything");
    String::from_utf8(line).expect("text")
}

fn expected(event: &Output, clock: Option<Clock>) -> String {
    serde_json::to_string(&Object::of(event, clock)).expect("JSON") + "\n"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_line_is_what_its_object_comes_to(
        events in vec(arbitrary::output(), 1..8),
        offset in prop_oneof![Just(None), any::<i64>().prop_map(Some)],
    ) {
        let clock = offset.map(|offset| Clock { realtime_offset_ns: offset.into() });
        let mut lines = Lines::default();
        // Twice, since pieces are kept from line to line.
        for event in events.iter().chain(&events) {
            prop_assert_eq!(written(&mut lines, event, clock), expected(event, clock));
        }
    }

    #[test]
    fn what_is_kept_is_told_from_what_looks_alike(events in vec(arbitrary::output(), 4..8)) {
        let transitions: Vec<Transition> = events.into_iter().filter_map(transition).collect();
        let mut lines = Lines::default();
        for pair in transitions.windows(2) {
            let [one, other] = pair else { unreachable!("they are pairs") };
            let owner = Owner { task: one.owner.task.clone(), ..(*other.owner).clone() };
            // Each shares its place with the one before, and more or less of what is kept there.
            for next in [
                one.clone(),
                Transition { socket: one.socket, ..other.clone() },
                Transition { socket: one.socket, ends: one.ends, ..other.clone() },
                Transition { old: one.old, new: one.new, ..other.clone() },
                Transition { owner: owner.into(), ..one.clone() },
            ] {
                let event = Output::Transition(next);
                prop_assert_eq!(written(&mut lines, &event, None), expected(&event, None));
            }
        }
    }

    #[test]
    fn so_it_is_of_connections(events in vec(arbitrary::output(), 4..12)) {
        let connections: Vec<Connection> = events.into_iter().filter_map(connection).collect();
        let mut lines = Lines::default();
        for pair in connections.windows(2) {
            let [one, other] = pair else { unreachable!("they are pairs") };
            for next in [
                one.clone(),
                Connection { netns: other.netns, ..one.clone() },
                Connection { family: other.family, protocol: other.protocol, ..one.clone() },
                Connection { ends: Endpoints { local: other.ends.local, ..one.ends }, ..one.clone() },
                Connection { open: other.open, ..one.clone() },
                Connection { close: one.close.clone(), path: other.path.clone(), ..other.clone() },
            ] {
                let event = Output::Connection(next);
                prop_assert_eq!(written(&mut lines, &event, None), expected(&event, None));
            }
        }
    }
}
