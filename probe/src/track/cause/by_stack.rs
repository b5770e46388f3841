//! The cause that the kernel's stack proves.
//!
//! The innermost function that the kernel side knows has set the state, or has called what did. A few functions set it for more
//! than one reason: those behind it on the stack, and fields of the socket, tell which. tcp_reset and tcp_time_wait may be
//! missing where they should be innermost, since the compiler lets tcp_done return to their caller.

use probe_ebpf::StackFunction;

use super::{connect, context::Evidence, errors};
use crate::model::{
    Cause, Errno, KernelStack, ListenerEnd, Protocol, RstReason, ShutdownHow, State::*, Timer,
};

mod mptcp;

/// `None` where the functions on the stack leave the cause open.
pub fn cause(evidence: &Evidence, stack: KernelStack) -> Option<Cause> {
    let report = evidence.report;
    if report.identity.protocol == Protocol::Mptcp {
        return mptcp::cause(evidence, stack);
    }
    match (report.old, report.new) {
        (Close, SynSent) => Some(opening(stack)),
        (SynSent, Established) => handshake(evidence, stack),
        (SynRecv | Established, FinWait1) | (CloseWait, LastAck) => fin(evidence, stack),
        (FinWait1, FinWait1) | (FinWait2, FinWait2) | (Closing, Closing) | (LastAck, LastAck) => {
            fin(evidence, stack)
        }
        (_, Close) => end(evidence, stack),
        _ => None,
    }
}

/// Whether the transition ran in a call on this very socket; `None` where the stack leaves it open.
pub fn is_owners_call(evidence: &Evidence, stack: KernelStack) -> Option<bool> {
    use StackFunction::*;
    if stack.has(MptcpWorker) {
        return Some(false);
    }
    let is_end_of_listener = stack.has(ListenStop) || stack.has(ChildForget) || stack.has(MptcpQueueClean);
    match stack.innermost()? {
        TcpDisconnect | TcpClose | TcpShutdown | MptcpListenStop | MptcpClose | MptcpShutdown
        | MptcpDisconnect => {
            // The tracker gives a child of an ending listener no new owner.
            Some(!is_end_of_listener && evidence.report.task.is_some())
        }
        _ => None,
    }
}

/// connect(2), or a send with MSG_FASTOPEN.
fn opening(stack: KernelStack) -> Cause {
    if stack.has(StackFunction::TcpSendmsg) { Cause::FastOpen } else { Cause::Connect }
}

/// tcp_finish_connect: called for a SYN+ACK, and under TCP_REPAIR by tcp_connect itself.
fn handshake(evidence: &Evidence, stack: KernelStack) -> Option<Cause> {
    use StackFunction::*;
    if stack.has(TcpRcvStateProcess) {
        Some(Cause::SynAckReceived)
    } else if evidence.is_in_repair() && (stack.has(TcpV4Connect) || stack.has(TcpV6Connect)) {
        Some(Cause::ConnectInRepair)
    } else {
        None
    }
}

/// tcp_close_state, called by tcp_shutdown and __tcp_close.
fn fin(evidence: &Evidence, stack: KernelStack) -> Option<Cause> {
    use StackFunction::*;
    let innermost = stack.innermost()?;
    if !matches!(innermost, TcpShutdown | TcpClose) {
        return None;
    }
    if let Some(cause) = mptcp::of_subflow(stack) {
        return Some(cause);
    }
    match innermost {
        // SHUT_WR in SYN_RECV waits for ESTABLISHED (since Linux 6.9).
        TcpShutdown if stack.has(TcpRcvStateProcess) => Some(Cause::Shutdown(ShutdownHow::Deferred)),
        TcpShutdown if stack.has(InetShutdown) => Some(Cause::Shutdown(evidence.shutdown_how())),
        // mptcp_incoming_options: the connection falls back to TCP, after its process has ended it.
        TcpShutdown => Some(Cause::SubflowClosed),
        _ => Some(Cause::Close(evidence.close_call())),
    }
}

