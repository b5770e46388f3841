//! Expectations as data, and holding them against what the kernel reported.

use super::{
    opening::Opening,
    path::{cut, path, path_text},
};
use crate::model::{Check, Endpoint, Mono, State, Transition};

/// A socket of the story's, by its place in the cast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ActorId(pub(super) usize);

/// Which part of a socket's life a path is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// From its first state to ESTABLISHED, that included; all of it where it never got there.
    Opening,
    /// From ESTABLISHED on, that included.
    Closing,
    /// All of it.
    Life,
}

/// What the driver expects of something it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// Known as soon as it was done: what a call returned, what was read, what the wire carried.
    Done {
        /// What TCP, or the manual, says.
        expected: String,
        /// What came.
        observed: String,
        /// Whether that will do.
        pass: bool,
    },
    /// Each of the sockets went through these states, as the kernel reported them.
    Path {
        /// The sockets.
        actors: Vec<ActorId>,
        /// The part of their lives that is meant.
        span: Span,
        /// The states in order, the first one left included.
        states: Vec<State>,
    },
    /// There was a moment at which all of the sockets were in this state.
    Together {
        /// The sockets.
        actors: Vec<ActorId>,
        /// The state.
        state: State,
    },
    /// The sockets were refused one after the other, until the last one opened.
    Until {
        /// Those that were refused; there may be none.
        refused: Vec<ActorId>,
        /// The one that was not.
        last: ActorId,
        /// Its states up to ESTABLISHED.
        states: Vec<State>,
    },
    /// All of the sockets were connected from one local end.
    OneEnd {
        /// The sockets.
        actors: Vec<ActorId>,
        /// The end.
        local: Endpoint,
    },
    /// The socket connected, whichever way.
    Opened {
        /// The socket.
        actor: ActorId,
    },
    /// The socket reached CLOSE without a single segment sent.
    NoSegment {
        /// The socket.
        actor: ActorId,
    },
}

impl Expectation {
    /// Holds the expectation against each actor's transitions. `None` where the backend that reported
    /// them cannot tell.
    pub(super) fn check(&self, scenario: &str, name: &str, lives: &[Vec<&Transition>]) -> Option<Check> {
        let (expected, observed, pass) = match self {
            Self::Done { expected, observed, pass } => (expected.clone(), observed.clone(), *pass),
            Self::Path { actors, span, states } => {
                equal(path_text(states), observed_path(actors, *span, states, lives))
            }
            Self::Together { actors, state } => {
                equal(in_state(*state, true), in_state(*state, were_together(actors, *state, lives)))
            }
            Self::Until { refused, last, states } => {
                equal(until(&path_text(states)), observed_until(refused, *last, lives))
            }
            Self::OneEnd { actors, local } => {
                let expected = vec![local.to_string(); actors.len()];
                let observed = actors.iter().map(|actor| local_end(&lives[actor.0]));
                equal(expected.join(", "), observed.collect::<Vec<_>>().join(", "))
            }
            Self::Opened { actor } => {
                let opening = Opening::of(&lives[actor.0]);
                ("simultaneous here, or ordinary here".to_owned(), opening.to_string(), opening.is_open())
            }
            Self::NoSegment { actor } => equal(segments(0), segments_sent(&lives[actor.0])?),
        };
        Some(Check { scenario: scenario.to_owned(), name: name.to_owned(), expected, observed, pass })
    }

    /// Makes the expectation one that no kernel meets: the last two states change places. Says
    /// whether there was a path to spoil.
    pub(super) fn spoil(&mut self) -> bool {
        let Self::Path { states, .. } = self else { return false };
        let [.., last_but_one, last] = states.as_mut_slice() else { return false };
        std::mem::swap(last_but_one, last);
        true
    }
}

fn equal(expected: String, observed: String) -> (String, String, bool) {
    let pass = expected == observed;
    (expected, observed, pass)
}

/// The path that all took; else that of the first one which strayed.
fn observed_path(actors: &[ActorId], span: Span, states: &[State], lives: &[Vec<&Transition>]) -> String {
    let stray = actors.iter().enumerate().find_map(|(place, actor)| {
        let whole = path(&lives[actor.0]);
        let seen = cut(&whole, span);
        (seen != states).then(|| (place, path_text(seen)))
    });
    match stray {
        None => path_text(states),
        Some((_, seen)) if actors.len() == 1 => seen,
        Some((place, seen)) => format!("{seen} (number {})", place + 1),
    }
}

fn until(path: &str) -> String {
    format!("refused until {path}")
}

/// The path of the first that ended otherwise than refused; else that of the last.
fn observed_until(refused: &[ActorId], last: ActorId, lives: &[Vec<&Transition>]) -> String {
    let is_refused = |actor: &ActorId| path(&lives[actor.0]) == [State::Close, State::SynSent, State::Close];
    match refused.iter().position(|actor| !is_refused(actor)) {
        Some(place) => format!("{} (try {})", path_text(&path(&lives[refused[place].0])), place + 1),
        None => until(&path_text(cut(&path(&lives[last.0]), Span::Opening))),
    }
}

