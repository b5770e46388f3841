//! The states that a socket went through, and parts of them.

use super::Span;
pub(super) use crate::model::path_text;
use crate::model::{State, Transition};

/// The states that a socket went through, the first one left included. Where one report does not
/// follow from the one before it, both states stand there.
pub(crate) fn path(life: &[&Transition]) -> Vec<State> {
    let mut states: Vec<State> = Vec::new();
    for transition in life {
        if states.last() != Some(&transition.old) {
            states.push(transition.old);
        }
        states.push(transition.new);
    }
    states
}

/// The part of the states that is meant.
pub(super) fn cut(states: &[State], span: Span) -> &[State] {
    let established = states.iter().position(|state| *state == State::Established);
    match (span, established) {
        (Span::Life, _) | (Span::Opening, None) => states,
        (Span::Opening, Some(at)) => &states[..=at],
        (Span::Closing, Some(at)) => &states[at..],
        (Span::Closing, None) => &[],
    }
}
