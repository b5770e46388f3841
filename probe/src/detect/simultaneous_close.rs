//! A FIN arrived at a socket whose own FIN was in flight (RFC 9293 §3.6, figure 13).

use super::detector::{Context, Detector, finding_of, who};
use crate::model::{Connection, Edge, Endpoints, Finding, FindingKind, Owner, State};

const EDGE: Edge = (State::FinWait1, State::Closing);

/// FIN_WAIT1→CLOSING is a FIN that does not acknowledge ours: a simultaneous close, on this side for certain. Where our
/// FIN was lost rather than crossed, the peer receives an ACK in FIN_WAIT1 and closes ordinarily. A self-connect always
/// closes like this.
pub struct SimultaneousClose;

impl Detector for SimultaneousClose {
    fn watches(&self, edge: Edge) -> bool {
        edge == EDGE
    }

    fn observe(&mut self, context: &Context<'_>) -> Option<Finding> {
        let transition = context.transition;
        let is_simultaneous = transition.edge() == EDGE && !transition.identity.endpoints.is_self();
        is_simultaneous.then(|| {
            context.finding(
                FindingKind::SimultaneousClose,
                message(&transition.owner, transition.identity.endpoints),
            )
        })
    }

    fn examines(&self, edge: Edge) -> bool {
        edge == EDGE
    }

    fn ended(&mut self, connection: &Connection) -> Option<Finding> {
        let is_simultaneous = connection.path.contains(EDGE) && !connection.identity.endpoints.is_self();
        let message = || message(&connection.owner, connection.identity.endpoints);
        is_simultaneous.then(|| finding_of(connection, FindingKind::SimultaneousClose, message()))
    }
}

fn message(owner: &Owner, endpoints: Endpoints) -> String {
    format!(
        "{} at {} received the FIN of {} before the ACK of its own FIN: a simultaneous close on this side (the peer \
         may see an ordinary close)",
        who(owner),
        endpoints.local,
        endpoints.remote,
    )
}

#[cfg(test)]
mod tests {
    use State::*;

    use super::*;
    use crate::{
        detect::testing::{Simulation, connection},
        model::Open,
    };

    #[test]
    fn crossed_fins_are_a_simultaneous_close() {
        let mut simulation = Simulation::new(SimultaneousClose);
        let endpoints = ("10.0.0.1:5000", "10.0.0.2:80");
        let findings =
            simulation.moves(7, endpoints, &[Close, SynSent, Established, FinWait1, Closing, Close]);
        let [finding] = &findings[..] else { panic!("{findings:?}") };
        assert_eq!(finding.evidence, [1, 2, 3, 4]);
        insta::assert_snapshot!(finding.message, @"client[100] at 10.0.0.1:5000 received the FIN of 10.0.0.2:80 before the ACK of its own FIN: a simultaneous close on this side (the peer may see an ordinary close)");
    }

    #[test]
    fn the_connection_alone_gives_the_same_message() {
        let endpoints = ("10.0.0.1:1314", "10.0.0.2:1314");
        let path = [Close, SynSent, Established, FinWait1, Closing, Close];
        let found = Simulation::new(SimultaneousClose).moves(7, endpoints, &path);
        let finding =
            SimultaneousClose.ended(&connection(Open::Active, endpoints, &path, None)).expect("a finding");
        assert_eq!((&finding.message, finding.kind), (&found[0].message, found[0].kind));
        let own = ("127.0.0.1:1314", "127.0.0.1:1314");
        assert_eq!(SimultaneousClose.ended(&connection(Open::SelfConnect, own, &path, None)), None);
        assert_eq!(
            SimultaneousClose.ended(&connection(Open::Active, endpoints, &[Close, SynSent, Close], None)),
            None
        );
    }

    #[test]
    fn the_close_of_a_self_connect_is_no_finding() {
        let mut simulation = Simulation::new(SimultaneousClose);
        let endpoints = ("127.0.0.1:1314", "127.0.0.1:1314");
        let path = [Close, SynSent, SynRecv, Established, FinWait1, Closing, Close];
        assert_eq!(simulation.moves(7, endpoints, &path), []);
    }
}
