//! Collapses repeated failed attempts to connect into one row.
//!
//! A client that retries a closed port makes the same two transitions thousands of times. The first attempt is shown with
//! both, and the others as their number.

use std::collections::HashMap;

use crate::model::{Cause, Endpoint, SocketId, State, Transition};

/// The least number of repetitions that is collapsed.
const MIN_REPEATED: usize = 3;

/// A row of the table.
#[derive(Debug, PartialEq, Eq)]
pub enum Row<'a> {
    Transition(&'a Transition),
    Repeated(Repeated<'a>),
}

/// Repetitions of an earlier attempt: with the same remote endpoint, process and cause of failure.
#[derive(Debug, PartialEq, Eq)]
pub struct Repeated<'a> {
    pub count: usize,
    /// The last transition of the last attempt.
    pub last: &'a Transition,
}

/// What repeated attempts have in common.
#[derive(PartialEq, Eq, Hash)]
struct AttemptKey {
    remote: Endpoint,
    netns: Option<u32>,
    pid: Option<u32>,
    cause: Option<Cause>,
}

/// The transitions in order, with repeated attempts collapsed from the second one on.
pub fn collapse(transitions: &[Transition]) -> Vec<Row<'_>> {
    let mut by_key: HashMap<AttemptKey, Vec<[usize; 2]>> = HashMap::new();
    for attempt in attempts(transitions) {
        by_key.entry(attempt_key(&transitions[attempt[1]])).or_default().push(attempt);
    }

    let mut rows: Vec<Option<Row<'_>>> =
        transitions.iter().map(|transition| Some(Row::Transition(transition))).collect();
    let repetitions = by_key.values().filter_map(|attempts| attempts.get(1..));
    for attempts in repetitions.filter(|attempts| attempts.len() >= MIN_REPEATED) {
        for index in attempts.iter().flatten() {
            rows[*index] = None;
        }
        let (first, last) = (attempts[0], attempts[attempts.len() - 1]);
        rows[first[0]] = Some(Row::Repeated(Repeated { count: attempts.len(), last: &transitions[last[1]] }));
    }
    rows.into_iter().flatten().collect()
}

/// The indices of both transitions of each socket that only failed to connect, in order.
fn attempts(transitions: &[Transition]) -> Vec<[usize; 2]> {
    let mut by_socket: HashMap<SocketId, Vec<usize>> = HashMap::new();
    for (index, transition) in transitions.iter().enumerate() {
        by_socket.entry(transition.socket).or_default().push(index);
    }
    let mut attempts: Vec<[usize; 2]> = by_socket
        .into_values()
        .filter_map(|indices| <[usize; 2]>::try_from(indices).ok())
        .filter(|[first, last]| {
            transitions[*first].edge() == (State::Close, State::SynSent)
                && transitions[*last].edge() == (State::SynSent, State::Close)
        })
        .collect();
    attempts.sort_unstable();
    attempts
}

fn attempt_key(last: &Transition) -> AttemptKey {
    AttemptKey {
        remote: last.identity.endpoints.remote,
        netns: last.identity.netns,
        pid: last.owner.task.as_ref().map(|task| task.pid),
        cause: last.cause,
    }
}

#[cfg(test)]
mod tests {
    use State::*;

    use super::*;
    use crate::{
        model::Output,
        render::testing::{Stream, TestSocket, call, segment},
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

    /// For each row, the number of the transition, or of collapsed attempts.
    fn rows(transitions: &[Transition]) -> Vec<String> {
        let name = |row: &Row<'_>| match row {
            Row::Transition(transition) => transition.seq.to_string(),
            Row::Repeated(repeated) => format!("+{}", repeated.count),
        };
        collapse(transitions).iter().map(name).collect()
    }

    #[test]
    fn attempts_after_the_first_are_collapsed() {
        assert_eq!(
            rows(&transitions(Stream::default().refused_attempts("127.0.0.1:80", 5))),
            ["1", "2", "+4"]
        );
        assert_eq!(rows(&transitions(Stream::default().refused_attempts("127.0.0.1:80", 3))).len(), 6);
    }

    #[test]
    fn different_attempts_are_not_collapsed() {
        let mut stream = Stream::default();
        stream
            .refused_attempts("127.0.0.1:80", 1)
            .refused_attempts("127.0.0.1:81", 1)
            .refused_attempts("127.0.0.2:80", 1);
        let mut transitions = transitions(&mut stream);
        // A socket for each attempt.
        for (index, transition) in transitions.iter_mut().enumerate() {
            transition.socket.number = index as u64 / 2;
        }
        assert_eq!(rows(&transitions), ["1", "2", "3", "4", "5", "6"]);
    }

    #[test]
    fn transitions_of_other_sockets_are_shown() {
        let server = TestSocket::new(7, "0.0.0.0:80", "0.0.0.0:0");
        let mut stream = Stream::default();
        stream.refused_attempts("127.0.0.1:80", 4).transition(&server, 1, Close, Listen, call("listen"));
        assert_eq!(rows(&transitions(&mut stream)), ["1", "2", "+3", "9"]);
    }

    #[test]
    fn successful_attempts_are_not_collapsed() {
        let client = TestSocket::new(7, "10.0.0.1:5", "10.0.0.2:80");
        let mut stream = Stream::default();
        for _ in 0..9 {
            stream.transition(&client, 1, Close, SynSent, call("connect"));
            stream.transition(&client, 1, SynSent, Established, segment("SYN+ACK received"));
        }
        assert_eq!(collapse(&transitions(&mut stream)).len(), 18);
    }
}
