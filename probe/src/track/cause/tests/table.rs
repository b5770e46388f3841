//! Stacks and the causes that they prove.

use super::*;

/// A report with its stack, what the stack proves, and what the fields alone show.
struct Case {
    report: Report,
    prior: PriorReports,
    stack: &'static [StackFunction],
    proven: &'static str,
    by_fields: &'static str,
}

fn case(
    report: Report,
    prior: PriorReports,
    stack: &'static [StackFunction],
    proven: &'static str,
    by_fields: &'static str,
) -> Case {
    Case { report, prior, stack, proven, by_fields }
}

/// An end, with its fields.
fn end(old: State) -> Report {
    report(old, Close).counted(3, 3).with(FINAL)
}

const ABORTED: &str = "call: close with RST (unread data or SO_LINGER 0)";
const LISTENER_OR_MPTCP: &str = "call: listener closed before accept, or close of its MPTCP socket";
const ANY_END: &str = "kernel: disconnected, ended by MPTCP, or listener ended before accept";
const DISCONNECTED: &str = "kernel: disconnected, or ended by MPTCP";
const CHILD_END: &str = "kernel: child discarded, disconnected, or listener ended before accept";
pub const MPTCP_UNKNOWN: &str = "kernel: MPTCP: a call, a segment or a timer";
const TIMEWAIT_OR_RST: &str = "kernel: orphan: FIN_WAIT2 timewait socket, or RST sent";

fn segments() -> Vec<Case> {
    let rst = "segment: RST received (ECONNRESET)";
    let refused = "segment: RST received (ECONNREFUSED)";
    vec![
        case(end(Established).failed(Errno::ECONNRESET), CLIENT, &[TcpValidateIncoming], rst, rst),
        case(end(Established).failed(Errno::ECONNRESET), CLIENT, &[TcpReset, TcpValidateIncoming], rst, rst),
        case(
            end(CloseWait).failed(Errno::EPIPE),
            CLIENT,
            &[TcpValidateIncoming, TcpRcvStateProcess],
            "segment: RST received (EPIPE)",
            "segment: RST received (EPIPE)",
        ),
        // tcp_reset returns to tcp_rcv_state_process, or is still there.
        case(end(SynSent).failed(Errno::ECONNREFUSED), CLIENT, &[TcpRcvStateProcess], refused, refused),
        case(
            end(SynSent).failed(Errno::ECONNREFUSED),
            CLIENT,
            &[TcpReset, TcpRcvStateProcess],
            refused,
            refused,
        ),
        case(end(SynRecv).failed(Errno::ECONNRESET), CHILD, &[TcpCheckReq], rst, rst),
        case(end(SynRecv).failed(Errno::ECONNRESET), CHILD, &[TcpReset, TcpCheckReq], rst, rst),
        case(
            end(FinWait2).shut(3).failed(Errno::ECONNRESET).orphaned(),
            CLIENT,
            &[TcpRcvStateProcess],
            "segment: data received after close, RST sent (ECONNRESET)",
            "segment: RST received, or data after close (ECONNRESET)",
        ),
        case(
            end(FinWait1).shut(3).failed(Errno::ECONNRESET),
            CLIENT,
            &[TcpReset, TcpRcvStateProcess],
            "segment: data received after close, RST sent (ECONNRESET)",
            "segment: RST received, or data after close (ECONNRESET)",
        ),
        case(
            end(FinWait1).shut(3).failed(Errno::ECONNRESET),
            CLIENT,
            &[TcpValidateIncoming, TcpRcvStateProcess],
            rst,
            "segment: RST received, or data after close (ECONNRESET)",
        ),
        case(
            end(LastAck).shut(3).fin().orphaned(),
            CLIENT,
            &[TcpRcvStateProcess],
            "segment: ACK of FIN received",
            "segment: ACK of FIN received",
        ),
        // IP_RECVERR's mark changes nothing.
        case(
            end(LastAck).shut(3).fin().orphaned().failed(Errno::EHOSTUNREACH),
            CLIENT,
            &[TcpRcvStateProcess],
            "segment: ACK of FIN received",
            "segment: ACK of FIN received",
        ),
        case(
            end(Closing).shut(3).fin(),
            CLIENT,
            &[TcpTimeWait, TcpRcvStateProcess],
            "segment: ACK of FIN received",
            "segment: ACK of FIN received",
        ),
        case(
            end(FinWait2).shut(3).fin(),
            CLIENT,
            &[TcpFin, TcpRcvStateProcess],
            "segment: FIN received",
            "segment: FIN received",
        ),
        case(
            end(FinWait2).shut(3).fin(),
            CLIENT,
            &[TcpTimeWait, TcpFin],
            "segment: FIN received",
            "segment: FIN received",
        ),
        case(
            end(SynSent).failed(Errno::EHOSTUNREACH).soft(Errno::EHOSTUNREACH),
            CLIENT,
            &[TcpV4Err],
            "segment: ICMP error received (EHOSTUNREACH)",
            "kernel: ICMP error received, or SYN retransmissions exhausted after one or a lost route (EHOSTUNREACH)",
        ),
        case(
            end(SynSent).counted(1, 0).failed(Errno::ECONNREFUSED),
            CLIENT,
            &[TcpV6Err],
            "segment: ICMP port unreachable received (ECONNREFUSED)",
            "segment: ICMP port unreachable received (ECONNREFUSED)",
        ),
        case(end(SynRecv), CHILD, &[TcpV4SynRecvSock, TcpCheckReq], "kernel: child discarded", CHILD_END),
        case(end(SynRecv), CHILD, &[TcpV6SynRecvSock, TcpCheckReq], "kernel: child discarded", CHILD_END),
        case(end(SynRecv), CHILD, &[TcpCheckReq], "kernel: child discarded", CHILD_END),
    ]
}

