//! Connections: how each opened, what states it went through, how it ended.

use std::sync::Arc;

use super::{Cause, Counters, Mono, Owner, SocketId, SocketIdentity, State, StatePath};

/// A connection. It is complete once `close` is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The socket.
    pub socket: SocketId,
    /// Namespace, protocol, family and endpoints as last known.
    pub identity: SocketIdentity,
    /// How it opened.
    pub open: Open,
    /// The time of its first transition; `None` for a pre-existing socket.
    pub opened: Option<Mono>,
    /// When it reached ESTABLISHED.
    pub established: Option<Mono>,
    /// How and when it ended.
    pub close: Option<Close>,
    /// The states it went through, in order.
    pub path: StatePath,
    /// Its counters at the end.
    pub counters: Option<Counters>,
    /// The socket's owner.
    pub owner: Arc<Owner>,
    /// False where the start was not seen or reports were lost while it was open.
    pub complete: bool,
}

impl Connection {
    /// Which side closed it, or what else ended it; `None` where that is not certain.
    #[must_use]
    pub fn closed_by(&self) -> Option<ClosedBy> {
        let cause = self.close.as_ref()?.cause?;
        ClosedBy::of(&self.path, cause)
    }
}

/// How a connection opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Open {
    /// By connect(2).
    Active,
    /// A listener accepted it.
    Passive,
    /// By connect(2), while the peer's SYN arrived (RFC 9293 §3.5, figure 7).
    Simultaneous,
    /// The socket connected to itself.
    SelfConnect,
    /// Before the trace began.
    Preexisting,
}

impl Open {
    /// The name in output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::Simultaneous => "simultaneous",
            Self::SelfConnect => "self",
            Self::Preexisting => "preexisting",
        }
    }

    /// Whether this side called connect(2).
    #[must_use]
    pub fn is_outgoing(self) -> bool {
        matches!(self, Self::Active | Self::Simultaneous | Self::SelfConnect)
    }
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// When it reached CLOSE.
    pub at: Mono,
    /// The cause of its last transition; `None` where the kernel does not show it.
    pub cause: Option<Cause>,
}

/// Which side closed a connection, or what else ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClosedBy {
    /// This side: it sent the first FIN, or it gave up its connect.
    Local,
    /// The peer: it sent the first FIN.
    Remote,
    /// Both: each sent its FIN before it had the other's (RFC 9293 §3.6, figure 13).
    Both,
    /// This side sent an RST.
    ResetLocal,
    /// The peer sent an RST.
    ResetRemote,
    /// A timer of this side expired: retransmissions, probes or keepalive went unanswered.
    Timeout,
    /// This side's kernel: connect failed before a SYN was sent, an ICMP error ended the handshake, an administrator
    /// destroyed the socket, or an orphan was dropped.
    Kernel,
}

impl ClosedBy {
    /// Every value.
    pub const ALL: [Self; 7] = [
        Self::Local,
        Self::Remote,
        Self::Both,
        Self::ResetLocal,
        Self::ResetRemote,
        Self::Timeout,
        Self::Kernel,
    ];

