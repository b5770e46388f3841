//! Why a socket changed its state.

mod all;

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

/// Why a socket changed its state. Where the kernel's report leaves two causes possible, the variant names both. How each is
/// known is on the page of causes (docs/causes.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    // CauseKind::Call
    /// listen(2).
    Listen,
    /// connect(2).
    Connect,
    /// connect(2) under TCP_REPAIR: no segment is sent.
    ConnectInRepair,
    /// sendto(2) or sendmsg(2) with MSG_FASTOPEN.
    FastOpen,
    /// One of them.
    ConnectOrFastOpen,
    /// shutdown(2).
    Shutdown(ShutdownHow),
    /// The last descriptor was closed.
    Close(CloseCall),
    /// close(2), or shutdown(2) with SHUT_RDWR.
    CloseOrShutdownRdwr,
    /// close(2), or shutdown(2).
    CloseOrShutdown,
    /// The same, or MPTCP for its subflow.
    CloseShutdownOrMptcp,
    /// close(2) sends an RST in place of a FIN.
    CloseWithRst(RstReason),
    /// close(2) with SO_LINGER 0 after both FINs: it sends an RST only if data was never sent.
    CloseWithLinger,
    /// close(2) under TCP_REPAIR: no segment is sent.
    CloseInRepair,
    /// close(2) of the MPTCP socket that the subflow belongs to.
    CloseOfMptcp,
    /// connect(2) to AF_UNSPEC (`tcp_disconnect`).
    ConnectUnspec,
    /// The same under TCP_REPAIR: no segment is sent.
    DisconnectInRepair,
    /// `tcp_disconnect`, by a call that is not known.
    Disconnect,
    /// The same, or by MPTCP: with its MPTCP socket, or since the subflow failed.
    DisconnectOrMptcp,
    /// close(2) that sends an RST, or `tcp_disconnect`.
    CloseOrDisconnect,
    /// The listener ended before the connection was accepted (`inet_csk_listen_stop`).
    ListenerEnd(ListenerEnd),
    /// The listener was closed before the connection was accepted, or its MPTCP socket was closed.
    ListenerOrMptcpClose,
    /// `tcp_disconnect`, the end of the listener, or MPTCP.
    DisconnectOrListenerEnd,

    // CauseKind::Segment
    /// The listener created a child: at the third segment of the handshake, or at the SYN with TCP Fast Open.
    ChildCreated,
    /// A SYN without an ACK, in SYN_SENT.
    SynReceived,
    /// A SYN+ACK.
    SynAckReceived,
    /// The ACK of our SYN or SYN+ACK.
    AckOfSynReceived,
    /// MPTCP: the first subflow is established.
    SubflowEstablished,
    /// A FIN.
    FinReceived,
    /// The ACK of our FIN.
    AckOfFinReceived,
    /// MPTCP: a DATA_FIN, or the subflow's FIN after a fallback to TCP.
    DataFinReceived,
    /// MPTCP: the ACK of our DATA_FIN, or of the subflow's FIN after a fallback to TCP.
    AckOfDataFinReceived,
    /// MPTCP: an MP_FASTCLOSE.
    FastcloseReceived,
    /// An RST (`tcp_reset`), with the error that it leaves in the socket.
    RstReceived(Errno),
    /// An ICMP or ICMPv6 port unreachable, in the handshake.
    PortUnreachable,
    /// One of the last two, in SYN_SENT.
    RstOrPortUnreachable,
    /// Another ICMP error, in the handshake; the error number says which.
    IcmpError(Errno),
    /// Data that no process can read any more, which the kernel answers with an RST.
    DataAfterClose,
    /// An RST, or such data.
    RstOrDataAfterClose,

    // CauseKind::Timer
    /// A timer gave the connection up. ETIMEDOUT, or the error of an ICMP message or a lost route that came before
    /// (`sk_err_soft`).
    Timeout(Timer, Errno),
    /// MPTCP: no subflow was left for too long (`mptcp_close_timeout`).
    MptcpTimeout,

    // CauseKind::Kernel
    /// A SYN+ACK, or connect(2) under TCP_REPAIR.
    SynAckOrRepair,
    /// An ICMP error in the handshake, or SYNs without an answer after one or after a lost route.
    IcmpErrorOrTimeout(Errno),
    /// The timer after an ICMP error or a lost route; or anything, where IP_RECVERR had put the ICMP error into `sk_err`.
    AfterIcmpError(Errno),
    /// connect(2) failed before it sent a SYN: the 4-tuple is in use (`__inet_check_established`).
    TupleInUse,
    /// connect(2) failed before it sent a SYN: no local port is free (`__inet_hash_connect`).
    NoLocalPort,
    /// connect(2) failed before it sent a SYN, for another reason: route, policy, memory.
    ConnectFailed,
    /// A failure of connect(2) before it sent a SYN, or `tcp_disconnect`.
    ConnectFailedOrDisconnect,
    /// listen(2) failed: another socket has the port (`inet_csk_listen_start`).
    ListenFailed,
    /// `tcp_abort`: an administrator destroyed the socket, over sock_diag (`ss -K`) or by BPF.
    Destroyed,
    /// The listener was destroyed in the same way.
    ListenerDestroyed,
    /// The socket was destroyed when it was in CLOSE already.
    DestroyedAfterClose,
    /// The listener ended without close(2).
    ListenerStopped,
    /// The kernel dropped a child before its handshake ended (`tcp_v4_syn_recv_sock`, `tcp_check_req`).
    ChildDiscarded,
    /// The last one, the end of its listener, or `tcp_disconnect`.
    ChildDiscardedOrDisconnect,
    /// No process held the socket in FIN_WAIT2: the kernel replaced it by a timewait socket in FIN_WAIT2
    /// (`tcp_time_wait`).
    OrphanTimewait,
    /// No process held the socket in FIN_WAIT2: the kernel sent an RST, since TCP_LINGER2 is negative.
    OrphanReset,
    /// One of the last two, or the RST that answers data which no process can read.
    OrphanTimewaitOrRst,
    /// No process held the socket: the kernel dropped it for want of memory or with its namespace.
    OrphanDropped,
    /// The socket ended with an error that names no cause.
    UnknownError(Errno),
    /// MPTCP ended a subflow: its worker, or after an RST as it fell back to TCP.
    SubflowClosed,
    /// MPTCP: the only subflow failed; its own transition says why.
    SubflowFailed,
    /// MPTCP: no subflow is left.
    SubflowsClosed,
    /// An MPTCP socket, for a reason that is not known.
    MptcpUnknown,
    /// A transition that Linux is not known to make.
    UnknownTransition,
}