fn timers() -> Vec<Case> {
    let timed_out = |old| end(old).failed(Errno::ETIMEDOUT);
    let syn = "timer: SYN retransmissions exhausted (ETIMEDOUT)";
    let data = "timer: retransmissions exhausted (ETIMEDOUT)";
    let probes = "timer: window probes exhausted (ETIMEDOUT)";
    let keepalive = "timer: keepalive probes exhausted (ETIMEDOUT)";
    let dropped = "kernel: orphan dropped: out of memory, or netns gone";
    vec![
        case(timed_out(SynSent), CLIENT, &[TcpRetransmitTimer, TcpWriteTimer], syn, syn),
        case(
            timed_out(Established).in_flight(9, false),
            CLIENT,
            &[TcpRetransmitTimer, TcpWriteTimer],
            data,
            data,
        ),
        case(timed_out(Established).in_flight(0, true), CLIENT, &[TcpWriteTimer], probes, probes),
        case(
            timed_out(Established).in_flight(0, true),
            CLIENT,
            &[TcpProbeTimer, TcpWriteTimer],
            probes,
            probes,
        ),
        case(timed_out(Established), CLIENT, &[TcpKeepaliveTimer], keepalive, keepalive),
        case(timed_out(Established), CLIENT, &[TcpWriteErr, TcpKeepaliveTimer], keepalive, keepalive),
        case(
            end(SynSent).failed(Errno::ENETUNREACH).soft(Errno::ENETUNREACH),
            CLIENT,
            &[TcpRetransmitTimer, TcpWriteTimer],
            "timer: SYN retransmissions exhausted after an ICMP error or a lost route (ENETUNREACH)",
            "kernel: ICMP error received, or SYN retransmissions exhausted after one or a lost route (ENETUNREACH)",
        ),
        // TCP_USER_TIMEOUT after an ICMP port unreachable.
        case(
            end(Established).failed(Errno::ECONNREFUSED).with(FinalFields {
                error_soft: Some(Some(Errno::ECONNREFUSED)),
                in_flight: Some(7),
                ..FINAL
            }),
            CLIENT,
            &[TcpWriteTimeout, TcpRetransmitTimer],
            "timer: retransmissions exhausted after an ICMP error or a lost route (ECONNREFUSED)",
            "timer: retransmissions exhausted after an ICMP error or a lost route (ECONNREFUSED)",
        ),
        case(end(FinWait1).orphaned(), CLIENT, &[TcpOutOfResources, TcpRetransmitTimer], dropped, dropped),
        case(end(FinWait1).orphaned(), CLIENT, &[TcpWriteTimer], dropped, dropped),
        // IP_RECVERR's mark is not the timer's error.
        case(
            end(FinWait1).orphaned().failed(Errno::EHOSTUNREACH),
            CLIENT,
            &[TcpRetransmitTimer, TcpWriteTimer],
            dropped,
            dropped,
        ),
        case(
            end(FinWait2).orphaned().shut(3),
            CLIENT,
            &[TcpKeepaliveTimer],
            TIMEWAIT_OR_RST,
            TIMEWAIT_OR_RST,
        ),
    ]
}

