//! A FIN came to a socket whose own FIN was under way (RFC 9293 §3.6, figure 13).

use super::{Context, Detector, who};
use crate::model::{Finding, FindingKind, State};

/// FIN_WAIT1→CLOSING is a FIN that does not acknowledge ours: it is certain at this end. Where ours was
/// lost instead of crossing it, the other end gets an ACK in FIN_WAIT1 and closes ordinarily. A
/// self-connect always closes so.
pub struct SimultaneousClose;

impl Detector for SimultaneousClose {
    fn observe(&mut self, context: &Context<'_>) -> Option<Finding> {
        let transition = context.transition;
        if transition.edge() != (State::FinWait1, State::Closing) || transition.ends.is_self() {
            return None;
        }
        let explain = format!(
            "{} at {} got the FIN of {} before the ACK of its own: closed simultaneously at this end (the \
             other end may have seen an ordinary close)",
            who(&transition.owner),
            transition.ends.local,
            transition.ends.remote,
        );
        Some(context.finding(FindingKind::SimultaneousClose, explain))
    }
}

#[cfg(test)]
mod tests {
    use State::*;

    use super::*;
    use crate::detect::testing::Story;

    #[test]
    fn crossed_fins_are_one() {
        let mut story = Story::new(SimultaneousClose);
        let ends = ("10.0.0.1:5000", "10.0.0.2:80");
        let findings = story.tell(7, ends, &[Close, SynSent, Established, FinWait1, Closing, Close]);
        let [finding] = &findings[..] else { panic!("{findings:?}") };
        assert_eq!(finding.evidence, [1, 2, 3, 4]);
        insta::assert_snapshot!(finding.explain, @"client[100] at 10.0.0.1:5000 got the FIN of 10.0.0.2:80 before the ACK of its own: closed simultaneously at this end (the other end may have seen an ordinary close)");
    }

    #[test]
    fn a_self_connects_close_is_none() {
        let mut story = Story::new(SimultaneousClose);
        let ends = ("127.0.0.1:1314", "127.0.0.1:1314");
        let path = [Close, SynSent, SynRecv, Established, FinWait1, Closing, Close];
        assert_eq!(story.tell(7, ends, &path), []);
    }
}
