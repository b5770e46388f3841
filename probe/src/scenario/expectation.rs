//! Expectations as data, checked against what the kernel reported.

use super::{
    labelled_socket::SocketIndex,
    open_outcome::OpenOutcome,
    path::{Span, path, path_text},
};
use crate::model::{Check, Endpoint, Mono, State, Transition};

/// What a driver expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// Known to the driver itself: what a call returned, what a socket read, what the wire carried.
    Outcome {
        /// What the RFC or the manual page requires.
        expected: String,
        /// What the driver observed.
        observed: String,
        /// Whether `observed` meets `expected`.
        pass: bool,
    },
    /// Each of the sockets went through these states, as the kernel reported them.
    Path {
        /// The sockets.
        sockets: Vec<SocketIndex>,
        /// The part of their paths to compare.
        span: Span,
        /// The states in order, including the one left first.
        states: Vec<State>,
    },
    /// All of the sockets were in this state at the same time.
    Overlap {
        /// The sockets.
        sockets: Vec<SocketIndex>,
        /// The state.
        state: State,
    },
    /// The sockets were refused one after the other, until the last one opened.
    RefusedUntil {
        /// The sockets that were refused; may be empty.
        refused: Vec<SocketIndex>,
        /// The socket that opened.
        last: SocketIndex,
        /// Its path up to ESTABLISHED.
        states: Vec<State>,
    },
    /// All of the sockets were connected with the same local endpoint.
    SameLocalEndpoint {
        /// The sockets.
        sockets: Vec<SocketIndex>,
        /// The endpoint.
        local: Endpoint,
    },
    /// The socket connected, by a simultaneous open or not.
    Connected {
        /// The socket.
        socket: SocketIndex,
    },
    /// The socket reached CLOSE without sending a segment.
    NoSegmentSent {
        /// The socket.
        socket: SocketIndex,
    },
}

impl Expectation {
    /// Checks the expectation against the history of each socket. `None` if the backend does not report what it
    /// requires.
    pub(super) fn check(&self, scenario: &str, name: &str, histories: &[Vec<&Transition>]) -> Option<Check> {
        let (expected, observed, pass) = match self {
            Self::Outcome { expected, observed, pass } => (expected.clone(), observed.clone(), *pass),
            Self::Path { sockets, span, states } => {
                equal(path_text(states), observed_path(sockets, *span, states, histories))
            }
            Self::Overlap { sockets, state } => {
                equal(in_state(*state, true), in_state(*state, overlapped(sockets, *state, histories)))
            }
            Self::RefusedUntil { refused, last, states } => {
                equal(refused_until(&path_text(states)), observed_refused_until(refused, *last, histories))
            }
            Self::SameLocalEndpoint { sockets, local } => {
                let expected = vec![local.to_string(); sockets.len()];
                let observed = sockets.iter().map(|socket| local_endpoint(&histories[socket.0]));
                equal(expected.join(", "), observed.collect::<Vec<_>>().join(", "))
            }
            Self::Connected { socket } => {
                let outcome = OpenOutcome::of(&histories[socket.0]);
                ("simultaneous open or active open".to_owned(), outcome.to_string(), outcome.is_open())
            }
            Self::NoSegmentSent { socket } => equal(segments(0), segments_sent(&histories[socket.0])?),
        };
        Some(Check { scenario: scenario.to_owned(), name: name.to_owned(), expected, observed, pass })
    }

    /// Swaps the last two states of a path expectation, so that no kernel meets it. Returns whether this is a path
    /// expectation.
    pub(super) fn corrupt(&mut self) -> bool {
        let Self::Path { states, .. } = self else { return false };
        let [.., second_to_last, last] = states.as_mut_slice() else { return false };
        std::mem::swap(second_to_last, last);
        true
    }
}

fn equal(expected: String, observed: String) -> (String, String, bool) {
    let pass = expected == observed;
    (expected, observed, pass)
}