/// A transition into CLOSE, by the innermost function.
fn end(evidence: &Evidence, stack: KernelStack) -> Option<Cause> {
    use StackFunction::*;
    match stack.innermost()? {
        // Segments
        TcpReset if !stack.has(TcpValidateIncoming) && matches!(evidence.report.old, FinWait1 | FinWait2) => {
            Some(Cause::DataAfterClose)
        }
        TcpReset | TcpValidateIncoming => Some(Cause::RstReceived(errors::of_reset(evidence.report.old))),
        TcpRcvStateProcess => segment(evidence),
        TcpCheckReq if evidence.error() == Some(Errno::ECONNRESET) => {
            Some(Cause::RstReceived(Errno::ECONNRESET))
        }
        TcpCheckReq if evidence.report.error.is_none() => None,
        TcpCheckReq | TcpV4SynRecvSock | TcpV6SynRecvSock => Some(Cause::ChildDiscarded),
        TcpFin => Some(Cause::FinReceived),
        TcpTimeWait => Some(time_wait(evidence, stack)),
        TcpV4Err | TcpV6Err => evidence.error().map(errors::fatal_icmp),
        // Timers
        TcpOutOfResources => Some(Cause::OrphanDropped),
        TcpWriteTimer | TcpRetransmitTimer | TcpProbeTimer | TcpWriteTimeout | TcpWriteErr => {
            write_timer(evidence)
        }
        TcpKeepaliveTimer => keepalive_timer(evidence),
        // Calls
        TcpAbort if evidence.report.old == Listen => Some(Cause::ListenerDestroyed),
        TcpAbort => Some(Cause::Destroyed),
        TcpDisconnect => Some(disconnect(evidence, stack)),
        TcpClose => close(evidence, stack),
        TcpShutdown | InetShutdown => {
            Some(mptcp::of_subflow(stack).unwrap_or(Cause::Shutdown(ShutdownHow::Unknown)))
        }
        // inet_csk_listen_start sets LISTEN before it tries to get the port.
        ListenStart => Some(Cause::ListenFailed),
        // What tcp_v4_connect, tcp_v6_connect or a deferred Fast Open's send ends is a connect that failed.
        TcpV4Connect | TcpV6Connect | TcpSendmsg => Some(connect::local_failure(evidence)),
        ListenStop | ChildForget => Some(listener_end(evidence, stack)),
        MptcpListenStop => mptcp::listening_subflow(evidence, stack),
        MptcpCloseSubflow | MptcpWorker | MptcpFastclose | MptcpClose | MptcpDisconnect
        | MptcpCheckDataFin | MptcpShutdown => mptcp::of_subflow(stack),
        InetStreamConnect | TcpFinishConnect | MptcpCheckDataFinAck | MptcpQueueClean | MptcpListen
        | MptcpConnect | MptcpClone | MptcpFinishConnect | MptcpErrorReport => None,
    }
}

/// tcp_rcv_state_process itself, or tcp_reset that returned to it: for an RST in SYN_SENT, and for data that no process can read
/// any more. Any other RST leaves tcp_validate_incoming on the stack.
fn segment(evidence: &Evidence) -> Option<Cause> {
    let is_reset = evidence.error() == Some(Errno::ECONNRESET) || evidence.report.rst_received == Some(true);
    match evidence.report.old {
        // tcp_rcv_synsent_state_process
        SynSent => Some(Cause::RstReceived(Errno::ECONNREFUSED)),
        FinWait1 | FinWait2 if is_reset => Some(Cause::DataAfterClose),
        FinWait2 if evidence.forbids_fin_wait2() => Some(Cause::OrphanReset),
        // tcp_time_wait, or tcp_done for data behind the FIN's ACK
        FinWait2 => Some(Cause::OrphanTimewaitOrRst),
        Closing | LastAck => Some(Cause::AckOfFinReceived),
        _ => None,
    }
}

/// tcp_time_wait: a FIN or the ACK of ours leads to TIME_WAIT, an orphan to FIN_WAIT2.
fn time_wait(evidence: &Evidence, stack: KernelStack) -> Cause {
    if stack.has(StackFunction::TcpFin) {
        Cause::FinReceived
    } else if evidence.report.old == FinWait2 {
        Cause::OrphanTimewait
    } else {
        Cause::AckOfFinReceived
    }
}

/// tcp_write_err sets the error that names the end; tcp_out_of_resources, which the compiler may inline, sets none.
fn write_timer(evidence: &Evidence) -> Option<Cause> {
    let timer = errors::of_timer(evidence);
    match evidence.report.error? {
        Some(errno) if timer.is_none_or(|timer| timer == errno) => {
            Some(Cause::Timeout(errors::timer(evidence), errno))
        }
        _ => Some(Cause::OrphanDropped),
    }
}