/// How shutdown(2) was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ShutdownHow {
    /// SHUT_WR.
    Wr,
    /// SHUT_RDWR; or SHUT_WR after SHUT_RD.
    Rdwr,
    /// Not known.
    Unknown,
    /// SHUT_WR in SYN_RECV: since Linux 6.9 the FIN waits for ESTABLISHED.
    Deferred,
}

/// The call that closed the last descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseCall {
    /// close(2), dup2(2), close_range(2); or any call that io_uring closed it in.
    Close,
    /// The process exited, or a signal killed it.
    Exit,
    /// execve(2) closed it (FD_CLOEXEC).
    Exec,
    /// Any call: whether the process exited is not known.
    Unknown,
}

/// Why close(2) sends an RST in place of a FIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RstReason {
    /// The process had not read all data (RFC 1122 §4.2.2.13).
    UnreadData,
    /// SO_LINGER 0.
    Linger,
    /// One of them.
    Unknown,
}

/// How the listener ended, and with it the connections that nobody had accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListenerEnd {
    /// Its last descriptor was closed.
    Closed,
    /// connect(2) to AF_UNSPEC.
    Disconnected,
    /// shutdown(2).
    Shutdown,
    /// An administrator destroyed it, over sock_diag or by BPF.
    Destroyed,
    /// Not known.
    Unknown,
}