/// The path of all sockets if it is the expected one; otherwise that of the first socket that took another.
fn observed_path(
    sockets: &[SocketIndex],
    span: Span,
    states: &[State],
    histories: &[Vec<&Transition>],
) -> String {
    let other = sockets.iter().enumerate().find_map(|(index, socket)| {
        let whole = path(&histories[socket.0]);
        let observed = span.of(&whole);
        (observed != states).then(|| (index, path_text(observed)))
    });
    match other {
        None => path_text(states),
        Some((_, observed)) if sockets.len() == 1 => observed,
        Some((index, observed)) => format!("{observed} (socket {})", index + 1),
    }
}

fn refused_until(path: &str) -> String {
    format!("refused until {path}")
}

/// The path of the first socket that was expected to be refused and was not; otherwise that of the last socket.
fn observed_refused_until(
    refused: &[SocketIndex],
    last: SocketIndex,
    histories: &[Vec<&Transition>],
) -> String {
    let is_refused =
        |socket: &SocketIndex| path(&histories[socket.0]) == [State::Close, State::SynSent, State::Close];
    match refused.iter().position(|socket| !is_refused(socket)) {
        Some(index) => format!("{} (attempt {})", path_text(&path(&histories[refused[index].0])), index + 1),
        None => refused_until(&path_text(Span::Opening.of(&path(&histories[last.0])))),
    }
}

/// The local endpoint that the kernel reported when the socket became ESTABLISHED.
fn local_endpoint(history: &[&Transition]) -> String {
    let connected = history.iter().find(|transition| transition.new == State::Established);
    connected.map_or_else(
        || "not connected".to_owned(),
        |transition| transition.identity.endpoints.local.canonical().to_string(),
    )
}

fn in_state(state: State, together: bool) -> String {
    format!("{}{state} at the same time", if together { "" } else { "never " })
}

fn segments(count: u32) -> String {
    format!("{count} {}", if count == 1 { "segment" } else { "segments" })
}

/// The segments that the kernel had counted when the socket reached CLOSE; `None` from a backend without counters.
fn segments_sent(history: &[&Transition]) -> Option<String> {
    match history.iter().find(|transition| transition.new == State::Close) {
        Some(closed) => closed.segs_out.map(segments),
        None => Some("CLOSE not reached".to_owned()),
    }
}

/// When the socket first entered the state, and when it left it.
fn time_in_state(history: &[&Transition], state: State) -> Option<(Mono, Option<Mono>)> {
    let entered = history.iter().position(|transition| transition.new == state)?;
    let left = history[entered + 1..].iter().find(|transition| transition.old == state);
    Some((history[entered].at, left.map(|transition| transition.at)))
}

