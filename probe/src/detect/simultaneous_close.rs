//! Both ends closed at the same time (RFC 9293 §3.6, figure 13).

use super::{Context, Detector, who};
use crate::model::{Finding, FindingKind, State};

/// A FIN in FIN_WAIT1 that does not acknowledge ours crossed it. A self-connect always closes so.
pub struct SimultaneousClose;

impl Detector for SimultaneousClose {
    fn observe(&mut self, context: &Context<'_>) -> Option<Finding> {
        let transition = context.transition;
        if transition.edge() != (State::FinWait1, State::Closing) || transition.ends.is_self() {
            return None;
        }
        let explain = format!(
            "{} and {} closed at the same time: {} got the other's FIN before the ACK of its own",
            transition.ends.local,
            transition.ends.remote,
            who(&transition.owner),
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
        insta::assert_snapshot!(finding.explain, @"10.0.0.1:5000 and 10.0.0.2:80 closed at the same time: client[100] got the other's FIN before the ACK of its own");
    }

    #[test]
    fn a_self_connects_close_is_none() {
        let mut story = Story::new(SimultaneousClose);
        let ends = ("127.0.0.1:1314", "127.0.0.1:1314");
        let path = [Close, SynSent, SynRecv, Established, FinWait1, Closing, Close];
        assert_eq!(story.tell(7, ends, &path), []);
    }
}
