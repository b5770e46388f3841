//! A connect that its owner gave up before the handshake ended: the commonest end of a connect that gets no answer, since most
//! applications wait less than the kernel.

use std::time::Duration;

use super::{
    connect_attempt::{ConnectAttempt, may_end},
    detector::{Context, Detector, finding_of, who},
};
use crate::model::{Cause, CauseKind, Connection, Edge, Endpoints, Finding, FindingKind, Open, State};

/// Finds connects that a call of their owner ended.
pub struct ConnectGivenUp;

/// `None` where it was not its owner who ended it, or may not have been.
fn message(ended: &ConnectAttempt<'_>) -> Option<String> {
    let ConnectAttempt { identity, owner, lasted, cause, .. } = *ended;
    let Endpoints { local, remote } = identity.endpoints;
    if !is_by_owner(cause) {
        return None;
    }
    let from = local.port.map(|_| format!(" from {local}")).unwrap_or_default();
    let time = lasted.map(|lasted| format!(" after {}", text(lasted))).unwrap_or_default();
    let progress = match (ended.state, ended.segs_out) {
        (State::SynRecv, _) => "the peer's SYN had arrived, and no ACK of the SYN+ACK".to_owned(),
        // tcp_connect sends none where TCP_FASTOPEN_CONNECT left it to the first write (tcp_fastopen_defer_connect).
        (_, Some(0)) => {
            "no SYN was sent, since with TCP_FASTOPEN_CONNECT it waits for the first write".to_owned()
        }
        _ => ended.unanswered(),
    };
    let how = cause.detail();
    Some(format!("{} gave up connecting{from} to {remote}{time}, by {how}: {progress}", who(owner)))
}

fn text(lasted: Duration) -> String {
    if lasted < Duration::from_secs(1) {
        format!("{} ms", lasted.as_millis())
    } else {
        format!("{:.1} s", lasted.as_secs_f64())
    }
}

/// Whether the owner ended the connect by a call on this very socket. A subflow ends with its MPTCP socket, which has the
/// finding, and a socket under TCP_REPAIR never connected.
fn is_by_owner(cause: Cause) -> bool {
    let is_of_another_kind = matches!(
        cause,
        Cause::CloseOfMptcp
            | Cause::DisconnectOrMptcp
            | Cause::CloseInRepair
            | Cause::DisconnectInRepair
            | Cause::ListenerOrMptcpClose
    );
    cause.kind() == CauseKind::Call && !is_of_another_kind
}

impl Detector for ConnectGivenUp {
    fn watches(&self, edge: Edge) -> bool {
        may_end(edge)
    }

    fn observe(&mut self, context: &Context<'_>) -> Option<Finding> {
        if !context.open.is_some_and(Open::is_outgoing) {
            return None;
        }
        let message = message(&ConnectAttempt::of_transition(context)?)?;
        Some(context.finding(FindingKind::ConnectGivenUp, message))
    }

    fn examines(&self, edge: Edge) -> bool {
        may_end(edge)
    }

    fn ended(&mut self, connection: &Connection) -> Option<Finding> {
        if !connection.open.is_outgoing() {
            return None;
        }
        let message = message(&ConnectAttempt::of_connection(connection)?)?;
        Some(finding_of(connection, FindingKind::ConnectGivenUp, message))
    }
}

#[cfg(test)]
mod tests {
    use State::{Established, FinWait1, Listen, SynRecv, SynSent};

    use super::*;
    use crate::{
        detect::testing::{Simulation, connection},
        model::{Close, CloseCall, Counters, Errno, Mono},
    };

    const ENDPOINTS: (&str, &str) = ("10.0.0.1:40000", "10.0.0.2:80");

    /// The finding of a connect that lasted 2.5 s, or 30 ms.
    fn given_up(cause: Cause, segs_out: u32) -> Option<Finding> {
        let at = if segs_out > 1 { Mono(2_500_000_001) } else { Mono(30_000_001) };
        let connection = Connection {
            close: Some(Close { at, cause: Some(cause) }),
            counters: Some(Counters {
                bytes_sent: 0,
                bytes_received: 0,
                segs_out,
                synacks: None,
                segs_in: 0,
                retransmits: 0,
                srtt_us: None,
            }),
            ..connection(Open::Active, ENDPOINTS, &[State::Close, SynSent, State::Close], None)
        };
        ConnectGivenUp.ended(&connection)
    }

    #[test]
    fn how_far_the_handshake_had_come_is_said() {
        let close = Cause::Close(CloseCall::Close);
        let message = |cause, segs_out| given_up(cause, segs_out).expect("a finding").message;
        insta::assert_snapshot!(message(close, 3), @"client[100] gave up connecting from 10.0.0.1:40000 to 10.0.0.2:80 after 2.5 s, by close: 3 SYNs went unanswered");
        insta::assert_snapshot!(message(Cause::ConnectUnspec, 1), @"client[100] gave up connecting from 10.0.0.1:40000 to 10.0.0.2:80 after 30 ms, by connect(AF_UNSPEC): 1 SYN went unanswered");
        insta::assert_snapshot!(message(close, 0), @"client[100] gave up connecting from 10.0.0.1:40000 to 10.0.0.2:80 after 30 ms, by close: no SYN was sent, since with TCP_FASTOPEN_CONNECT it waits for the first write");
    }

    #[test]
    fn an_end_by_anybody_else_is_no_finding() {
        for cause in [
            Cause::RstReceived(Errno::ECONNREFUSED),
            Cause::CloseOfMptcp,
            Cause::CloseInRepair,
            Cause::Destroyed,
            Cause::DisconnectOrMptcp,
        ] {
            assert_eq!(given_up(cause, 1), None, "{cause:?}");
        }
    }

    #[test]
    fn a_connection_that_opened_is_no_finding() {
        let path = [State::Close, SynSent, Established, State::Close];
        let close = Some(Cause::Close(CloseCall::Close));
        assert_eq!(ConnectGivenUp.ended(&connection(Open::Active, ENDPOINTS, &path, close)), None);
        // A listener's child that was closed before the handshake ended.
        let path = [Listen, SynRecv, State::Close];
        assert_eq!(ConnectGivenUp.ended(&connection(Open::Passive, ENDPOINTS, &path, close)), None);
        let mut simulation = Simulation::new(ConnectGivenUp);
        assert_eq!(simulation.moves(1, ENDPOINTS, &[State::Close, SynSent, Established, FinWait1]), []);
    }
}
