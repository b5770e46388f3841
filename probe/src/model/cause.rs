//! Why a socket changed its state.

use super::Errno;

/// What triggered a state change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CauseKind {
    /// A system call of the owner.
    Call,
    /// A segment from the peer, or an ICMP message about one of ours.
    Segment,
    /// A timer of the socket.
    Timer,
    /// The kernel itself, or an administrator through it (sock_diag, BPF).
    Kernel,
}

impl CauseKind {
    /// The name in output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Segment => "segment",
            Self::Timer => "timer",
            Self::Kernel => "kernel",
        }
    }
}

/// Why a socket changed its state. Where the kernel's report leaves two causes possible, the variant names both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    // CauseKind::Call
    /// listen(2).
    Listen,
    /// connect(2).
    Connect,
    /// sendto(2) or sendmsg(2) with MSG_FASTOPEN.
    FastOpen,
    /// shutdown(2).
    Shutdown(ShutdownHow),
    /// The last descriptor was closed.
    Close(CloseCall),
    /// close(2), or shutdown(2) with SHUT_RDWR.
    CloseOrShutdownRdwr,
    /// close(2), or shutdown(2).
    CloseOrShutdown,
    /// close(2) with unread data or with SO_LINGER 0: it sends an RST in place of a FIN.
    CloseWithRst,
    /// close(2) of the MPTCP socket that the subflow belongs to.
    CloseOfMptcp,
    /// connect(2) to AF_UNSPEC (`tcp_disconnect`).
    ConnectUnspec,
    /// `tcp_disconnect`, by a call that is not known.
    Disconnect,
    /// close(2) of the listener, before the connection was accepted (`inet_csk_listen_stop`).
    ListenerClose,
    /// One of the last two.
    DisconnectOrListenerClose,

    // CauseKind::Segment
    /// The listener created a child: at the third segment of the handshake, or at the SYN with TCP Fast Open.
    ChildCreated,
    /// A SYN without an ACK, in SYN_SENT.
    SynReceived,
    /// A SYN+ACK.
    SynAckReceived,
    /// The ACK of our SYN or SYN+ACK.
    AckOfSynReceived,
    /// A FIN.
    FinReceived,
    /// The ACK of our FIN.
    AckOfFinReceived,
    /// MPTCP: a DATA_FIN, or the subflow's FIN after a fallback to TCP.
    DataFinReceived,
    /// MPTCP: the ACK of our DATA_FIN, or of the subflow's FIN after a fallback to TCP.
    AckOfDataFinReceived,
    /// An RST (`tcp_reset`), with the error that it leaves in the socket.
    RstReceived(Errno),
    /// An ICMP or ICMPv6 port unreachable, in the handshake.
    PortUnreachable,
    /// One of the last two, in SYN_SENT.
    RstOrPortUnreachable,
    /// Another ICMP error, in the handshake; the error number says which.
    IcmpError(Errno),
    /// An RST, or data that no process can read any more, which the kernel answers with an RST.
    RstOrDataAfterClose,

    // CauseKind::Timer
    /// The SYN was not answered.
    SynTimeout,
    /// The SYN+ACK was not acknowledged.
    SynAckTimeout,
    /// The FIN was not acknowledged.
    FinTimeout,
    /// Keepalive probes were not answered, in FIN_WAIT2.
    KeepaliveTimeout,
    /// Data, window probes or keepalive probes were not answered.
    Timeout,
    /// Data was not acknowledged, and an ICMP error had arrived before (`sk_err_soft`).
    TimeoutAfterIcmp(Errno),

    // CauseKind::Kernel
    /// connect(2) failed before it sent a SYN: the 4-tuple is in use (`__inet_check_established`).
    TupleInUse,
    /// connect(2) failed before it sent a SYN: no local port is free (`__inet_hash_connect`).
    NoLocalPort,
    /// connect(2) failed before it sent a SYN, for another reason: route, policy, memory.
    ConnectFailed,
    /// The last one, or `tcp_disconnect`.
    ConnectFailedOrDisconnect,
    /// listen(2) failed: another socket has the port (`inet_csk_listen_start`).
    ListenFailed,
    /// `tcp_abort`: an administrator destroyed the socket, over sock_diag (`ss -K`) or by BPF.
    Destroyed,
    /// The listener was destroyed over sock_diag.
    ListenerDestroyed,
    /// The socket was destroyed when it was in CLOSE already.
    DestroyedAfterClose,
    /// The listener ended without close(2).
    ListenerStopped,
    /// The kernel dropped a child before its handshake ended (`inet_child_forget`, `tcp_v4_syn_recv_sock`).
    ChildDiscarded,
    /// The last one, or `tcp_disconnect`.
    ChildDiscardedOrDisconnect,
    /// No process held the socket in FIN_WAIT2: the kernel replaced it by a timewait socket in FIN_WAIT2
    /// (`tcp_time_wait`) or sent an RST.
    OrphanTimewaitOrRst,
    /// No process held the socket: the kernel dropped it for want of memory or with its namespace.
    OrphanDropped,
    /// The socket ended with an error that names no cause.
    UnknownError(Errno),
    /// An MPTCP socket, which follows the states of its subflows.
    FollowsSubflows,
    /// A transition that Linux is not known to make.
    UnknownTransition,
}