fn calls() -> Vec<Case> {
    let unspec = "call: connect(AF_UNSPEC)";
    let unread = "call: close with RST (unread data)";
    let linger = "call: close with RST (SO_LINGER 0)";
    let either = "call: close with RST, or disconnected";
    let outstanding = |old| end(old).shut(3).fin().in_flight(1, false);
    let failed = |report: Report| report.counted(0, 0);
    vec![
        case(end(Established).in_call(CONNECT), CLIENT, &[TcpDisconnect, InetStreamConnect], unspec, unspec),
        // A 32-bit process: the call's number is unknown.
        case(end(Established), CHILD, &[TcpDisconnect, InetStreamConnect], unspec, ANY_END),
        case(
            end(FinWait2).shut(2).in_call(CONNECT),
            CLIENT,
            &[TcpDisconnect, InetStreamConnect],
            unspec,
            unspec,
        ),
        case(outstanding(LastAck), CLIENT, &[TcpDisconnect, InetStreamConnect], unspec, either),
        case(
            outstanding(LastAck),
            CLIENT,
            &[TcpDisconnect, TcpClose],
            "call: close with SO_LINGER 0",
            either,
        ),
        case(outstanding(Closing), CLIENT, &[TcpClose], unread, either),
        case(end(Established).shut(3), CLIENT, &[TcpDisconnect, TcpClose], linger, ABORTED),
        case(end(Established).shut(3), CHILD, &[TcpClose], unread, ABORTED),
        case(end(FinWait1).shut(3).in_call(CLOSE), CLIENT, &[TcpClose], unread, ABORTED),
        case(end(FinWait2).shut(3).in_call(CLOSE), CLIENT, &[TcpDisconnect, TcpClose], linger, ABORTED),
        case(end(Established), CLIENT, &[TcpDisconnect], "call: disconnected", DISCONNECTED),
        case(end(SynSent).shut(3).in_call(CLOSE), CLIENT, &[TcpClose], "call: close", "call: close"),
        case(
            end(SynSent).shut(3).in_call(CLOSE),
            CLIENT,
            &[TcpDisconnect, TcpClose],
            "call: close",
            "call: close",
        ),
        case(
            end(SynSent).in_call(SHUTDOWN),
            CLIENT,
            &[TcpDisconnect, InetShutdown],
            "call: shutdown",
            "call: shutdown",
        ),
        case(end(SynSent), CLIENT, &[TcpDisconnect, InetStreamConnect], unspec, DISCONNECTED),
        // A deferred Fast Open after an earlier AF_UNSPEC.
        case(
            failed(end(SynSent)).failed(Errno::ECONNRESET).in_call(CONNECT),
            CLIENT,
            &[TcpDisconnect, InetStreamConnect],
            unspec,
            "kernel: connect failed locally, or disconnected",
        ),
        case(
            failed(end(SynSent)).failed(Errno::ECONNRESET).shut(3).in_call(CLOSE),
            CLIENT,
            &[TcpClose],
            "call: close",
            "call: close",
        ),
        case(
            failed(end(SynSent)).in_call(CONNECT),
            BOUND,
            &[TcpV4Connect, InetStreamConnect],
            "kernel: connect failed locally: 4-tuple in use (EADDRNOTAVAIL)",
            "kernel: connect failed locally, or disconnected",
        ),
        case(
            failed(end(SynSent)).in_call(CONNECT),
            CLIENT,
            &[TcpV6Connect, InetStreamConnect],
            "kernel: connect failed locally",
            "kernel: connect failed locally, or disconnected",
        ),
        case(
            failed(end(SynSent)).in_call(SENDMSG),
            CLIENT,
            &[TcpSendmsg],
            "kernel: connect failed locally",
            "kernel: connect failed locally",
        ),
        case(
            end(Established).failed(Errno::ECONNABORTED),
            CLIENT,
            &[TcpAbort],
            "kernel: destroyed via sock_diag or BPF (ECONNABORTED)",
            "kernel: destroyed via sock_diag or BPF (ECONNABORTED)",
        ),
        case(
            end(FinWait2).orphaned().shut(3).without_fin_wait2(),
            CLIENT,
            &[TcpClose],
            "kernel: orphan: RST sent (TCP_LINGER2 is negative)",
            "kernel: orphan: RST sent (TCP_LINGER2 is negative)",
        ),
        case(
            end(FinWait2).orphaned().shut(3),
            CLIENT,
            &[TcpTimeWait, TcpClose],
            "kernel: orphan: FIN_WAIT2 timewait socket",
            TIMEWAIT_OR_RST,
        ),
        case(end(FinWait2).orphaned().shut(3), CLIENT, &[TcpClose], TIMEWAIT_OR_RST, TIMEWAIT_OR_RST),
        case(
            end(FinWait1).orphaned().shut(3),
            CLIENT,
            &[TcpClose],
            "kernel: orphan dropped: out of memory, or netns gone",
            "kernel: orphan dropped: out of memory, or netns gone",
        ),
        case(
            end(Established).shut(3).in_call(CLOSE).in_repair(),
            CLIENT,
            &[TcpDisconnect, TcpClose],
            "call: close under TCP_REPAIR, without a segment",
            "call: close under TCP_REPAIR, without a segment",
        ),
        case(
            end(Established).in_call(CONNECT).in_repair(),
            CLIENT,
            &[TcpDisconnect, InetStreamConnect],
            "call: disconnected under TCP_REPAIR, without a segment",
            "call: disconnected under TCP_REPAIR, without a segment",
        ),
        case(
            report(SynSent, Established).in_repair(),
            CLIENT,
            &[TcpFinishConnect, TcpV4Connect, InetStreamConnect],
            "call: connect under TCP_REPAIR, without a segment",
            "kernel: SYN+ACK received, or connect under TCP_REPAIR",
        ),
        case(
            report(SynSent, Established).in_repair(),
            CLIENT,
            &[TcpFinishConnect, TcpRcvStateProcess],
            "segment: SYN+ACK received",
            "kernel: SYN+ACK received, or connect under TCP_REPAIR",
        ),
        case(
            report(Close, SynSent),
            CLIENT,
            &[TcpV4Connect, InetStreamConnect, TcpSendmsg],
            "call: send with MSG_FASTOPEN",
            "call: connect or Fast Open",
        ),
        case(
            report(Close, SynSent),
            CLIENT,
            &[TcpV4Connect, InetStreamConnect],
            "call: connect",
            "call: connect or Fast Open",
        ),
    ]
}

