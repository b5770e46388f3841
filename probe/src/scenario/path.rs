//! The states that a socket went through, and parts of them.

pub(super) use crate::model::path_text;
use crate::model::{State, Transition};

/// The part of a socket's path that an expectation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// From the first state to ESTABLISHED, inclusive; the whole path if the socket never reached it.
    Opening,
    /// From ESTABLISHED on, inclusive.
    Closing,
    /// The whole path.
    Whole,
}

impl Span {
    /// This part of `states`.
    pub(super) fn of(self, states: &[State]) -> &[State] {
        let established = states.iter().position(|state| *state == State::Established);
        match (self, established) {
            (Self::Whole, _) | (Self::Opening, None) => states,
            (Self::Opening, Some(index)) => &states[..=index],
            (Self::Closing, Some(index)) => &states[index..],
            (Self::Closing, None) => &[],
        }
    }
}

/// The states that a socket went through, including the one that it left first. If a transition does not start in
/// the state that the last one ended in, the path has both states.
pub(crate) fn path(history: &[&Transition]) -> Vec<State> {
    let mut states: Vec<State> = Vec::new();
    for transition in history {
        if states.last() != Some(&transition.old) {
            states.push(transition.old);
        }
        states.push(transition.new);
    }
    states
}
