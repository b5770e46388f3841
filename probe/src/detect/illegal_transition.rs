//! An edge that the kernel does not take, or two reports that do not follow from each other.

use super::{Context, Detector};
use crate::model::{Edge, Finding, FindingKind, Protocol, State, is_legal};

/// An edge is one report, and judged wherever it stands. What follows from what is judged only where
/// no report can be missing between the two, and only for TCP: MPTCP's own socket has other rules.
pub struct IllegalTransition;

impl Detector for IllegalTransition {
    fn watches(&self, edge: Edge) -> bool {
        !is_legal(Protocol::Tcp, edge)
    }

    fn observe(&mut self, context: &Context<'_>) -> Option<Finding> {
        let (old, new) = context.transition.edge();
        let protocol = context.transition.protocol;
        let broken: Option<State> =
            context.previous.filter(|previous| *previous != old && protocol == Protocol::Tcp);
        let message = match broken {
            _ if !is_legal(protocol, (old, new)) => {
                format!("the socket went from {old} to {new}, which Linux never does")
            }
            Some(previous) => {
                format!("the socket left {old}, though the report before had left it in {previous}")
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
    use crate::detect::testing::{Story, endpoint, state, walk};

    const ENDS: (&str, &str) = ("10.0.0.1:5000", "10.0.0.2:80");

    proptest! {
        #[test]
        fn no_walk_that_the_kernel_takes_is_flagged(walk in walk(), local in endpoint(), remote in endpoint()) {
            let mut story = Story::new(IllegalTransition);
            prop_assert_eq!(story.tell(7, (&local, &remote), &walk), []);
        }

        #[test]
        fn every_edge_that_it_does_not_take_is_flagged(
            walk in walk(),
            new in state(),
            local in endpoint(),
            remote in endpoint(),
        ) {
            let old = walk[walk.len() - 1];
            prop_assume!(!is_legal(Protocol::Tcp, (old, new)));
            let mut story = Story::new(IllegalTransition);
            story.tell(7, (&local, &remote), &walk);
            let findings = story.tell(7, (&local, &remote), &[old, new]);
            prop_assert_eq!(findings.len(), 1);
            prop_assert_eq!(findings[0].evidence.last(), Some(&(walk.len() as u64)));
        }

        #[test]
        fn a_report_that_does_not_follow_is_flagged_unless_some_were_lost(walk in walk(), other in walk()) {
            let edge = &other[other.len() - 2..];
            // A new child follows from nothing.
            prop_assume!(edge[0] != walk[walk.len() - 1] && edge[0] != Listen);
            let mut story = Story::new(IllegalTransition);
            story.tell(7, ENDS, &walk);
            prop_assert_eq!(story.tell(7, ENDS, edge).len(), 1);

            let mut story = Story::new(IllegalTransition);
            story.tell(7, ENDS, &walk);
            story.lose();
            prop_assert_eq!(story.tell(7, ENDS, edge), []);
        }
    }

    #[test]
    fn a_socket_first_seen_in_mid_life_follows_from_nothing() {
        let mut story = Story::new(IllegalTransition);
        assert_eq!(story.tell(7, ENDS, &[CloseWait, LastAck, Close]), []);
    }

    #[test]
    fn mptcp_has_its_own_rules() {
        let mut story = Story::new(IllegalTransition).mptcp();
        assert_eq!(story.tell(7, ENDS, &[Listen, Listen, Established]), []);
        assert_eq!(story.tell(7, ENDS, &[SynSent, Established]), []);
    }

    #[test]
    fn the_sentence_says_which() {
        let mut story = Story::new(IllegalTransition);
        let findings = story.tell(7, ENDS, &[Established, Listen]);
        insta::assert_snapshot!(findings[0].message, @"the socket went from ESTABLISHED to LISTEN, which Linux never does");
        let findings = story.tell(7, ENDS, &[SynSent, Established]);
        insta::assert_snapshot!(findings[0].message, @"the socket left SYN_SENT, though the report before had left it in LISTEN");
    }
}