fn fins() -> Vec<Case> {
    let open = |bits| report(Established, FinWait1).shut(bits);
    let rdwr = "call: close or shutdown(RDWR)";
    vec![
        case(open(3), CLIENT, &[TcpClose], "call: close", rdwr),
        case(open(3).exiting(), CLIENT, &[TcpClose], "call: close at exit", "call: close at exit"),
        case(open(3), CLIENT, &[TcpShutdown, InetShutdown], "call: shutdown(RDWR)", rdwr),
        case(open(2), CLIENT, &[TcpShutdown, InetShutdown], "call: shutdown(WR)", "call: shutdown(WR)"),
        case(
            open(2),
            DEFERRED,
            &[TcpShutdown, TcpRcvStateProcess],
            "call: shutdown, deferred from SYN_RECV",
            "call: shutdown, deferred from SYN_RECV",
        ),
        case(
            report(CloseWait, LastAck).shut(3),
            CLIENT,
            &[TcpClose],
            "call: close",
            "call: close or shutdown",
        ),
        case(
            report(CloseWait, LastAck).shut(3),
            CLIENT,
            &[TcpShutdown, InetShutdown],
            "call: shutdown",
            "call: close or shutdown",
        ),
    ]
}

fn listeners() -> Vec<Case> {
    let child = || end(Established);
    let stale = || end(Listen).failed(Errno::ECONNRESET);
    vec![
        case(stale().shut(3), CLIENT, &[TcpClose], "call: close", "call: close"),
        case(
            stale(),
            CLIENT,
            &[TcpDisconnect, InetStreamConnect],
            "call: connect(AF_UNSPEC)",
            "kernel: listener stopped, not by close",
        ),
        case(
            stale(),
            CLIENT,
            &[TcpDisconnect, InetShutdown],
            "call: shutdown",
            "kernel: listener stopped, not by close",
        ),
        case(
            stale(),
            CLIENT,
            &[TcpAbort],
            "kernel: listener destroyed via sock_diag or BPF",
            "kernel: listener stopped, not by close",
        ),
        case(
            stale().in_call(LISTEN),
            CLIENT,
            &[ListenStart],
            "kernel: listen failed: port in use (EADDRINUSE)",
            "kernel: listen failed: port in use (EADDRINUSE)",
        ),
        case(
            child().in_call(CLOSE),
            CHILD,
            &[TcpDisconnect, ChildForget, ListenStop, TcpClose],
            "call: listener closed before accept",
            LISTENER_OR_MPTCP,
        ),
        case(
            child(),
            CHILD,
            &[TcpDisconnect, ChildForget, ListenStop, TcpAbort],
            "kernel: listener destroyed before accept, via sock_diag or BPF",
            ANY_END,
        ),
        case(
            child().in_call(CONNECT),
            CHILD,
            &[TcpDisconnect, ChildForget, ListenStop, TcpDisconnect],
            "call: listener disconnected before accept: connect(AF_UNSPEC)",
            ANY_END,
        ),
        // inet_child_forget may be inlined: there is room for the caller then.
        case(
            child(),
            CHILD,
            &[TcpDisconnect, ListenStop, TcpDisconnect, InetShutdown],
            "call: listener shut down before accept",
            ANY_END,
        ),
        case(
            child().in_call(SHUTDOWN),
            CHILD,
            &[TcpDisconnect, ChildForget, ListenStop, TcpDisconnect],
            "call: listener shut down before accept",
            ANY_END,
        ),
        case(
            child(),
            CHILD,
            &[TcpDisconnect, ChildForget, ListenStop, TcpDisconnect],
            "kernel: listener ended before accept",
            ANY_END,
        ),
        case(
            child().exiting(),
            CHILD,
            &[TcpDisconnect, ChildForget, ListenStop, MptcpListenStop],
            "call: listener closed before accept",
            LISTENER_OR_MPTCP,
        ),
        // A child of Fast Open is in the queue in SYN_RECV.
        case(
            end(SynRecv).in_call(CLOSE),
            CHILD,
            &[TcpDisconnect, ChildForget, ListenStop, TcpClose],
            "call: listener closed before accept",
            CHILD_END,
        ),
        case(
            end(SynRecv),
            CHILD,
            &[TcpDisconnect, ChildForget, TcpCheckReq],
            "kernel: listener ended before accept",
            CHILD_END,
        ),
    ]
}

