//! Comparing what a run observed with what its behaviour expects.

use super::{behaviour::Behaviour, harness::RunResult};
use crate::{
    model::{BehaviourResult, BehaviourStatus, Observation, State, Transition},
    scenario::{StepError, path, resolve},
};

/// Compares one run of a behaviour with its entry. `transitions` is what the kernel reported in the run's
/// namespaces.
#[must_use]
pub fn evaluate(behaviour: &Behaviour, run: RunResult, transitions: Vec<Transition>) -> BehaviourResult {
    let transitions: Vec<Transition> =
        transitions.into_iter().filter(|transition| transition.at <= run.ended).collect();
    let labels = labels(&run, &transitions);
    let observed = Observation { paths: paths(&run, &transitions, &labels), facts: run.facts };
    let expected = behaviour.expected();
    let variant = behaviour.variants.iter().find(|variant| is_same(&variant.expected(behaviour), &observed));
    let (status, reason) = match run.error {
        Some(StepError::Unsupported(reason)) => (BehaviourStatus::Unsupported, Some(reason)),
        // The kernel did not do within the time limit what other kernels do at once.
        Some(error) if run.timed_out => (BehaviourStatus::Differs, Some(error.to_string())),
        Some(error @ StepError::Failed { .. }) => (BehaviourStatus::Failed, Some(error.to_string())),
        None if is_same(&expected, &observed) || variant.is_some() => (BehaviourStatus::AsExpected, None),
        None => (BehaviourStatus::Differs, None),
    };
    let variant = variant.filter(|_| !is_same(&expected, &observed));
    let mut sockets: Vec<_> =
        transitions.iter().map(|transition| transition.socket).zip(labels.clone()).collect();
    sockets.sort_unstable();
    sockets.dedup();
    BehaviourResult {
        expected: variant.map_or(expected, |variant| variant.expected(behaviour)),
        observed,
        variant: variant.map(|variant| variant.cause.to_owned()),
        packets: run.packets,
        labels: sockets.iter().map(|(socket, label)| (*socket, label.clone())).collect(),
        transitions: labels.into_iter().map(Some).zip(transitions).collect(),
        ..behaviour.result(status, reason)
    }
}

/// Whether two observations are the same, in whatever order they list sockets and facts.
fn is_same(expected: &Observation, observed: &Observation) -> bool {
    let sorted = |observation: &Observation| {
        let mut observation = observation.clone();
        observation.paths.sort_unstable();
        observation.facts.sort_unstable();
        observation
    };
    sorted(expected) == sorted(observed)
}

/// The label of each transition's socket. Sockets that the steps have not labelled are `other socket 1` and so on.
fn labels(run: &RunResult, transitions: &[Transition]) -> Vec<String> {
    let mut others = Vec::new();
    resolve::assign(&run.sockets, transitions)
        .into_iter()
        .zip(transitions)
        .map(|(index, transition)| match index {
            Some(index) => run.sockets[index].label.clone(),
            None => {
                let number = others.iter().position(|other| *other == transition.socket);
                let number = number.unwrap_or_else(|| {
                    others.push(transition.socket);
                    others.len() - 1
                });
                format!("{OTHER_SOCKET} {}", number + 1)
            }
        })
        .collect()
}

/// The label of sockets that the steps have not labelled, before their number.
const OTHER_SOCKET: &str = "other socket";

/// The path of each socket that left CLOSE: labelled sockets in the order of the steps, then the others in
/// the order in which the kernel reported them.
fn paths(run: &RunResult, transitions: &[Transition], labels: &[String]) -> Vec<(String, Vec<State>)> {
    let mut names: Vec<String> = run.sockets.iter().map(|socket| socket.label.clone()).collect();
    names.extend(labels.iter().filter(|label| label.starts_with(OTHER_SOCKET)).cloned());
    names.dedup();
    names
        .into_iter()
        .map(|name| {
            let history: Vec<&Transition> = transitions
                .iter()
                .zip(labels)
                .filter(|(_, label)| **label == name)
                .map(|(transition, _)| transition)
                .collect();
            let path = path(&history);
            (name, path)
        })
        .filter(|(_, path)| !path.is_empty())
        .collect()
}
