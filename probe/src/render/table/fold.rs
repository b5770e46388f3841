//! Failed attempts by the thousand, in one line.
//!
//! A client that hammers a closed port makes two transitions a try, all alike. The first try is
//! shown, and how many followed.

use std::collections::HashMap;

use crate::model::{Cause, Endpoint, SocketId, State, Transition};

/// Fewer than this are shown one by one.
const FEWEST: usize = 3;

/// A line of the table.
#[derive(Debug, PartialEq, Eq)]
pub enum Row<'a> {
    /// A transition.
    One(&'a Transition),
    /// Attempts that came to the same.
    Folded(Folded<'a>),
}

/// Attempts like the one before them: to the same place, by the same process, with the same end.
#[derive(Debug, PartialEq, Eq)]
pub struct Folded<'a> {
    /// How many.
    pub count: usize,
    /// The end of the last of them.
    pub last: &'a Transition,
}

/// What makes attempts alike.
#[derive(PartialEq, Eq, Hash)]
struct Kind {
    remote: Endpoint,
    netns: Option<u32>,
    pid: Option<u32>,
    cause: Option<Cause>,
}

/// The transitions in their order, with attempts that are alike folded from the second one on.
pub fn fold(transitions: &[Transition]) -> Vec<Row<'_>> {
    let mut kinds: HashMap<Kind, Vec<[usize; 2]>> = HashMap::new();
    for attempt in attempts(transitions) {
        kinds.entry(kind(&transitions[attempt[1]])).or_default().push(attempt);
    }

    let mut rows: Vec<Option<Row<'_>>> = transitions.iter().map(|one| Some(Row::One(one))).collect();
    for folded in kinds.values().filter_map(|alike| alike.get(1..)).filter(|rest| rest.len() >= FEWEST) {
        for place in folded.iter().flatten() {
            rows[*place] = None;
        }
        let (first, last) = (folded[0], folded[folded.len() - 1]);
        rows[first[0]] = Some(Row::Folded(Folded { count: folded.len(), last: &transitions[last[1]] }));
    }
    rows.into_iter().flatten().collect()
}

/// The places of both transitions of every socket that did nothing but fail to connect, in order.
fn attempts(transitions: &[Transition]) -> Vec<[usize; 2]> {
    let mut lives: HashMap<SocketId, Vec<usize>> = HashMap::new();
    for (place, transition) in transitions.iter().enumerate() {
        lives.entry(transition.socket).or_default().push(place);
    }
    let mut attempts: Vec<[usize; 2]> = lives
        .into_values()
        .filter_map(|life| <[usize; 2]>::try_from(life).ok())
        .filter(|[begin, end]| {
            transitions[*begin].edge() == (State::Close, State::SynSent)
                && transitions[*end].edge() == (State::SynSent, State::Close)
        })
        .collect();
    attempts.sort_unstable();
    attempts
}

fn kind(end: &Transition) -> Kind {
    Kind {
        remote: end.ends.remote,
        netns: end.netns,
        pid: end.owner.task.as_ref().map(|task| task.pid),
        cause: end.cause,
    }
}

#[cfg(test)]
mod tests {
    use State::*;

    use super::*;
    use crate::{
        model::Output,
        render::testing::{Actor, Stream, call, segment},
    };

    fn transitions(stream: &mut Stream) -> Vec<Transition> {
        let events = std::mem::take(&mut stream.events);
        events
            .into_iter()
            .filter_map(|event| match event {
                Output::Transition(transition) => Some(transition),
                _ => None,
            })
            .collect()
    }

    /// Each line: the number of a transition, or how many attempts are folded.
    fn shape(transitions: &[Transition]) -> Vec<String> {
        let name = |row: &Row<'_>| match row {
            Row::One(transition) => transition.seq.to_string(),
            Row::Folded(folded) => format!("+{}", folded.count),
        };
        fold(transitions).iter().map(name).collect()
    }

    #[test]
    fn the_first_of_many_stands_for_them() {
        assert_eq!(shape(&transitions(Stream::default().hammers("127.0.0.1:80", 5))), ["1", "2", "+4"]);
        assert_eq!(shape(&transitions(Stream::default().hammers("127.0.0.1:80", 3))).len(), 6);
    }

    #[test]
    fn what_differs_is_not_folded() {
        let mut stream = Stream::default();
        stream.hammers("127.0.0.1:80", 1).hammers("127.0.0.1:81", 1).hammers("127.0.0.2:80", 1);
        let mut transitions = transitions(&mut stream);
        // One socket each, as they would be.
        for (place, transition) in transitions.iter_mut().enumerate() {
            transition.socket.number = place as u64 / 2;
        }
        assert_eq!(shape(&transitions), ["1", "2", "3", "4", "5", "6"]);
    }

    #[test]
    fn others_are_shown_between() {
        let server = Actor::new(7, "0.0.0.0:80", "0.0.0.0:0");
        let mut stream = Stream::default();
        stream.hammers("127.0.0.1:80", 4).moves(&server, 1, Close, Listen, call("listen"));
        assert_eq!(shape(&transitions(&mut stream)), ["1", "2", "+3", "9"]);
    }

    #[test]
    fn an_attempt_that_went_on_is_none() {
        let client = Actor::new(7, "10.0.0.1:5", "10.0.0.2:80");
        let mut stream = Stream::default();
        for _ in 0..9 {
            stream.moves(&client, 1, Close, SynSent, call("connect"));
            stream.moves(&client, 1, SynSent, Established, segment("SYN+ACK received"));
        }
        assert_eq!(fold(&transitions(&mut stream)).len(), 18);
    }
}
