//! A FIN came to a socket whose own FIN was under way (RFC 9293 §3.6, figure 13).

use super::{Context, Detector, finding_of, who};
use crate::model::{Connection, Edge, Endpoints, Finding, FindingKind, Owner, State};

const EDGE: Edge = (State::FinWait1, State::Closing);

/// FIN_WAIT1→CLOSING is a FIN that does not acknowledge ours: it is certain at this end. Where ours was
/// lost instead of crossing it, the other end gets an ACK in FIN_WAIT1 and closes ordinarily. A
/// self-connect always closes so.
pub struct SimultaneousClose;

impl Detector for SimultaneousClose {
    fn watches(&self, edge: Edge) -> bool {
        edge == EDGE
    }

    fn observe(&mut self, context: &Context<'_>) -> Option<Finding> {
        let transition = context.transition;
        let is_one = transition.edge() == EDGE && !transition.ends.is_self();
        is_one.then(|| {
            context.finding(FindingKind::SimultaneousClose, message(&transition.owner, transition.ends))
        })
    }

    fn heeds(&self, edge: Edge) -> bool {
        edge == EDGE
    }

    fn ended(&mut self, connection: &Connection) -> Option<Finding> {
        let is_one = connection.path.takes(EDGE) && !connection.ends.is_self();
        let message = || message(&connection.owner, connection.ends);
        is_one.then(|| finding_of(connection, FindingKind::SimultaneousClose, message()))
    }
}

fn message(owner: &Owner, ends: Endpoints) -> String {
    format!(
        "{} at {} got the FIN of {} before the ACK of its own: closed simultaneously at this end (the \
         other end may have seen an ordinary close)",
        who(owner),
        ends.local,
        ends.remote,
    )
}

#[cfg(test)]
mod tests {
    use State::*;

    use super::*;
    use crate::{
        detect::testing::{Story, whole},
        model::Open,
    };

    #[test]
    fn crossed_fins_are_one() {
        let mut story = Story::new(SimultaneousClose);
        let ends = ("10.0.0.1:5000", "10.0.0.2:80");
        let findings = story.tell(7, ends, &[Close, SynSent, Established, FinWait1, Closing, Close]);
        let [finding] = &findings[..] else { panic!("{findings:?}") };
        assert_eq!(finding.evidence, [1, 2, 3, 4]);
        insta::assert_snapshot!(finding.message, @"client[100] at 10.0.0.1:5000 got the FIN of 10.0.0.2:80 before the ACK of its own: closed simultaneously at this end (the other end may have seen an ordinary close)");
    }

    #[test]
    fn its_end_alone_tells_it_in_the_same_words() {
        let ends = ("10.0.0.1:1314", "10.0.0.2:1314");
        let path = [Close, SynSent, Established, FinWait1, Closing, Close];
        let told = Story::new(SimultaneousClose).tell(7, ends, &path);
        let finding = SimultaneousClose.ended(&whole(Open::Active, ends, &path, None)).expect("it is one");
        assert_eq!((&finding.message, finding.kind), (&told[0].message, told[0].kind));
        let own = ("127.0.0.1:1314", "127.0.0.1:1314");
        assert_eq!(SimultaneousClose.ended(&whole(Open::SelfConnect, own, &path, None)), None);
        assert_eq!(SimultaneousClose.ended(&whole(Open::Active, ends, &[Close, SynSent, Close], None)), None);
    }

    #[test]
    fn a_self_connects_close_is_none() {
        let mut story = Story::new(SimultaneousClose);
        let ends = ("127.0.0.1:1314", "127.0.0.1:1314");
        let path = [Close, SynSent, SynRecv, Established, FinWait1, Closing, Close];
        assert_eq!(story.tell(7, ends, &path), []);
    }
}
