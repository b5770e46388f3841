//! A transition that Linux does not make, or two consecutive reports that contradict each other.

use super::detector::{Context, Detector};
use crate::model::{Edge, Finding, FindingKind, Protocol, State, is_legal};

/// An edge is checked wherever it occurs. Two consecutive reports are compared only where none can be lost in between,
/// and only for TCP: MPTCP sockets follow other rules.
pub struct IllegalTransition;

impl Detector for IllegalTransition {
    fn watches(&self, edge: Edge) -> bool {
        !is_legal(Protocol::Tcp, edge)
    }

    fn observe(&mut self, context: &Context<'_>) -> Option<Finding> {
        let (old, new) = context.transition.edge();
        let protocol = context.transition.identity.protocol;
        let contradicted: Option<State> =
            context.previous.filter(|previous| *previous != old && protocol == Protocol::Tcp);
        let message = match contradicted {
            _ if !is_legal(protocol, (old, new)) => {
                format!("the socket went from {old} to {new}, a transition that Linux does not make")
            }
            Some(previous) => {
                format!("the socket left {old}, but the previous report had left it in {previous}")
            }
            None => return None,
        };
        Some(context.finding(FindingKind::IllegalTransition, message))
    }
}

#[cfg(test)]
mod tests {
    use State::*;
    use proptest::prelude::*;

    use super::*;
    use crate::detect::testing::{Simulation, endpoint, state, walk};

    const ENDS: (&str, &str) = ("10.0.0.1:5000", "10.0.0.2:80");

    proptest! {
        #[test]
        fn no_path_along_legal_edges_is_flagged(walk in walk(), local in endpoint(), remote in endpoint()) {
            let mut simulation = Simulation::new(IllegalTransition);
            prop_assert_eq!(simulation.moves(7, (&local, &remote), &walk), []);
        }

        #[test]
        fn every_illegal_edge_is_flagged(
            walk in walk(),
            new in state(),
            local in endpoint(),
            remote in endpoint(),
        ) {
            let old = walk[walk.len() - 1];
            prop_assume!(!is_legal(Protocol::Tcp, (old, new)));
            let mut simulation = Simulation::new(IllegalTransition);
            simulation.moves(7, (&local, &remote), &walk);
            let findings = simulation.moves(7, (&local, &remote), &[old, new]);
            prop_assert_eq!(findings.len(), 1);
            prop_assert_eq!(findings[0].evidence.last(), Some(&(walk.len() as u64)));
        }

        #[test]
        fn contradicting_reports_are_flagged_unless_some_were_lost(walk in walk(), other in walk()) {
            let edge = &other[other.len() - 2..];
            // A new child has no previous report.
            prop_assume!(edge[0] != walk[walk.len() - 1] && edge[0] != Listen);
            let mut simulation = Simulation::new(IllegalTransition);
            simulation.moves(7, ENDS, &walk);
            prop_assert_eq!(simulation.moves(7, ENDS, edge).len(), 1);

            let mut simulation = Simulation::new(IllegalTransition);
            simulation.moves(7, ENDS, &walk);
            simulation.lose();
            prop_assert_eq!(simulation.moves(7, ENDS, edge), []);
        }
    }

    #[test]
    fn the_first_report_of_a_pre_existing_socket_contradicts_nothing() {
        let mut simulation = Simulation::new(IllegalTransition);
        assert_eq!(simulation.moves(7, ENDS, &[CloseWait, LastAck, Close]), []);
    }

    #[test]
    fn mptcp_sockets_are_not_checked() {
        let mut simulation = Simulation::new(IllegalTransition);
        simulation.over(Protocol::Mptcp);
        assert_eq!(simulation.moves(7, ENDS, &[Listen, Listen, Established]), []);
        assert_eq!(simulation.moves(7, ENDS, &[SynSent, Established]), []);
    }

    #[test]
    fn the_message_names_both_states() {
        let mut simulation = Simulation::new(IllegalTransition);
        let findings = simulation.moves(7, ENDS, &[Established, Listen]);
        insta::assert_snapshot!(findings[0].message, @"the socket went from ESTABLISHED to LISTEN, a transition that Linux does not make");
        let findings = simulation.moves(7, ENDS, &[SynSent, Established]);
        insta::assert_snapshot!(findings[0].message, @"the socket left SYN_SENT, but the previous report had left it in LISTEN");
    }
}