/// How shutdown(2) was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ShutdownHow {
    /// SHUT_WR.
    Wr,
    /// SHUT_RDWR.
    Rdwr,
    /// Not known.
    Unknown,
    /// SHUT_WR in SYN_RECV: since Linux 6.9 the FIN waits for ESTABLISHED.
    Deferred,
}

/// The call that closed the last descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseCall {
    /// close(2), dup2(2), close_range(2); or any call that a signal or io_uring closed it in.
    Close,
    /// The process exited.
    Exit,
    /// execve(2) closed it (FD_CLOEXEC).
    Exec,
}

impl Cause {
    /// What triggered it.
    #[must_use]
    pub fn kind(self) -> CauseKind {
        use Cause::*;
        match self {
            Listen
            | Connect
            | FastOpen
            | Shutdown(_)
            | Close(_)
            | CloseOrShutdownRdwr
            | CloseOrShutdown
            | CloseWithRst
            | CloseOfMptcp
            | ConnectUnspec
            | Disconnect
            | ListenerClose
            | DisconnectOrListenerClose => CauseKind::Call,
            ChildCreated | SynReceived | SynAckReceived | AckOfSynReceived | FinReceived
            | AckOfFinReceived | DataFinReceived | AckOfDataFinReceived | RstReceived(_)
            | PortUnreachable | RstOrPortUnreachable | IcmpError(_) | RstOrDataAfterClose => {
                CauseKind::Segment
            }
            SynTimeout | SynAckTimeout | FinTimeout | KeepaliveTimeout | Timeout | TimeoutAfterIcmp(_) => {
                CauseKind::Timer
            }
            TupleInUse
            | NoLocalPort
            | ConnectFailed
            | ConnectFailedOrDisconnect
            | ListenFailed
            | Destroyed
            | ListenerDestroyed
            | DestroyedAfterClose
            | ListenerStopped
            | ChildDiscarded
            | ChildDiscardedOrDisconnect
            | OrphanTimewaitOrRst
            | OrphanDropped
            | UnknownError(_)
            | FollowsSubflows
            | UnknownTransition => CauseKind::Kernel,
        }
    }