fn overlapped(sockets: &[SocketIndex], state: State, histories: &[Vec<&Transition>]) -> bool {
    let times: Option<Vec<_>> =
        sockets.iter().map(|socket| time_in_state(&histories[socket.0], state)).collect();
    let Some(times) = times else { return false };
    let last_entered = times.iter().map(|(entered, _)| *entered).max();
    let first_left = times.iter().filter_map(|(_, left)| *left).min();
    match (last_entered, first_left) {
        (Some(entered), Some(left)) => entered < left,
        (entered, None) => entered.is_some(),
        (None, Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::State::{Close, Closing, Established, FinWait1, Listen, SynRecv, SynSent};
    use super::*;
    use crate::scenario::{
        labelled_socket::endpoints,
        testing::{history, socket, transition},
    };

    /// Expected and observed, and whether the check passes.
    fn check(expectation: &Expectation, histories: &[Vec<Transition>]) -> (String, String, bool) {
        let histories: Vec<Vec<&Transition>> =
            histories.iter().map(|history| history.iter().collect()).collect();
        let check = expectation.check("scenario", "name", &histories).unwrap();
        (check.expected, check.observed, check.pass)
    }

    fn path_of(count: usize, span: Span, states: &[State]) -> Expectation {
        Expectation::Path { sockets: (0..count).map(SocketIndex).collect(), span, states: states.to_vec() }
    }

    fn history_of(states: &[State]) -> Vec<Transition> {
        history(&socket(1, "127.0.0.1:1314", "127.0.0.1:1314"), 10, states)
    }

    const SELF: [State; 7] = [Close, SynSent, SynRecv, Established, FinWait1, Closing, Close];

    #[test]
    fn opening_and_closing_meet_at_established() {
        let histories = [history_of(&SELF)];
        let opening = path_of(1, Span::Opening, &[Close, SynSent, SynRecv, Established]);
        let text = "CLOSE → SYN_SENT → SYN_RECV → ESTABLISHED".to_owned();
        assert_eq!(check(&opening, &histories), (text.clone(), text, true));
        let closing = path_of(1, Span::Closing, &[Established, FinWait1, Closing, Close]);
        assert!(check(&closing, &histories).2);
        assert!(check(&path_of(1, Span::Whole, &SELF), &histories).2);
    }

    #[test]
    fn another_path_fails_and_is_reported() {
        let active = [history_of(&[Close, SynSent, Established])];
        let crossed = path_of(1, Span::Opening, &[Close, SynSent, SynRecv, Established]);
        let (_, observed, pass) = check(&crossed, &active);
        assert_eq!((observed.as_str(), pass), ("CLOSE → SYN_SENT → ESTABLISHED", false));

        let refused = [history_of(&[Close, SynSent, Close])];
        assert_eq!(check(&crossed, &refused).1, "CLOSE → SYN_SENT → CLOSE");
        let closing = path_of(1, Span::Closing, &[Established, Close]);
        assert_eq!(check(&closing, &refused).1, "no transition");
        assert_eq!(check(&crossed, &[vec![]]).1, "no transition");
    }

    #[test]
    fn an_extra_state_and_a_gap_fail() {
        let whole = path_of(1, Span::Whole, &[Close, Listen, Close]);
        assert!(check(&whole, &[history_of(&[Close, Listen, Close])]).2);
        assert!(!check(&whole, &[history_of(&[Close, Listen, Close, Close])]).2);
        assert!(!check(&whole, &[history_of(&[Close, Listen])]).2);

        let one = socket(1, "127.0.0.1:1", "127.0.0.1:2");
        let gap = vec![transition(&one, 1, Close, SynSent), transition(&one, 2, SynRecv, Established)];
        let through = path_of(1, Span::Opening, &[Close, SynSent, Established]);
        assert_eq!(check(&through, &[gap]).1, "CLOSE → SYN_SENT → SYN_RECV → ESTABLISHED");
    }

    #[test]
    fn the_first_socket_that_took_another_path_is_reported() {
        let refused = || history_of(&[Close, SynSent, Close]);
        let all = path_of(3, Span::Whole, &[Close, SynSent, Close]);
        let expected = "CLOSE → SYN_SENT → CLOSE".to_owned();
        let three = [refused(), refused(), refused()];
        assert_eq!(check(&all, &three), (expected.clone(), expected.clone(), true));
        let second = "CLOSE → SYN_SENT → ESTABLISHED (socket 2)".to_owned();
        let one_differs = [refused(), history_of(&[Close, SynSent, Established]), refused()];
        assert_eq!(check(&all, &one_differs), (expected, second, false));
    }

    #[test]
    fn sockets_must_be_in_the_state_at_the_same_time() {
        let (one, two) = (socket(1, "127.0.0.1:1", "127.0.0.1:3"), socket(2, "127.0.0.1:2", "127.0.0.1:3"));
        let open = |socket, from, to| {
            vec![transition(socket, from, SynSent, Established), transition(socket, to, Established, Close)]
        };
        let both = Expectation::Overlap { sockets: vec![SocketIndex(0), SocketIndex(1)], state: Established };
        let all = "ESTABLISHED at the same time".to_owned();
        assert_eq!(check(&both, &[open(&one, 1, 5), open(&two, 4, 9)]), (all.clone(), all, true));
        assert_eq!(
            check(&both, &[open(&one, 1, 5), open(&two, 5, 9)]).1,
            "never ESTABLISHED at the same time"
        );
        assert!(!check(&both, &[open(&one, 1, 5), vec![]]).2);
        let still_open = vec![transition(&two, 6, SynSent, Established)];
        assert!(check(&both, &[open(&one, 1, 7), still_open.clone()]).2);
        assert!(!check(&both, &[open(&one, 1, 5), still_open]).2);
    }

    #[test]
    fn attempts_are_refused_until_one_opens() {
        let states = vec![Close, SynSent, SynRecv, Established];
        let until = |count| Expectation::RefusedUntil {
            refused: (0..count).map(SocketIndex).collect(),
            last: SocketIndex(count),
            states: states.clone(),
        };
        let (refused, opened) = (|| history_of(&[Close, SynSent, Close]), || history_of(&SELF));
        let text = "refused until CLOSE → SYN_SENT → SYN_RECV → ESTABLISHED".to_owned();
        assert_eq!(check(&until(0), &[opened()]), (text.clone(), text.clone(), true));
        assert_eq!(check(&until(2), &[refused(), refused(), opened()]), (text.clone(), text, true));
        let active = history_of(&[Close, SynSent, Established]);
        let (_, observed, pass) = check(&until(2), &[refused(), active.clone(), opened()]);
        assert_eq!((observed.as_str(), pass), ("CLOSE → SYN_SENT → ESTABLISHED (attempt 2)", false));
        assert!(!check(&until(1), &[refused(), active]).2);
        assert_eq!(check(&until(1), &[vec![], opened()]).1, "no transition (attempt 1)");
    }

    #[test]
    fn the_local_endpoint_is_the_one_that_the_kernel_reported() {
        let child = |cookie, local| {
            history(&socket(cookie, local, "127.0.0.1:12345"), 1, &[Listen, SynRecv, Established, Close])
        };
        let local = endpoints("127.0.0.1:80".parse().unwrap(), "127.0.0.1:1".parse().unwrap()).local;
        let both = Expectation::SameLocalEndpoint { sockets: vec![SocketIndex(0), SocketIndex(1)], local };
        let text = "127.0.0.1:80, 127.0.0.1:80".to_owned();
        let same = [child(1, "127.0.0.1:80"), child(2, "127.0.0.1:80")];
        assert_eq!(check(&both, &same), (text.clone(), text, true));
        let other = [child(1, "127.0.0.1:80"), child(2, "127.0.0.1:81")];
        assert_eq!(check(&both, &other).1, "127.0.0.1:80, 127.0.0.1:81");
        assert_eq!(check(&both, &[vec![], vec![]]).1, "not connected, not connected");
    }

    #[test]
    fn sent_segments_are_those_that_the_kernel_counted() {
        let expectation = Expectation::NoSegmentSent { socket: SocketIndex(0) };
        let refused = |segs_out| {
            let mut history = history_of(&[Close, SynSent, Close]);
            history[1].segs_out = segs_out;
            history
        };
        let none = "0 segments".to_owned();
        assert_eq!(check(&expectation, &[refused(Some(0))]), (none.clone(), none, true));
        assert_eq!(check(&expectation, &[refused(Some(1))]).1, "1 segment");
        assert_eq!(check(&expectation, &[vec![]]).1, "CLOSE not reached");
        let uncounted = refused(None);
        assert_eq!(expectation.check("scenario", "name", &[uncounted.iter().collect()]), None);
    }

    #[test]
    fn a_corrupted_path_fails() {
        let mut path = path_of(1, Span::Opening, &[Close, SynSent, SynRecv, Established]);
        assert!(path.corrupt());
        assert!(!check(&path, &[history_of(&SELF)]).2);
        let mut outcome =
            Expectation::Outcome { expected: "1".to_owned(), observed: "1".to_owned(), pass: true };
        assert!(!outcome.corrupt());
    }
}