/// Which timer gave a connection up. Each also honours TCP_USER_TIMEOUT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Timer {
    /// The SYN was not answered.
    Syn,
    /// The SYN+ACK was not acknowledged.
    SynAck,
    /// The FIN was not acknowledged, and nothing else was in flight.
    Fin,
    /// Data, or data and the FIN, was not acknowledged.
    Retransmission,
    /// Window probes were not answered.
    Probe,
    /// Keepalive probes were not answered.
    Keepalive,
    /// Retransmissions, or window probes.
    RetransmissionOrProbe,
    /// Any of them.
    Any,
}

impl Cause {
    /// What triggered it. Where the cause names two of different kinds, the kernel.
    #[must_use]
    pub fn kind(self) -> CauseKind {
        use Cause::*;
        match self {
            Listen | Connect | ConnectInRepair | FastOpen | ConnectOrFastOpen | Shutdown(_) | Close(_)
            | CloseOrShutdownRdwr | CloseOrShutdown | CloseWithRst(_) | CloseWithLinger | CloseInRepair
            | CloseOfMptcp | ConnectUnspec | DisconnectInRepair | Disconnect | CloseOrDisconnect
            | ListenerOrMptcpClose => CauseKind::Call,
            ListenerEnd(self::ListenerEnd::Destroyed | self::ListenerEnd::Unknown) => CauseKind::Kernel,
            ListenerEnd(_) => CauseKind::Call,
            ChildCreated | SynReceived | SynAckReceived | AckOfSynReceived | SubflowEstablished
            | FinReceived | AckOfFinReceived | DataFinReceived | AckOfDataFinReceived | FastcloseReceived
            | RstReceived(_) | PortUnreachable | RstOrPortUnreachable | IcmpError(_) | DataAfterClose
            | RstOrDataAfterClose => CauseKind::Segment,
            Timeout(..) | MptcpTimeout => CauseKind::Timer,
            DisconnectOrListenerEnd
            | DisconnectOrMptcp
            | CloseShutdownOrMptcp
            | SynAckOrRepair
            | IcmpErrorOrTimeout(_)
            | AfterIcmpError(_)
            | TupleInUse
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
            | OrphanTimewait
            | OrphanReset
            | OrphanTimewaitOrRst
            | OrphanDropped
            | UnknownError(_)
            | SubflowClosed
            | SubflowFailed
            | SubflowsClosed
            | MptcpUnknown
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
            ConnectInRepair => "connect under TCP_REPAIR, without a segment",
            FastOpen => "send with MSG_FASTOPEN",
            ConnectOrFastOpen => "connect or Fast Open",
            Shutdown(ShutdownHow::Wr) => "shutdown(WR)",
            Shutdown(ShutdownHow::Rdwr) => "shutdown(RDWR)",
            Shutdown(ShutdownHow::Unknown) => "shutdown",
            Shutdown(ShutdownHow::Deferred) => "shutdown, deferred from SYN_RECV",
            Close(CloseCall::Close) => "close",
            Close(CloseCall::Exit) => "close at exit",
            Close(CloseCall::Exec) => "close at exec",
            CloseOrShutdownRdwr => "close or shutdown(RDWR)",
            Close(CloseCall::Unknown) => "close or close at exit",
            CloseOrShutdown => "close or shutdown",
            CloseShutdownOrMptcp => "close or shutdown, or MPTCP ended the subflow",
            CloseWithRst(RstReason::UnreadData) => "close with RST (unread data)",
            CloseWithRst(RstReason::Linger) => "close with RST (SO_LINGER 0)",
            CloseWithRst(RstReason::Unknown) => "close with RST (unread data or SO_LINGER 0)",
            CloseWithLinger => "close with SO_LINGER 0",
            CloseInRepair => "close under TCP_REPAIR, without a segment",
            CloseOfMptcp => "close of its MPTCP socket",
            ConnectUnspec => "connect(AF_UNSPEC)",
            DisconnectInRepair => "disconnected under TCP_REPAIR, without a segment",
            Disconnect => "disconnected",
            DisconnectOrMptcp => "disconnected, or ended by MPTCP",
            CloseOrDisconnect => "close with RST, or disconnected",
            ListenerEnd(self::ListenerEnd::Closed) => "listener closed before accept",
            ListenerEnd(self::ListenerEnd::Disconnected) => {
                "listener disconnected before accept: connect(AF_UNSPEC)"
            }
            ListenerEnd(self::ListenerEnd::Shutdown) => "listener shut down before accept",
            ListenerEnd(self::ListenerEnd::Destroyed) => {
                "listener destroyed before accept, via sock_diag or BPF"
            }
            ListenerEnd(self::ListenerEnd::Unknown) => "listener ended before accept",
            ListenerOrMptcpClose => "listener closed before accept, or close of its MPTCP socket",
            DisconnectOrListenerEnd => "disconnected, ended by MPTCP, or listener ended before accept",
            ChildCreated => "child created",
            SynReceived => "SYN received",
            SynAckReceived => "SYN+ACK received",
            AckOfSynReceived => "ACK of SYN received",
            SubflowEstablished => "first MPTCP subflow established",
            FinReceived => "FIN received",
            AckOfFinReceived => "ACK of FIN received",
            DataFinReceived => "DATA_FIN or FIN received",
            AckOfDataFinReceived => "ACK of DATA_FIN or FIN received",
            FastcloseReceived => "MP_FASTCLOSE received",
            RstReceived(_) => "RST received",
            PortUnreachable => "ICMP port unreachable received",
            RstOrPortUnreachable => "RST or ICMP port unreachable received",
            IcmpError(_) => "ICMP error received",
            DataAfterClose => "data received after close, RST sent",
            RstOrDataAfterClose => "RST received, or data after close",
            Timeout(timer, Errno::ETIMEDOUT) => timer.exhausted(),
            Timeout(timer, _) => timer.exhausted_after_icmp(),
            MptcpTimeout => "MPTCP close timeout",
            SynAckOrRepair => "SYN+ACK received, or connect under TCP_REPAIR",
            IcmpErrorOrTimeout(_) => {
                "ICMP error received, or SYN retransmissions exhausted after one or a lost route"
            }
            AfterIcmpError(_) => "timed out or closed, after an ICMP error or a lost route",
            TupleInUse => "connect failed locally: 4-tuple in use",
            NoLocalPort => "connect failed locally: no free local port",
            ConnectFailed => "connect failed locally",
            ConnectFailedOrDisconnect => "connect failed locally, or disconnected",
            ListenFailed => "listen failed: port in use",
            Destroyed => "destroyed via sock_diag or BPF",
            ListenerDestroyed => "listener destroyed via sock_diag or BPF",
            DestroyedAfterClose => "destroyed after CLOSE",
            ListenerStopped => "listener stopped, not by close",
            ChildDiscarded => "child discarded",
            ChildDiscardedOrDisconnect => "child discarded, disconnected, or listener ended before accept",
            OrphanTimewait => "orphan: FIN_WAIT2 timewait socket",
            OrphanReset => "orphan: RST sent (TCP_LINGER2 is negative)",
            OrphanTimewaitOrRst => "orphan: FIN_WAIT2 timewait socket, or RST sent",
            OrphanDropped => "orphan dropped: out of memory, or netns gone",
            UnknownError(_) => "closed with an error",
            SubflowClosed => "MPTCP ended the subflow",
            SubflowFailed => "its MPTCP subflow failed",
            SubflowsClosed => "no MPTCP subflow left",
            MptcpUnknown => "MPTCP: a call, a segment or a timer",
            UnknownTransition => "unknown transition",
        }
    }

