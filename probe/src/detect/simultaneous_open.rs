//! A SYN arrived at a socket that had sent its own SYN (RFC 9293 §3.5, figure 7).

use super::detector::{Context, Detector, finding_of, who};
use crate::model::{Connection, Edge, Endpoints, Finding, FindingKind, Owner, State};

const EDGE: Edge = (State::SynSent, State::SynRecv);

/// Only `tcp_rcv_synsent_state_process` makes SYN_SENT→SYN_RECV: a simultaneous open, on this side for certain. Of the
/// peer it shows only that it sent a SYN: where our SYN was lost, or was sent too late to cross the peer's, the peer
/// receives a SYN+ACK in SYN_SENT and opens ordinarily.
pub struct SimultaneousOpen;

impl Detector for SimultaneousOpen {
    fn watches(&self, edge: Edge) -> bool {
        edge == EDGE
    }

    fn observe(&mut self, context: &Context<'_>) -> Option<Finding> {
        let transition = context.transition;
        let is_simultaneous = transition.edge() == EDGE && !transition.identity.endpoints.is_self();
        is_simultaneous.then(|| {
            context.finding(
                FindingKind::SimultaneousOpen,
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
        is_simultaneous.then(|| finding_of(connection, FindingKind::SimultaneousOpen, message()))
    }
}

fn message(owner: &Owner, endpoints: Endpoints) -> String {
    format!(
        "{} at {} received a SYN from {} while it was connecting there: a simultaneous open on this side (the peer may \
         see an ordinary open)",
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
    fn crossed_syns_are_a_simultaneous_open() {
        let mut simulation = Simulation::new(SimultaneousOpen);
        let endpoints = ("10.0.0.1:1314", "10.0.0.2:1314");
        assert_eq!(simulation.moves(7, endpoints, &[Close, SynSent]), []);
        let [finding] = &simulation.moves(7, endpoints, &[SynSent, SynRecv, Established])[..] else {
            panic!()
        };
        assert_eq!(finding.evidence, [1, 2]);
        assert_eq!(finding.remedy, None);
        insta::assert_snapshot!(finding.message, @"client[100] at 10.0.0.1:1314 received a SYN from 10.0.0.2:1314 while it was connecting there: a simultaneous open on this side (the peer may see an ordinary open)");
    }

    #[test]
    fn the_connection_alone_gives_the_same_message() {
        let endpoints = ("10.0.0.1:1314", "10.0.0.2:1314");
        let path = [Close, SynSent, SynRecv, Established, Close];
        let found = Simulation::new(SimultaneousOpen).moves(7, endpoints, &path);
        let finding = SimultaneousOpen
            .ended(&connection(Open::Simultaneous, endpoints, &path, None))
            .expect("a finding");
        assert_eq!((&finding.message, finding.kind), (&found[0].message, found[0].kind));
        let own = ("127.0.0.1:1314", "127.0.0.1:1314");
        assert_eq!(SimultaneousOpen.ended(&connection(Open::SelfConnect, own, &path, None)), None);
        assert_eq!(
            SimultaneousOpen.ended(&connection(Open::Active, endpoints, &[Close, SynSent, Close], None)),
            None
        );
    }

    #[test]
    fn ordinary_opens_and_self_connects_are_no_finding() {
        let mut simulation = Simulation::new(SimultaneousOpen);
        assert_eq!(
            simulation.moves(1, ("10.0.0.1:1314", "10.0.0.2:1314"), &[Close, SynSent, Established]),
            []
        );
        assert_eq!(
            simulation.moves(2, ("10.0.0.2:80", "10.0.0.1:5000"), &[Listen, SynRecv, Established]),
            []
        );
        assert_eq!(
            simulation.moves(3, ("[::1]:1314", "[::1]:1314"), &[Close, SynSent, SynRecv, Established]),
            []
        );
    }
}