/// An orphan's time in FIN_WAIT2 is over: a mini-socket takes its place, or an RST ends it. Any other socket has sent
/// keepalive probes.
fn keepalive_timer(evidence: &Evidence) -> Option<Cause> {
    let is_in_fin_wait2 = evidence.report.old == FinWait2;
    match evidence.report.orphaned {
        Some(true) if is_in_fin_wait2 && evidence.forbids_fin_wait2() => Some(Cause::OrphanReset),
        Some(true) if is_in_fin_wait2 => Some(Cause::OrphanTimewaitOrRst),
        None if is_in_fin_wait2 => None,
        _ => evidence.error().map(|errno| Cause::Timeout(Timer::Keepalive, errno)),
    }
}

/// tcp_disconnect: who called it.
fn disconnect(evidence: &Evidence, stack: KernelStack) -> Cause {
    use StackFunction::*;
    if stack.has(ListenStop) || stack.has(ChildForget) {
        listener_end(evidence, stack)
    } else if let Some(cause) = mptcp::of_subflow(stack) {
        cause
    } else if stack.has(TcpClose) {
        disconnecting_close(evidence)
    } else if stack.has(InetShutdown) {
        Cause::Shutdown(ShutdownHow::Unknown)
    } else if evidence.is_in_repair() {
        Cause::DisconnectInRepair
    } else if stack.has(InetStreamConnect) {
        Cause::ConnectUnspec
    } else {
        Cause::Disconnect
    }
}

/// __tcp_close disconnects under TCP_REPAIR, and with SO_LINGER 0.
fn disconnecting_close(evidence: &Evidence) -> Cause {
    match evidence.report.old {
        _ if evidence.is_in_repair() => Cause::CloseInRepair,
        // A SYN needs no RST.
        SynSent => Cause::Close(evidence.close_call()),
        // An RST is sent for data that was never sent only.
        Closing | LastAck => Cause::CloseWithLinger,
        _ => Cause::CloseWithRst(RstReason::Linger),
    }
}

/// __tcp_close sets the state itself.
fn close(evidence: &Evidence, stack: KernelStack) -> Option<Cause> {
    let by_mptcp = mptcp::of_subflow(stack);
    match evidence.report.old {
        Listen | SynSent => Some(by_mptcp.unwrap_or(Cause::Close(evidence.close_call()))),
        // sock_orphan follows this one.
        SynRecv | Established | CloseWait => {
            Some(by_mptcp.unwrap_or(Cause::CloseWithRst(RstReason::UnreadData)))
        }
        FinWait1 | FinWait2 | Closing | LastAck => match evidence.report.orphaned? {
            false => Some(by_mptcp.unwrap_or(Cause::CloseWithRst(RstReason::UnreadData))),
            true if evidence.report.old != FinWait2 => Some(Cause::OrphanDropped),
            true if evidence.forbids_fin_wait2() => Some(Cause::OrphanReset),
            true => Some(Cause::OrphanTimewaitOrRst),
        },
        Close | TimeWait | NewSynRecv => None,
    }
}

/// inet_csk_listen_stop ends the connections that were not accepted; the function that called it says how the listener ended.
fn listener_end(evidence: &Evidence, stack: KernelStack) -> Cause {
    use StackFunction::*;
    let functions = stack.functions();
    let Some(stop) = functions.iter().position(|function| *function == ListenStop) else {
        // The child came while the listener ended (inet_csk_reqsk_queue_add).
        return Cause::ListenerEnd(ListenerEnd::Unknown);
    };
    let callers = &functions[stop + 1..];
    Cause::ListenerEnd(match callers.last() {
        Some(TcpAbort) => ListenerEnd::Destroyed,
        Some(TcpClose | MptcpClose) => ListenerEnd::Closed,
        Some(InetShutdown) => ListenerEnd::Shutdown,
        Some(InetStreamConnect) => ListenerEnd::Disconnected,
        // tcp_disconnect, mptcp_check_listen_stop: the record has no room for their callers.
        Some(_) => evidence.listener_end_by_call(),
        None => ListenerEnd::Unknown,
    })
}