    /// The error that the socket or the failed call reports for it.
    #[must_use]
    pub fn errno(self) -> Option<Errno> {
        use Cause::*;
        match self {
            RstReceived(errno)
            | IcmpError(errno)
            | Timeout(_, errno)
            | IcmpErrorOrTimeout(errno)
            | AfterIcmpError(errno)
            | UnknownError(errno) => Some(errno),
            PortUnreachable | RstOrPortUnreachable => Some(Errno::ECONNREFUSED),
            DataAfterClose | RstOrDataAfterClose => Some(Errno::ECONNRESET),
            TupleInUse | NoLocalPort => Some(Errno::EADDRNOTAVAIL),
            ListenFailed => Some(Errno::EADDRINUSE),
            Destroyed => Some(Errno::ECONNABORTED),
            _ => None,
        }
    }
}

impl Timer {
    fn exhausted(self) -> &'static str {
        match self {
            Self::Syn => "SYN retransmissions exhausted",
            Self::SynAck => "SYN+ACK retransmissions exhausted",
            Self::Fin => "FIN retransmissions exhausted",
            Self::Retransmission => "retransmissions exhausted",
            Self::Probe => "window probes exhausted",
            Self::Keepalive => "keepalive probes exhausted",
            Self::RetransmissionOrProbe => "retransmissions or window probes exhausted",
            Self::Any => "retransmissions, probes or keepalive exhausted",
        }
    }

    fn exhausted_after_icmp(self) -> &'static str {
        match self {
            Self::Syn => "SYN retransmissions exhausted after an ICMP error or a lost route",
            Self::SynAck => "SYN+ACK retransmissions exhausted after an ICMP error or a lost route",
            Self::Fin => "FIN retransmissions exhausted after an ICMP error or a lost route",
            Self::Retransmission => "retransmissions exhausted after an ICMP error or a lost route",
            Self::Probe => "window probes exhausted after an ICMP error or a lost route",
            Self::Keepalive => "keepalive probes exhausted after an ICMP error or a lost route",
            Self::RetransmissionOrProbe => {
                "retransmissions or window probes exhausted after an ICMP error or a lost route"
            }
            Self::Any => "retransmissions, probes or keepalive exhausted after an ICMP error or a lost route",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../../docs/causes.md");

    /// The page has one row for what comes after an ICMP error, whatever the timer.
    fn on_page(cause: Cause) -> &'static str {
        match cause {
            Cause::Timeout(_, errno) if errno != Errno::ETIMEDOUT => "… after an ICMP error or a lost route",
            other => other.detail(),
        }
    }

    /// The causes of the page's tables.
    fn rows() -> impl Iterator<Item = &'static str> {
        let (causes, _) = PAGE.split_once("## `closed_by`").expect("the page has this section");
        causes.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(detail, _)| detail)
    }

    #[test]
    fn a_cause_takes_no_more_than_eight_bytes() {
        assert_eq!((size_of::<Cause>(), size_of::<Option<Cause>>()), (8, 8));
    }

    #[test]
    fn the_page_of_causes_has_each_cause_once() {
        let mut on_page: Vec<&str> = Cause::ALL.iter().copied().map(on_page).collect();
        on_page.sort_unstable();
        on_page.dedup();
        let mut rows: Vec<&str> = rows().collect();
        rows.sort_unstable();
        assert_eq!(rows, on_page);
    }

    #[test]
    fn every_cause_has_its_own_text_that_needs_no_escaping() {
        let mut details: Vec<&str> = Cause::ALL.iter().copied().map(Cause::detail).collect();
        details.sort_unstable();
        assert!(details.windows(2).all(|pair| pair[0] != pair[1]), "{details:?}");
        let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        assert!(details.iter().all(|detail| detail.bytes().all(is_plain)));
    }
}
