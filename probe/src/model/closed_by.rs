//! Which side closed a connection.

use super::{
    Cause, ListenerEnd,
    State::{self, *},
    StatePath,
};

/// Which side closed a connection, or what else ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClosedBy {
    /// This side: it sent the first FIN, or it gave up its connect, or it ended the connection under TCP_REPAIR.
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
    /// destroyed the socket or its listener, or an orphan or a child was dropped.
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
    /// CLOSE, where the cause leaves two values possible, and where the two contradict each other.
    ///
    /// An RST, a timeout or the kernel takes precedence over the FINs: a connection that the peer reset in FIN_WAIT1 is
    /// [`ResetRemote`](Self::ResetRemote).
    #[must_use]
    pub fn of(path: &StatePath, cause: Cause) -> Option<Self> {
        let (old, Close) = path.last_edge()? else { return None };
        if matches!(old, Close | Listen | TimeWait | NewSynRecv) {
            return None;
        }
        match cause {
            // Before the SYN is answered, neither a FIN nor an RST is sent.
            Cause::Close(_) | Cause::Shutdown(_) | Cause::DisconnectOrMptcp => {
                (old == SynSent).then_some(Self::Local)
            }
            Cause::ConnectUnspec | Cause::Disconnect => Some(by_disconnect(old)),
            Cause::CloseWithLinger => matches!(old, Closing | LastAck).then(|| by_disconnect(old)),
            Cause::CloseWithRst(_) | Cause::CloseOfMptcp if old == SynSent => Some(Self::Local),
            Cause::CloseWithRst(_) | Cause::CloseOfMptcp | Cause::DataAfterClose => Some(Self::ResetLocal),
            // Each of the two sends an RST, unless both FINs were sent.
            Cause::CloseOrDisconnect => matches!(old, FinWait1 | FinWait2).then_some(Self::ResetLocal),
            Cause::CloseInRepair | Cause::DisconnectInRepair => Some(by_fin(old)),
            Cause::ListenerEnd(ListenerEnd::Destroyed) => Some(Self::Kernel),
            Cause::ListenerEnd(_) | Cause::ListenerOrMptcpClose => {
                (old != SynSent).then(|| by_disconnect(old))
            }
            // With this cause, the FIN exchange completed in FIN_WAIT2, or our FIN was acknowledged and the kernel does
            // not wait for the peer's FIN, since the socket is an orphan.
            Cause::FinReceived
            | Cause::DataFinReceived
            | Cause::OrphanTimewait
            | Cause::OrphanTimewaitOrRst => (old == FinWait2).then_some(Self::Local),
            Cause::OrphanReset => (old == FinWait2).then_some(Self::ResetLocal),
            Cause::AckOfFinReceived | Cause::AckOfDataFinReceived => {
                matches!(old, Closing | LastAck).then(|| by_fin(old))
            }
            Cause::RstReceived(_) | Cause::FastcloseReceived => Some(Self::ResetRemote),
            Cause::Timeout(..) | Cause::MptcpTimeout => Some(Self::Timeout),
            Cause::PortUnreachable
            | Cause::IcmpError(_)
            | Cause::TupleInUse
            | Cause::NoLocalPort
            | Cause::ConnectFailed
            | Cause::Destroyed
            | Cause::ChildDiscarded
            | Cause::OrphanDropped => Some(Self::Kernel),
            // Two are possible.
            Cause::DisconnectOrListenerEnd
            | Cause::RstOrPortUnreachable
            | Cause::RstOrDataAfterClose
            | Cause::IcmpErrorOrTimeout(_)
            | Cause::AfterIcmpError(_)
            | Cause::ConnectFailedOrDisconnect
            | Cause::ChildDiscardedOrDisconnect
            // The subflows' own ends show it.
            | Cause::SubflowClosed
            | Cause::SubflowFailed
            | Cause::SubflowsClosed
            // The cause is not known.
            | Cause::MptcpUnknown
            | Cause::UnknownError(_)
            | Cause::UnknownTransition
            // No connection ends for this reason.
            | Cause::Listen
            | Cause::Connect
            | Cause::ConnectInRepair
            | Cause::FastOpen
            | Cause::ConnectOrFastOpen
            | Cause::CloseOrShutdownRdwr
            | Cause::CloseOrShutdown
            | Cause::CloseShutdownOrMptcp
            | Cause::ChildCreated
            | Cause::SynReceived
            | Cause::SynAckReceived
            | Cause::AckOfSynReceived
            | Cause::SubflowEstablished
            | Cause::SynAckOrRepair
            | Cause::ListenFailed
            | Cause::ListenerDestroyed
            | Cause::DestroyedAfterClose
            | Cause::ListenerStopped => None,
        }
    }
}

/// tcp_disconnect: it sends an RST unless the peer needs none (tcp_need_reset).
fn by_disconnect(old: State) -> ClosedBy {
    match old {
        SynSent | Closing | LastAck => by_fin(old),
        _ => ClosedBy::ResetLocal,
    }
}

/// Who sent the first FIN, as the last state shows even where the first states were not seen: FIN_WAIT1 and FIN_WAIT2 follow
/// our FIN, CLOSE_WAIT and LAST_ACK the peer's, and CLOSING follows both. Where there was none, this side.
fn by_fin(old: State) -> ClosedBy {
    match old {
        CloseWait | LastAck => ClosedBy::Remote,
        Closing => ClosedBy::Both,
        _ => ClosedBy::Local,
    }
}

#[cfg(test)]
mod tests;
