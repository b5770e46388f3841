//! Which steps from state to state behaviours took, and how often.

use std::collections::BTreeMap;

use crate::model::{BehaviourResult, Edge, Protocol, TCP_EDGES};

/// The steps of TCP's sockets. MPTCP's own socket mirrors its subflows, so its steps are not among them.
#[derive(Debug, Default)]
pub struct Taken(BTreeMap<Edge, BTreeMap<String, u64>>);

impl Taken {
    /// Counts them.
    pub fn by(results: &[BehaviourResult]) -> Self {
        let mut taken = Self::default();
        for result in results {
            let tcp = result.transitions.iter().filter(|(_, one)| one.protocol == Protocol::Tcp);
            for (_, transition) in tcp {
                *taken.0.entry(transition.edge()).or_default().entry(result.id.clone()).or_default() += 1;
            }
        }
        taken
    }

    /// How often a step was taken.
    pub fn times(&self, edge: Edge) -> u64 {
        self.0.get(&edge).into_iter().flat_map(BTreeMap::values).sum()
    }

    /// Those that took it.
    pub fn behaviours(&self, edge: Edge) -> impl Iterator<Item = &str> {
        self.0.get(&edge).into_iter().flat_map(BTreeMap::keys).map(String::as_str)
    }

    /// The steps that Linux should not have.
    pub fn strange(&self) -> impl Iterator<Item = Edge> {
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
    fn steps_are_counted_with_those_that_took_them() {
        let mut results = testing::results();
        let taken = Taken::by(&results);
        assert_eq!(taken.times((Close, SynSent)), 2);
        assert_eq!(taken.behaviours((Close, SynSent)).collect::<Vec<_>>(), ["open/simultaneous"]);
        assert_eq!(taken.times((Close, Listen)), 0);
        assert_eq!(taken.strange().count(), 0);
        results[0].transitions[0].1.new = Established;
        assert_eq!(Taken::by(&results).strange().collect::<Vec<_>>(), [(Close, Established)]);
        results[0].transitions[0].1.protocol = Protocol::Mptcp;
        assert_eq!(Taken::by(&results).strange().count(), 0);
    }
}
