//! A SYN came to a socket whose own connect was under way (RFC 9293 §3.5, figure 7).

use super::{Context, Detector, finding_of, who};
use crate::model::{Connection, Edge, Endpoints, Finding, FindingKind, Owner, State};

const EDGE: Edge = (State::SynSent, State::SynRecv);

/// SYN_SENT→SYN_RECV has one place in the kernel (`tcp_rcv_synsent_state_process`), so it is certain
/// at this end. Of the other it says only that it sent a SYN: where ours was lost, or came
/// too late to cross it, that end gets a SYN+ACK in SYN_SENT and opens ordinarily.
pub struct SimultaneousOpen;

impl Detector for SimultaneousOpen {
    fn watches(&self, edge: Edge) -> bool {
        edge == EDGE
    }

    fn observe(&mut self, context: &Context<'_>) -> Option<Finding> {
        let transition = context.transition;
        let is_one = transition.edge() == EDGE && !transition.ends.is_self();
        is_one.then(|| {
            context.finding(FindingKind::SimultaneousOpen, message(&transition.owner, transition.ends))
        })
    }

    fn heeds(&self, edge: Edge) -> bool {
        edge == EDGE
    }

    fn ended(&mut self, connection: &Connection) -> Option<Finding> {
        let is_one = connection.path.takes(EDGE) && !connection.ends.is_self();
        let message = || message(&connection.owner, connection.ends);
        is_one.then(|| finding_of(connection, FindingKind::SimultaneousOpen, message()))
    }
}

fn message(owner: &Owner, ends: Endpoints) -> String {
    format!(
        "{} at {} got a SYN from {} while its own connect to it was under way: opened simultaneously at \
         this end (the other end may have seen an ordinary open)",
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
    fn crossed_syns_are_one() {
        let mut story = Story::new(SimultaneousOpen);
        let ends = ("10.0.0.1:1314", "10.0.0.2:1314");
        assert_eq!(story.tell(7, ends, &[Close, SynSent]), []);
        let [finding] = &story.tell(7, ends, &[SynSent, SynRecv, Established])[..] else { panic!() };
        assert_eq!(finding.evidence, [1, 2]);
        assert_eq!(finding.remedy, None);
        insta::assert_snapshot!(finding.message, @"client[100] at 10.0.0.1:1314 got a SYN from 10.0.0.2:1314 while its own connect to it was under way: opened simultaneously at this end (the other end may have seen an ordinary open)");
    }

    #[test]
    fn its_end_alone_tells_it_in_the_same_words() {
        let ends = ("10.0.0.1:1314", "10.0.0.2:1314");
        let path = [Close, SynSent, SynRecv, Established, Close];
        let told = Story::new(SimultaneousOpen).tell(7, ends, &path);
        let finding =
            SimultaneousOpen.ended(&whole(Open::Simultaneous, ends, &path, None)).expect("it is one");
        assert_eq!((&finding.message, finding.kind), (&told[0].message, told[0].kind));
        let own = ("127.0.0.1:1314", "127.0.0.1:1314");
        assert_eq!(SimultaneousOpen.ended(&whole(Open::SelfConnect, own, &path, None)), None);
        assert_eq!(SimultaneousOpen.ended(&whole(Open::Active, ends, &[Close, SynSent, Close], None)), None);
    }

    #[test]
    fn nothing_else_is() {
        let mut story = Story::new(SimultaneousOpen);
        assert_eq!(story.tell(1, ("10.0.0.1:1314", "10.0.0.2:1314"), &[Close, SynSent, Established]), []);
        assert_eq!(story.tell(2, ("10.0.0.2:80", "10.0.0.1:5000"), &[Listen, SynRecv, Established]), []);
        assert_eq!(story.tell(3, ("[::1]:1314", "[::1]:1314"), &[Close, SynSent, SynRecv, Established]), []);
    }
}