fn subflows() -> Vec<Case> {
    let of_mptcp = "call: close of its MPTCP socket";
    let by_worker = "kernel: MPTCP ended the subflow";
    let fin = |old, new, bits| Report { is_subflow: true, ..report(old, new).shut(bits) };
    vec![
        case(
            end(Established).in_call(CLOSE),
            CHILD,
            &[MptcpCloseSubflow, MptcpClose],
            of_mptcp,
            LISTENER_OR_MPTCP,
        ),
        case(end(Established), CLIENT, &[MptcpCloseSubflow, MptcpWorker], by_worker, DISCONNECTED),
        case(
            end(Established),
            CHILD,
            &[MptcpCloseSubflow, MptcpDisconnect, InetStreamConnect],
            "call: connect(AF_UNSPEC)",
            ANY_END,
        ),
        case(end(Listen).in_call(CLOSE), CLIENT, &[MptcpListenStop, MptcpClose], of_mptcp, of_mptcp),
        case(end(Listen).exiting(), CLIENT, &[MptcpListenStop, MptcpClose], of_mptcp, of_mptcp),
        case(
            end(Listen).in_call(CONNECT),
            CLIENT,
            &[MptcpListenStop, MptcpDisconnect, InetStreamConnect],
            "call: connect(AF_UNSPEC)",
            "call: connect(AF_UNSPEC)",
        ),
        case(
            fin(Established, FinWait1, 2),
            CLIENT,
            &[TcpShutdown, MptcpCheckDataFin, MptcpWorker],
            by_worker,
            MPTCP_UNKNOWN,
        ),
        // mptcp_incoming_options, after the peer's RST
        case(
            fin(Established, FinWait1, 2),
            CLIENT,
            &[TcpShutdown, TcpReset, TcpValidateIncoming],
            by_worker,
            MPTCP_UNKNOWN,
        ),
        case(fin(CloseWait, LastAck, 3), CLIENT, &[TcpShutdown, MptcpClose], of_mptcp, MPTCP_UNKNOWN),
        case(
            fin(FinWait2, FinWait2, 3),
            CLIENT,
            &[TcpClose, MptcpCloseSubflow, MptcpWorker],
            by_worker,
            MPTCP_UNKNOWN,
        ),
        case(
            end(FinWait2).orphaned().shut(3),
            CLIENT,
            &[TcpClose, MptcpCloseSubflow, MptcpWorker],
            TIMEWAIT_OR_RST,
            TIMEWAIT_OR_RST,
        ),
    ]
}