/// Where the socket was when it was connected.
fn local_end(life: &[&Transition]) -> String {
    let connected = life.iter().find(|transition| transition.new == State::Established);
    connected.map_or_else(
        || "not connected".to_owned(),
        |transition| transition.ends.local.canonical().to_string(),
    )
}

fn in_state(state: State, together: bool) -> String {
    format!("{}{state} at once", if together { "" } else { "never " })
}

fn segments(count: u32) -> String {
    format!("{count} {}", if count == 1 { "segment" } else { "segments" })
}

/// What the kernel had counted when the socket reached CLOSE; `None` from a backend without counters.
fn segments_sent(life: &[&Transition]) -> Option<String> {
    match life.iter().find(|transition| transition.new == State::Close) {
        Some(closed) => closed.segs_out.map(segments),
        None => Some("CLOSE not reached".to_owned()),
    }
}

/// When the socket entered the state first, and when it left it.
fn stay(life: &[&Transition], state: State) -> Option<(Mono, Option<Mono>)> {
    let entered = life.iter().position(|transition| transition.new == state)?;
    let left = life[entered + 1..].iter().find(|transition| transition.old == state);
    Some((life[entered].at, left.map(|transition| transition.at)))
}

fn were_together(actors: &[ActorId], state: State, lives: &[Vec<&Transition>]) -> bool {
    let stays: Option<Vec<_>> = actors.iter().map(|actor| stay(&lives[actor.0], state)).collect();
    let Some(stays) = stays else { return false };
    let last_entered = stays.iter().map(|(entered, _)| *entered).max();
    let first_left = stays.iter().filter_map(|(_, left)| *left).min();
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
        stage,
        testing::{actor, life, moved},
    };

    /// Expected and observed, and whether the check passes.
    fn check(expectation: &Expectation, lives: &[Vec<Transition>]) -> (String, String, bool) {
        let lives: Vec<Vec<&Transition>> = lives.iter().map(|life| life.iter().collect()).collect();
        let check = expectation.check("scenario", "name", &lives).unwrap();
        (check.expected, check.observed, check.pass)
    }

    fn path_of(actors: usize, span: Span, states: &[State]) -> Expectation {
        Expectation::Path { actors: (0..actors).map(ActorId).collect(), span, states: states.to_vec() }
    }

    fn lived(states: &[State]) -> Vec<Transition> {
        life(&actor(1, "127.0.0.1:1314", "127.0.0.1:1314"), 10, states)
    }

    const SELF: [State; 7] = [Close, SynSent, SynRecv, Established, FinWait1, Closing, Close];

    #[test]
    fn a_path_is_cut_at_established() {
        let lives = [lived(&SELF)];
        let opening = path_of(1, Span::Opening, &[Close, SynSent, SynRecv, Established]);
        let text = "CLOSE → SYN_SENT → SYN_RECV → ESTABLISHED".to_owned();
        assert_eq!(check(&opening, &lives), (text.clone(), text, true));
        let closing = path_of(1, Span::Closing, &[Established, FinWait1, Closing, Close]);
        assert!(check(&closing, &lives).2);
        assert!(check(&path_of(1, Span::Life, &SELF), &lives).2);
    }

    #[test]
    fn another_path_fails_and_shows() {
        let plain = [lived(&[Close, SynSent, Established])];
        let crossed = path_of(1, Span::Opening, &[Close, SynSent, SynRecv, Established]);
        let (_, observed, pass) = check(&crossed, &plain);
        assert_eq!((observed.as_str(), pass), ("CLOSE → SYN_SENT → ESTABLISHED", false));

        let refused = [lived(&[Close, SynSent, Close])];
        assert_eq!(check(&crossed, &refused).1, "CLOSE → SYN_SENT → CLOSE");
        let closing = path_of(1, Span::Closing, &[Established, Close]);
        assert_eq!(check(&closing, &refused).1, "no transition");
        assert_eq!(check(&crossed, &[vec![]]).1, "no transition");
    }

    #[test]
    fn a_state_too_many_and_a_gap_fail() {
        let whole = path_of(1, Span::Life, &[Close, Listen, Close]);
        assert!(check(&whole, &[lived(&[Close, Listen, Close])]).2);
        assert!(!check(&whole, &[lived(&[Close, Listen, Close, Close])]).2);
        assert!(!check(&whole, &[lived(&[Close, Listen])]).2);

        let one = actor(1, "127.0.0.1:1", "127.0.0.1:2");
        let gap = vec![moved(&one, 1, Close, SynSent), moved(&one, 2, SynRecv, Established)];
        let through = path_of(1, Span::Opening, &[Close, SynSent, Established]);
        assert_eq!(check(&through, &[gap]).1, "CLOSE → SYN_SENT → SYN_RECV → ESTABLISHED");
    }

    #[test]
    fn of_several_the_first_that_strays_shows() {
        let refused = || lived(&[Close, SynSent, Close]);
        let all = path_of(3, Span::Life, &[Close, SynSent, Close]);
        let expected = "CLOSE → SYN_SENT → CLOSE".to_owned();
        let three = [refused(), refused(), refused()];
        assert_eq!(check(&all, &three), (expected.clone(), expected.clone(), true));
        let stray = "CLOSE → SYN_SENT → ESTABLISHED (number 2)".to_owned();
        let one_strays = [refused(), lived(&[Close, SynSent, Established]), refused()];
        assert_eq!(check(&all, &one_strays), (expected, stray, false));
    }

    #[test]
    fn together_is_a_moment_and_not_a_succession() {
        let (one, two) = (actor(1, "127.0.0.1:1", "127.0.0.1:3"), actor(2, "127.0.0.1:2", "127.0.0.1:3"));
        let stay = |actor, from, to| {
            vec![moved(actor, from, SynSent, Established), moved(actor, to, Established, Close)]
        };
        let both = Expectation::Together { actors: vec![ActorId(0), ActorId(1)], state: Established };
        let all = "ESTABLISHED at once".to_owned();
        assert_eq!(check(&both, &[stay(&one, 1, 5), stay(&two, 4, 9)]), (all.clone(), all, true));
        assert_eq!(check(&both, &[stay(&one, 1, 5), stay(&two, 5, 9)]).1, "never ESTABLISHED at once");
        assert!(!check(&both, &[stay(&one, 1, 5), vec![]]).2);
        let still_there = vec![moved(&two, 6, SynSent, Established)];
        assert!(check(&both, &[stay(&one, 1, 7), still_there.clone()]).2);
        assert!(!check(&both, &[stay(&one, 1, 5), still_there]).2);
    }

    #[test]
    fn tries_are_refused_until_one_opens() {
        let states = vec![Close, SynSent, SynRecv, Established];
        let until = |count| Expectation::Until {
            refused: (0..count).map(ActorId).collect(),
            last: ActorId(count),
            states: states.clone(),
        };
        let (refused, hit) = (|| lived(&[Close, SynSent, Close]), || lived(&SELF));
        let text = "refused until CLOSE → SYN_SENT → SYN_RECV → ESTABLISHED".to_owned();
        assert_eq!(check(&until(0), &[hit()]), (text.clone(), text.clone(), true));
        assert_eq!(check(&until(2), &[refused(), refused(), hit()]), (text.clone(), text, true));
        let plain = lived(&[Close, SynSent, Established]);
        let (_, observed, pass) = check(&until(2), &[refused(), plain.clone(), hit()]);
        assert_eq!((observed.as_str(), pass), ("CLOSE → SYN_SENT → ESTABLISHED (try 2)", false));
        assert!(!check(&until(1), &[refused(), plain]).2);
        assert_eq!(check(&until(1), &[vec![], hit()]).1, "no transition (try 1)");
    }

    #[test]
    fn one_end_is_what_the_kernel_reported() {
        let child = |cookie, local| {
            life(&actor(cookie, local, "127.0.0.1:12345"), 1, &[Listen, SynRecv, Established, Close])
        };
        let local = stage::ends("127.0.0.1:80".parse().unwrap(), "127.0.0.1:1".parse().unwrap()).local;
        let both = Expectation::OneEnd { actors: vec![ActorId(0), ActorId(1)], local };
        let text = "127.0.0.1:80, 127.0.0.1:80".to_owned();
        let same = [child(1, "127.0.0.1:80"), child(2, "127.0.0.1:80")];
        assert_eq!(check(&both, &same), (text.clone(), text, true));
        let other = [child(1, "127.0.0.1:80"), child(2, "127.0.0.1:81")];
        assert_eq!(check(&both, &other).1, "127.0.0.1:80, 127.0.0.1:81");
        assert_eq!(check(&both, &[vec![], vec![]]).1, "not connected, not connected");
    }

    #[test]
    fn no_segment_is_the_kernels_own_count() {
        let expectation = Expectation::NoSegment { actor: ActorId(0) };
        let refused = |segs_out| {
            let mut life = lived(&[Close, SynSent, Close]);
            life[1].segs_out = segs_out;
            life
        };
        let none = "0 segments".to_owned();
        assert_eq!(check(&expectation, &[refused(Some(0))]), (none.clone(), none, true));
        assert_eq!(check(&expectation, &[refused(Some(1))]).1, "1 segment");
        assert_eq!(check(&expectation, &[vec![]]).1, "CLOSE not reached");
        let untold = refused(None);
        assert_eq!(expectation.check("scenario", "name", &[untold.iter().collect()]), None);
    }

    #[test]
    fn a_spoilt_path_is_met_by_no_kernel() {
        let mut path = path_of(1, Span::Opening, &[Close, SynSent, SynRecv, Established]);
        assert!(path.spoil());
        assert!(!check(&path, &[lived(&SELF)]).2);
        let mut done = Expectation::Done { expected: "1".to_owned(), observed: "1".to_owned(), pass: true };
        assert!(!done.spoil());
    }
}