    /// What happened, for people: the wording may change. ASCII, and nothing in it needs escaping.
    #[must_use]
    pub fn detail(self) -> &'static str {
        use Cause::*;
        match self {
            Listen => "listen",
            Connect => "connect",
            FastOpen => "send with MSG_FASTOPEN",
            Shutdown(ShutdownHow::Wr) => "shutdown(WR)",
            Shutdown(ShutdownHow::Rdwr) => "shutdown(RDWR)",
            Shutdown(ShutdownHow::Unknown) => "shutdown",
            Shutdown(ShutdownHow::Deferred) => "shutdown, deferred from SYN_RECV",
            Close(CloseCall::Close) => "close",
            Close(CloseCall::Exit) => "close at exit",
            Close(CloseCall::Exec) => "close at exec",
            CloseOrShutdownRdwr => "close or shutdown(RDWR)",
            CloseOrShutdown => "close or shutdown",
            CloseWithRst => "close with RST (unread data or SO_LINGER 0)",
            CloseOfMptcp => "close of its MPTCP socket",
            ConnectUnspec => "connect(AF_UNSPEC)",
            Disconnect => "disconnected",
            ListenerClose => "listener closed before accept",
            DisconnectOrListenerClose => "disconnected, or listener closed before accept",
            ChildCreated => "child created",
            SynReceived => "SYN received",
            SynAckReceived => "SYN+ACK received",
            AckOfSynReceived => "ACK of SYN received",
            FinReceived => "FIN received",
            AckOfFinReceived => "ACK of FIN received",
            DataFinReceived => "DATA_FIN or FIN received",
            AckOfDataFinReceived => "ACK of DATA_FIN or FIN received",
            RstReceived(_) => "RST received",
            PortUnreachable => "ICMP port unreachable received",
            RstOrPortUnreachable => "RST or ICMP port unreachable received",
            IcmpError(_) => "ICMP error received",
            RstOrDataAfterClose => "RST received, or data after close",
            SynTimeout => "SYN retransmissions exhausted",
            SynAckTimeout => "SYN+ACK retransmissions exhausted",
            FinTimeout => "FIN retransmissions exhausted",
            KeepaliveTimeout => "keepalive probes exhausted",
            Timeout => "retransmissions, probes or keepalive exhausted",
            TimeoutAfterIcmp(_) => "retransmissions exhausted after an ICMP error",
            TupleInUse => "connect failed locally: 4-tuple in use",
            NoLocalPort => "connect failed locally: no free local port",
            ConnectFailed => "connect failed locally",
            ConnectFailedOrDisconnect => "connect failed locally, or disconnected",
            ListenFailed => "listen failed: port in use",
            Destroyed => "destroyed via sock_diag or BPF",
            ListenerDestroyed => "destroyed via sock_diag",
            DestroyedAfterClose => "destroyed after CLOSE",
            ListenerStopped => "listener stopped, not by close",
            ChildDiscarded => "child discarded",
            ChildDiscardedOrDisconnect => "child discarded, or disconnected",
            OrphanTimewaitOrRst => "orphan: FIN_WAIT2 timewait socket, or RST sent",
            OrphanDropped => "orphan dropped: out of memory, or netns gone",
            UnknownError(_) => "closed with an error",
            FollowsSubflows => "follows its MPTCP subflows",
            UnknownTransition => "unknown transition",
        }
    }

    /// The error that the socket or the failed call reports for it.
    #[must_use]
    pub fn errno(self) -> Option<Errno> {
        use Cause::*;
        match self {
            RstReceived(errno) | IcmpError(errno) | TimeoutAfterIcmp(errno) | UnknownError(errno) => {
                Some(errno)
            }
            PortUnreachable | RstOrPortUnreachable => Some(Errno::ECONNREFUSED),
            RstOrDataAfterClose => Some(Errno::ECONNRESET),
            SynTimeout | SynAckTimeout | FinTimeout | KeepaliveTimeout | Timeout => Some(Errno::ETIMEDOUT),
            TupleInUse | NoLocalPort => Some(Errno::EADDRNOTAVAIL),
            ListenFailed => Some(Errno::EADDRINUSE),
            Destroyed => Some(Errno::ECONNABORTED),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::causes;

    #[test]
    fn a_cause_takes_no_more_than_eight_bytes() {
        assert_eq!((size_of::<Cause>(), size_of::<Option<Cause>>()), (8, 8));
    }

    #[test]
    fn every_cause_has_its_own_text_that_needs_no_escaping() {
        let mut details: Vec<&str> = causes().into_iter().map(Cause::detail).collect();
        details.sort_unstable();
        assert!(details.windows(2).all(|pair| pair[0] != pair[1]), "{details:?}");
        let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        assert!(details.iter().all(|detail| detail.bytes().all(is_plain)));
    }
}