fn mptcp() -> Vec<Case> {
    let end = |old| end(old).with_protocol(Protocol::Mptcp);
    let unknown = MPTCP_UNKNOWN;
    let none_left = "kernel: no MPTCP subflow left";
    let send = |old, new| report(old, new).with_protocol(Protocol::Mptcp);
    vec![
        case(
            send(Established, FinWait1).shut(2),
            CLIENT,
            &[MptcpShutdown, InetShutdown],
            "call: shutdown(WR)",
            "call: close or shutdown",
        ),
        case(
            send(Established, FinWait1).shut(3),
            CLIENT,
            &[MptcpClose],
            "call: close",
            "call: close or shutdown",
        ),
        case(
            send(CloseWait, LastAck).shut(3).exiting(),
            CLIENT,
            &[MptcpClose],
            "call: close at exit",
            "call: close at exit",
        ),
        case(send(FinWait2, FinWait2).shut(3), CLIENT, &[MptcpClose], "call: close", unknown),
        case(
            end(FinWait2),
            CLIENT,
            &[MptcpCheckDataFin, MptcpWorker],
            "segment: DATA_FIN or FIN received",
            unknown,
        ),
        case(end(FinWait2), CLIENT, &[MptcpWorker], "segment: DATA_FIN or FIN received", unknown),
        case(end(LastAck), CLIENT, &[MptcpWorker], "segment: ACK of DATA_FIN or FIN received", unknown),
        case(
            end(Closing),
            CLIENT,
            &[MptcpCheckDataFinAck],
            "segment: ACK of DATA_FIN or FIN received",
            unknown,
        ),
        case(
            end(Established).failed(Errno::ECONNRESET),
            CLIENT,
            &[MptcpWorker],
            "segment: MP_FASTCLOSE received",
            unknown,
        ),
        case(end(Established), CLIENT, &[MptcpFastclose, MptcpClose], ABORTED, unknown),
        case(end(Established), CLIENT, &[MptcpFastclose, MptcpWorker], "timer: MPTCP close timeout", unknown),
        case(
            end(Established),
            CLIENT,
            &[MptcpDisconnect, InetStreamConnect],
            "call: connect(AF_UNSPEC)",
            unknown,
        ),
        case(end(Established), CLIENT, &[MptcpErrorReport], "kernel: its MPTCP subflow failed", unknown),
        case(
            end(SynSent),
            CLIENT,
            &[MptcpConnect, InetStreamConnect],
            "kernel: connect failed locally",
            unknown,
        ),
        case(
            end(SynSent),
            CLIENT,
            &[MptcpErrorReport, InetStreamConnect],
            "kernel: its MPTCP subflow failed",
            unknown,
        ),
        case(end(SynSent), CLIENT, &[MptcpClose], "call: close", unknown),
        case(end(FinWait1), CLIENT, &[MptcpClose], none_left, unknown),
        case(end(FinWait1), CLIENT, &[MptcpCloseSubflow, MptcpWorker], none_left, unknown),
        case(end(Listen), CLIENT, &[MptcpClose], "call: close", unknown),
        case(end(Listen), CLIENT, &[MptcpDisconnect, InetShutdown], "call: shutdown", unknown),
        case(end(Close), CLIENT, &[MptcpClose], "call: close", unknown),
        case(end(Close).exiting(), CLIENT, &[MptcpClose], "call: close at exit", unknown),
        case(
            end(Established),
            CHILD,
            &[MptcpQueueClean, MptcpListenStop, MptcpClose],
            "call: listener closed before accept",
            unknown,
        ),
        case(
            end(Established),
            CHILD,
            &[MptcpQueueClean, MptcpListenStop, MptcpDisconnect, InetStreamConnect],
            "call: listener disconnected before accept: connect(AF_UNSPEC)",
            unknown,
        ),
    ]
}