    /// The name in output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Remote => "remote",
            Self::Both => "both",
            Self::ResetLocal => "reset-local",
            Self::ResetRemote => "reset-remote",
            Self::Timeout => "timeout",
            Self::Kernel => "kernel",
        }
    }

    /// Who closed a connection that took this path and ended for this reason. `None` where the path does not end in
    /// CLOSE, where the cause leaves two sides possible, and where the two contradict each other.
    ///
    /// An RST, a timeout or the kernel takes precedence over the FINs: a connection that the peer reset in FIN_WAIT1 is
    /// [`ResetRemote`](Self::ResetRemote). The state before CLOSE shows who sent the first FIN, even where the first
    /// states were not seen: FIN_WAIT1 and FIN_WAIT2 follow our FIN, CLOSE_WAIT and LAST_ACK the peer's, and CLOSING
    /// follows both.
    #[must_use]
    pub fn of(path: &StatePath, cause: Cause) -> Option<Self> {
        let (old, State::Close) = path.last_edge()? else { return None };
        match (cause, old) {
            // With this cause, the FIN exchange completed in FIN_WAIT2, or our FIN was acknowledged and the kernel
            // does not wait for the peer's FIN, since the socket is an orphan.
            (Cause::FinReceived | Cause::OrphanTimewaitOrRst, State::FinWait2) => Some(Self::Local),
            (Cause::AckOfFinReceived, State::LastAck) => Some(Self::Remote),
            (Cause::AckOfFinReceived, State::Closing) => Some(Self::Both),
            // Before the SYN is answered, neither a FIN nor an RST is sent.
            (
                Cause::Close(_) | Cause::Shutdown(_) | Cause::ConnectUnspec | Cause::Disconnect,
                State::SynSent,
            ) => Some(Self::Local),
            // tcp_close and tcp_disconnect send an RST in these states (tcp_need_reset).
            (
                Cause::CloseWithRst
                | Cause::ConnectUnspec
                | Cause::Disconnect
                | Cause::ListenerClose
                | Cause::DisconnectOrListenerClose,
                State::SynRecv | State::Established | State::CloseWait | State::FinWait1 | State::FinWait2,
            ) => Some(Self::ResetLocal),
            (_, State::Close | State::Listen | State::TimeWait | State::NewSynRecv) => None,
            (Cause::RstReceived(_), _) => Some(Self::ResetRemote),
            (
                Cause::SynTimeout
                | Cause::SynAckTimeout
                | Cause::FinTimeout
                | Cause::KeepaliveTimeout
                | Cause::Timeout
                | Cause::TimeoutAfterIcmp(_),
                _,
            ) => Some(Self::Timeout),
            (
                Cause::PortUnreachable
                | Cause::IcmpError(_)
                | Cause::TupleInUse
                | Cause::NoLocalPort
                | Cause::ConnectFailed
                | Cause::Destroyed
                | Cause::OrphanDropped,
                _,
            ) => Some(Self::Kernel),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;
    use crate::model::{
        CloseCall, Errno, ShutdownHow,
        State::{
            Close, CloseWait, Closing, Established, FinWait1, FinWait2, LastAck, Listen, NewSynRecv, SynRecv,
            SynSent, TimeWait,
        },
        testing::{any_cause, causes},
    };

    /// States from which a connection reaches CLOSE.
    const BEFORE_CLOSE: [State; 8] =
        [SynSent, SynRecv, Established, FinWait1, FinWait2, Closing, CloseWait, LastAck];

    /// Every state of a connection before CLOSE, with an ordinary path to it.
    fn paths() -> [(State, Vec<State>); 8] {
        let active = [Close, SynSent, Established];
        [
            (SynSent, vec![Close, SynSent]),
            (SynRecv, vec![Listen, SynRecv]),
            (Established, active.to_vec()),
            (FinWait1, [&active[..], &[FinWait1]].concat()),
            (FinWait2, [&active[..], &[FinWait1, FinWait2]].concat()),
            (Closing, [&active[..], &[FinWait1, Closing]].concat()),
            (CloseWait, [&active[..], &[CloseWait]].concat()),
            (LastAck, [&active[..], &[CloseWait, LastAck]].concat()),
        ]
    }

    /// The states before CLOSE in which a cause names who closed, and whom it names.
    fn expected(cause: Cause) -> Vec<(State, ClosedBy)> {
        let in_all = |closed_by| BEFORE_CLOSE.map(|state| (state, closed_by)).to_vec();
        let resets =
            [SynRecv, Established, CloseWait, FinWait1, FinWait2].map(|state| (state, ClosedBy::ResetLocal));
        let given_up = (SynSent, ClosedBy::Local);
        match cause {
            Cause::Close(CloseCall::Close | CloseCall::Exit | CloseCall::Exec)
            | Cause::Shutdown(
                ShutdownHow::Wr | ShutdownHow::Rdwr | ShutdownHow::Unknown | ShutdownHow::Deferred,
            ) => vec![given_up],
            Cause::ConnectUnspec | Cause::Disconnect => [&resets[..], &[given_up]].concat(),
            Cause::CloseWithRst | Cause::ListenerClose | Cause::DisconnectOrListenerClose => resets.to_vec(),
            Cause::FinReceived | Cause::OrphanTimewaitOrRst => vec![(FinWait2, ClosedBy::Local)],
            Cause::AckOfFinReceived => vec![(LastAck, ClosedBy::Remote), (Closing, ClosedBy::Both)],
            Cause::RstReceived(_) => in_all(ClosedBy::ResetRemote),
            Cause::SynTimeout
            | Cause::SynAckTimeout
            | Cause::FinTimeout
            | Cause::KeepaliveTimeout
            | Cause::Timeout
            | Cause::TimeoutAfterIcmp(_) => in_all(ClosedBy::Timeout),
            Cause::PortUnreachable
            | Cause::IcmpError(_)
            | Cause::TupleInUse
            | Cause::NoLocalPort
            | Cause::ConnectFailed
            | Cause::Destroyed
            | Cause::OrphanDropped => in_all(ClosedBy::Kernel),
            // Two sides are possible.
            Cause::RstOrPortUnreachable
            | Cause::RstOrDataAfterClose
            | Cause::ConnectFailedOrDisconnect
            | Cause::ChildDiscarded
            | Cause::ChildDiscardedOrDisconnect
            | Cause::CloseOrShutdownRdwr
            | Cause::CloseOrShutdown => vec![],
            // The cause is not known.
            Cause::UnknownError(_) | Cause::FollowsSubflows | Cause::UnknownTransition => vec![],
            // No connection ends for this reason.
            Cause::Listen
            | Cause::Connect
            | Cause::FastOpen
            | Cause::CloseOfMptcp
            | Cause::ChildCreated
            | Cause::SynReceived
            | Cause::SynAckReceived
            | Cause::AckOfSynReceived
            | Cause::DataFinReceived
            | Cause::AckOfDataFinReceived
            | Cause::ListenFailed
            | Cause::ListenerDestroyed
            | Cause::DestroyedAfterClose
            | Cause::ListenerStopped => vec![],
        }
    }

    #[test]
    fn path_and_cause_name_who_closed() {
        for cause in causes() {
            let expected = expected(cause);
            for (old, mut path) in paths() {
                path.push(Close);
                let closed_by = expected.iter().find(|(state, _)| *state == old).map(|(_, by)| *by);
                let path = path.into_iter().collect();
                assert_eq!(ClosedBy::of(&path, cause), closed_by, "{path:?}: {}", cause.detail());
            }
        }
    }

    #[test]
    fn ordinary_ends_are_named() {
        let reset = Cause::RstReceived(Errno::ECONNRESET);
        for (path, cause, name) in [
            (vec![Established, FinWait1, FinWait2, Close], Cause::FinReceived, Some("local")),
            (vec![Established, CloseWait, LastAck, Close], Cause::AckOfFinReceived, Some("remote")),
            (vec![Established, FinWait1, Closing, Close], Cause::AckOfFinReceived, Some("both")),
            (vec![Established, Close], Cause::CloseWithRst, Some("reset-local")),
            (vec![Established, Close], reset, Some("reset-remote")),
            (vec![Established, FinWait1, Close], reset, Some("reset-remote")),
            (vec![Established, Close], Cause::Timeout, Some("timeout")),
            (vec![Established, Close], Cause::Destroyed, Some("kernel")),
            (vec![Established, FinWait1, FinWait2, Close], Cause::RstOrDataAfterClose, None),
        ] {
            let closed_by = ClosedBy::of(&path.into_iter().collect(), cause);
            assert_eq!(closed_by.map(ClosedBy::name), name);
        }
    }

    proptest! {
        /// Whatever came before, the state before CLOSE and the cause decide; and a FIN is only attributed to a side
        /// whose FIN that state proves.
        #[test]
        fn no_value_contradicts_the_path(
            start in vec(select(State::ALL.to_vec()), 0..20),
            old in select(State::ALL.to_vec()),
            new in select(State::ALL.to_vec()),
            cause in any_cause(),
        ) {
            let path = start.into_iter().chain([old, new]).collect();
            let closed_by = ClosedBy::of(&path, cause);
            prop_assert_eq!(closed_by, ClosedBy::of(&[old, new].into(), cause));
            let ends_a_connection = new == Close && BEFORE_CLOSE.contains(&old);
            prop_assert!(closed_by.is_none() || ends_a_connection);
            prop_assert!(closed_by.is_none() || !matches!(old, Listen | TimeWait | NewSynRecv));
            match closed_by {
                Some(ClosedBy::Local) => prop_assert!(matches!(old, SynSent | FinWait1 | FinWait2)),
                Some(ClosedBy::Remote) => prop_assert!(matches!(old, CloseWait | LastAck)),
                Some(ClosedBy::Both) => prop_assert_eq!(old, Closing),
                Some(ClosedBy::ResetLocal) => prop_assert!(old != SynSent && cause.errno().is_none()),
                Some(ClosedBy::ResetRemote) => prop_assert!(matches!(cause, Cause::RstReceived(_))),
                Some(ClosedBy::Timeout) => prop_assert_eq!(cause.errno().is_some(), true),
                Some(ClosedBy::Kernel) | None => {}
            }
        }
    }

    #[test]
    fn a_path_without_its_end_names_nobody() {
        for cause in causes() {
            assert_eq!(ClosedBy::of(&StatePath::default(), cause), None);
            assert_eq!(ClosedBy::of(&[Close].into(), cause), None);
            assert_eq!(ClosedBy::of(&[Established, FinWait1].into(), cause), None);
        }
    }
}
