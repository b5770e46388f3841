//! Which behaviours made which transitions, and how often.

use std::collections::BTreeMap;

use crate::model::{BehaviourResult, Edge, Protocol, TCP_EDGES};

/// The number of transitions of each behaviour along each edge. Transitions of MPTCP's own sockets, which mirror those of
/// their subflows, are not counted.
#[derive(Debug, Default)]
pub struct TransitionCounts(BTreeMap<Edge, BTreeMap<String, u64>>);

impl TransitionCounts {
    /// Counts the transitions of TCP sockets.
    pub fn of(results: &[BehaviourResult]) -> Self {
        let mut counts = Self::default();
        for result in results {
            let tcp = result
                .transitions
                .iter()
                .filter(|(_, transition)| transition.identity.protocol == Protocol::Tcp);
            for (_, transition) in tcp {
                *counts.0.entry(transition.edge()).or_default().entry(result.id.clone()).or_default() += 1;
            }
        }
        counts
    }

    /// The number of transitions along an edge.
    pub fn number(&self, edge: Edge) -> u64 {
        self.0.get(&edge).into_iter().flat_map(BTreeMap::values).sum()
    }

    /// The behaviours with transitions along an edge.
    pub fn behaviours(&self, edge: Edge) -> impl Iterator<Item = &str> {
        self.0.get(&edge).into_iter().flat_map(BTreeMap::keys).map(String::as_str)
    }

    /// The edges that Linux should not have.
    pub fn illegal(&self) -> impl Iterator<Item = Edge> {
        self.0.keys().copied().filter(|edge| !TCP_EDGES.contains(edge))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        State::{Close, Established, Listen, SynSent},
        testing,
    };

    #[test]
    fn transitions_are_counted_by_edge_and_behaviour() {
        let mut results = testing::results();
        let counts = TransitionCounts::of(&results);
        assert_eq!(counts.number((Close, SynSent)), 2);
        assert_eq!(counts.behaviours((Close, SynSent)).collect::<Vec<_>>(), ["open/simultaneous"]);
        assert_eq!(counts.number((Close, Listen)), 0);
        assert_eq!(counts.illegal().count(), 0);
        results[0].transitions[0].1.new = Established;
        assert_eq!(TransitionCounts::of(&results).illegal().collect::<Vec<_>>(), [(Close, Established)]);
        results[0].transitions[0].1.identity.protocol = Protocol::Mptcp;
        assert_eq!(TransitionCounts::of(&results).illegal().count(), 0);
    }
}