fn cases() -> Vec<Case> {
    [segments(), timers(), calls(), fins(), listeners(), subflows(), mptcp()].into_iter().flatten().collect()
}

#[test]
fn a_stack_proves_the_cause() {
    for case in cases() {
        let Case { report, prior, stack, proven, .. } = case;
        let with_stack = report.on_stack(stack);
        let edge = (with_stack.old, with_stack.new);
        assert_eq!(text(derived(&with_stack, prior)), proven, "{edge:?} {stack:?}");
    }
}

#[test]
fn without_a_stack_the_fields_show_what_they_can() {
    for case in cases() {
        let Case { report, prior, stack, by_fields, .. } = case;
        assert_eq!(text(derived(&report, prior)), by_fields, "{:?} {stack:?}", (report.old, report.new));
    }
}

/// Whether the cause by the fields leaves the proven one possible.
fn admits(by_fields: Cause, proven: Cause) -> bool {
    use crate::model::RstReason;
    use Cause::*;
    let by_disconnect =
        || matches!(proven, ConnectUnspec | Disconnect | CloseOfMptcp | SubflowClosed | ListenerEnd(_));
    by_fields == proven
        || match by_fields {
            CloseOrShutdownRdwr | CloseOrShutdown => matches!(proven, Shutdown(_) | Close(_) | CloseOfMptcp),
            CloseWithRst(RstReason::Unknown) => matches!(proven, CloseWithRst(_)),
            CloseOrDisconnect => {
                matches!(proven, CloseWithRst(_) | CloseWithLinger | ConnectUnspec | Disconnect)
            }
            DisconnectOrMptcp | DisconnectOrListenerEnd => by_disconnect(),
            ListenerOrMptcpClose => matches!(proven, ListenerEnd(_) | CloseOfMptcp),
            ChildDiscardedOrDisconnect => proven == ChildDiscarded || by_disconnect(),
            ListenerStopped => matches!(proven, ConnectUnspec | Shutdown(_) | ListenerDestroyed),
            ConnectFailedOrDisconnect => {
                matches!(proven, ConnectFailed | TupleInUse | NoLocalPort) || by_disconnect()
            }
            ConnectOrFastOpen => matches!(proven, Connect | FastOpen),
            SynAckOrRepair => matches!(proven, SynAckReceived | ConnectInRepair),
            RstOrDataAfterClose => matches!(proven, RstReceived(_) | DataAfterClose),
            IcmpErrorOrTimeout(errno) => {
                matches!(proven, IcmpError(_) | PortUnreachable | Timeout(..))
                    && proven.errno() == Some(errno)
            }
            OrphanTimewaitOrRst => matches!(proven, OrphanTimewait | OrphanReset),
            MptcpUnknown => true,
            _ => false,
        }
}

#[test]
fn a_stack_contradicts_no_field() {
    for case in cases() {
        let Case { report, prior, stack, .. } = case;
        let by_fields = derived(&report, prior).expect("the fields are known");
        let proven = derived(&report.on_stack(stack), prior).expect("the stack proves it");
        assert!(admits(by_fields, proven), "{by_fields:?} excludes {proven:?} {stack:?}");
    }
}

#[test]
fn every_function_on_a_stack_is_in_the_table() {
    // They are behind others only, or at transitions that have one cause.
    let others = [MptcpListen, MptcpClone, MptcpFinishConnect];
    for (_, function) in probe_ebpf::STACK_FUNCTIONS {
        let is_used = cases().iter().any(|case| case.stack.contains(function));
        assert!(is_used || others.contains(function), "{function:?}");
    }
}

fn any_function() -> impl Strategy<Value = StackFunction> {
    let all: Vec<StackFunction> = probe_ebpf::STACK_FUNCTIONS.iter().map(|(_, function)| *function).collect();
    select(all)
}

fn any_error() -> impl Strategy<Value = Option<Option<Errno>>> {
    let errors =
        [Errno::ECONNRESET, Errno::ECONNREFUSED, Errno::EHOSTUNREACH, Errno::ETIMEDOUT, Errno::EPIPE];
    option::of(option::of(select(errors.to_vec())))
}

