//! What was seen, held against what must be.

use super::{Behaviour, harness::RunResult};
use crate::{
    model::{BehaviourResult, BehaviourStatus, Observation, State, Transition},
    scenario::{StepError, path, resolve},
};

/// Holds one play of a behaviour against its entry. `transitions` is what the kernel reported in its namespaces.
#[must_use]
pub fn judge(behaviour: &Behaviour, played: RunResult, transitions: Vec<Transition>) -> BehaviourResult {
    let transitions: Vec<Transition> =
        transitions.into_iter().filter(|transition| transition.at <= played.until).collect();
    let labels = labels(&played, &transitions);
    let observed = Observation { paths: paths(&played, &transitions, &labels), facts: played.facts };
    let expected = behaviour.expected();
    let variant = behaviour.variants.iter().find(|variant| agree(&variant.instead_of(behaviour), &observed));
    let (status, reason) = match played.trouble {
        Some(StepError::Unsupported(why)) => (BehaviourStatus::Unsupported, Some(why)),
        // The kernel did not do in all that time what it does elsewhere at once.
        Some(trouble) if played.in_vain => (BehaviourStatus::Differs, Some(trouble.to_string())),
        Some(trouble @ StepError::Failed { .. }) => (BehaviourStatus::Failed, Some(trouble.to_string())),
        None if agree(&expected, &observed) || variant.is_some() => (BehaviourStatus::AsExpected, None),
        None => (BehaviourStatus::Differs, None),
    };
    let variant = variant.filter(|_| !agree(&expected, &observed));
    let mut sockets: Vec<_> =
        transitions.iter().map(|transition| transition.socket).zip(labels.clone()).collect();
    sockets.sort_unstable();
    sockets.dedup();
    BehaviourResult {
        expected: variant.map_or(expected, |variant| variant.instead_of(behaviour)),
        observed,
        variant: variant.map(|variant| variant.cause.to_owned()),
        packets: played.packets,
        labels: sockets.iter().map(|(socket, label)| (*socket, label.clone())).collect(),
        transitions: labels.into_iter().map(Some).zip(transitions).collect(),
        ..behaviour.result(status, reason)
    }
}

/// Whether the same was seen; the order in which sockets and facts are named is nobody's business.
fn agree(expected: &Observation, observed: &Observation) -> bool {
    let sorted = |sight: &Observation| {
        let mut sight = sight.clone();
        sight.paths.sort_unstable();
        sight.facts.sort_unstable();
        sight
    };
    sorted(expected) == sorted(observed)
}

/// For each transition what its socket is called. One that the steps have not named is a stranger.
fn labels(played: &RunResult, transitions: &[Transition]) -> Vec<String> {
    let mut strangers = Vec::new();
    resolve::places(&played.cast, transitions)
        .into_iter()
        .zip(transitions)
        .map(|(place, transition)| match place {
            Some(place) => played.cast[place].label.clone(),
            None => {
                let number = strangers.iter().position(|stranger| *stranger == transition.socket);
                let number = number.unwrap_or_else(|| {
                    strangers.push(transition.socket);
                    strangers.len() - 1
                });
                format!("stranger {}", number + 1)
            }
        })
        .collect()
}

/// Each socket's path, in the order in which the sockets appeared. One that never moved has none.
fn paths(played: &RunResult, transitions: &[Transition], labels: &[String]) -> Vec<(String, Vec<State>)> {
    let mut names: Vec<String> = played.cast.iter().map(|actor| actor.label.clone()).collect();
    names.extend(labels.iter().filter(|label| label.starts_with("stranger")).cloned());
    names.dedup();
    names
        .into_iter()
        .map(|name| {
            let life: Vec<&Transition> = transitions
                .iter()
                .zip(labels)
                .filter(|(_, label)| **label == name)
                .map(|(one, _)| one)
                .collect();
            let path = path(&life);
            (name, path)
        })
        .filter(|(_, path)| !path.is_empty())
        .collect()
}