prop_compose! {
    fn any_final_fields()(
        error_soft in any_error(),
        in_flight in option::of(0_u32..3),
        has_unsent in option::of(any::<bool>()),
        linger2_is_negative in option::of(any::<bool>()),
    ) -> FinalFields {
        FinalFields { error_soft, in_flight, has_unsent, linger2_is_negative, ..FINAL }
    }
}

prop_compose! {
    fn any_end()(
        old in select(State::ALL.to_vec()),
        error in any_error(),
        shutdown in option::of(0_u8..4),
        (orphaned, fin_received, rst_received) in any::<(Option<bool>, Option<bool>, Option<bool>)>(),
        in_repair in option::of(any::<bool>()),
        task_exits in any::<bool>(),
        syscall in option::of(select(vec![CLOSE, CONNECT, SENDMSG, SHUTDOWN, LISTEN, EXIT_GROUP, READ])),
        counted in option::of((0_u32..2, 0_u32..2)),
        final_fields in option::of(any_final_fields()),
    ) -> Report {
        let report = Report {
            error, shutdown, orphaned, fin_received, rst_received, in_repair, task_exits, syscall, final_fields,
            ..report(old, Close)
        };
        counted.into_iter().fold(report, |report, (out, r#in)| report.counted(out, r#in))
    }
}

fn any_prior() -> impl Strategy<Value = PriorReports> {
    select(vec![CLIENT, BOUND, CHILD, PREEXISTING])
}

proptest! {
    /// Without a stack, and whatever the fields hold.
    #[test]
    fn no_cause_is_named_without_its_evidence(report in any_end(), prior in any_prior()) {
        let Some(cause) = derived(&report, prior) else { return Ok(()) };
        let error = report.error.flatten();
        let fields = report.final_fields;
        match cause {
            Cause::RstReceived(_) => {
                prop_assert!(report.rst_received == Some(true) || error.is_some());
            }
            Cause::IcmpError(errno) => {
                prop_assert_eq!(Some(errno), error);
                prop_assert!(matches!(report.old, SynSent | SynRecv));
                let soft = fields.and_then(|fields| fields.error_soft);
                prop_assert!(soft.is_some_and(|soft| soft != Some(errno)));
            }
            Cause::Timeout(_, errno) => {
                let soft = fields.and_then(|fields| fields.error_soft);
                prop_assert!(errno == Errno::ETIMEDOUT || soft == Some(Some(errno)));
            }
            Cause::Close(crate::model::CloseCall::Exit) => {
                prop_assert!(report.task_exits || report.syscall == Some(EXIT_GROUP));
            }
            Cause::Close(_) | Cause::CloseWithRst(_) | Cause::CloseInRepair => {
                prop_assert_eq!(report.shutdown, Some(3));
            }
            Cause::ConnectUnspec => {
                prop_assert!(report.syscall == Some(CONNECT) && !report.task_exits);
            }
            Cause::OrphanReset => {
                let linger2 = fields.and_then(|fields| fields.linger2_is_negative);
                prop_assert!(report.orphaned == Some(true) && linger2 == Some(true));
            }
            Cause::OrphanDropped => prop_assert_eq!(report.orphaned, Some(true)),
            // Only the stack proves these.
            Cause::ListenerEnd(_) | Cause::ChildDiscarded | Cause::OrphanTimewait | Cause::DataAfterClose
            | Cause::SubflowClosed | Cause::CloseWithLinger => prop_assert!(false, "{cause:?}"),
            _ => {}
        }
    }

    /// Whatever the stack holds.
    #[test]
    fn no_stack_is_without_a_cause_or_panics(
        report in any_end(), prior in any_prior(), stack in vec(any_function(), 1..6), is_mptcp in any::<bool>(),
    ) {
        let protocol = if is_mptcp { Protocol::Mptcp } else { Protocol::Tcp };
        let report = Report { stack: KernelStack::new(&stack), ..report }.with_protocol(protocol);
        // A stack that leaves the cause open changes nothing.
        if by_stack::cause(&evidence(&report, prior), report.stack.expect("it has one")).is_none() {
            let without = Report { stack: None, ..report.clone() };
            prop_assert_eq!(derived(&report, prior), derived(&without, prior));
        }
    }
}
