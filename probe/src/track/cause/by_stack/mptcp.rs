//! MPTCP sockets and their subflows.

use probe_ebpf::StackFunction::*;

use super::super::context::Evidence;
use crate::model::{Cause, Errno, KernelStack, ListenerEnd, RstReason, ShutdownHow, State::*};

/// The cause of an MPTCP socket's transition.
pub fn cause(evidence: &Evidence, stack: KernelStack) -> Option<Cause> {
    match (evidence.report.old, evidence.report.new) {
        (_, Close) => end(evidence, stack),
        // mptcp_close_state, by mptcp_shutdown and __mptcp_close
        (Established | FinWait1, FinWait1)
        | (CloseWait | LastAck, LastAck)
        | (FinWait2, FinWait2)
        | (Closing, Closing) => match stack.innermost()? {
            MptcpShutdown => Some(Cause::Shutdown(evidence.shutdown_how())),
            MptcpClose => Some(Cause::Close(evidence.close_call())),
            _ => None,
        },
        // Any other edge has one cause.
        _ => None,
    }
}

fn end(evidence: &Evidence, stack: KernelStack) -> Option<Cause> {
    // mptcp_check_listen_stop and mptcp_subflow_queue_clean end the connections that were not accepted.
    if stack.has(MptcpQueueClean) {
        return Some(Cause::ListenerEnd(listener_end(evidence, stack)));
    }
    match stack.innermost()? {
        MptcpClose => Some(close(evidence)),
        MptcpDisconnect => Some(disconnect(stack)),
        MptcpFastclose if stack.has(MptcpDisconnect) => Some(disconnect(stack)),
        MptcpFastclose if stack.has(MptcpClose) => Some(Cause::CloseWithRst(RstReason::Unknown)),
        MptcpFastclose | MptcpWorker if evidence.error().is_some_and(is_fastclose) => {
            Some(Cause::FastcloseReceived)
        }
        MptcpFastclose if stack.has(MptcpWorker) => Some(Cause::MptcpTimeout),
        MptcpFastclose => None,
        MptcpWorker if evidence.report.error.is_none() => None,
        // The compiler inlines mptcp_check_data_fin_ack, and may inline mptcp_check_data_fin.
        MptcpWorker => match evidence.report.old {
            FinWait2 => Some(Cause::DataFinReceived),
            Closing | LastAck => Some(Cause::AckOfDataFinReceived),
            _ => None,
        },
        MptcpCheckDataFin => Some(Cause::DataFinReceived),
        MptcpCheckDataFinAck => Some(Cause::AckOfDataFinReceived),
        MptcpCloseSubflow if stack.has(MptcpDisconnect) => Some(disconnect(stack)),
        MptcpCloseSubflow if stack.has(MptcpClose) => Some(close(evidence)),
        MptcpCloseSubflow => Some(Cause::SubflowsClosed),
        MptcpErrorReport => Some(Cause::SubflowFailed),
        MptcpConnect => Some(Cause::ConnectFailed),
        MptcpListen => Some(Cause::ListenFailed),
        _ => None,
    }
}

/// __mptcp_close: of a socket with unread data or SO_LINGER 0 it sends MP_FASTCLOSE (mptcp_do_fastclose); of one whose subflows
/// have ended, it changes the state as well.
fn close(evidence: &Evidence) -> Cause {
    match evidence.report.old {
        Established | CloseWait | SynRecv => Cause::CloseWithRst(RstReason::Unknown),
        FinWait1 | FinWait2 | Closing | LastAck => Cause::SubflowsClosed,
        _ => Cause::Close(evidence.close_call()),
    }
}

/// mptcp_disconnect, which inet_shutdown calls for a listener and in SYN_SENT.
fn disconnect(stack: KernelStack) -> Cause {
    if stack.has(InetShutdown) {
        Cause::Shutdown(ShutdownHow::Unknown)
    } else if stack.has(InetStreamConnect) {
        Cause::ConnectUnspec
    } else {
        Cause::Disconnect
    }
}

/// mptcp_check_fastclose sets what tcp_reset would.
fn is_fastclose(errno: Errno) -> bool {
    matches!(errno, Errno::ECONNRESET | Errno::EPIPE | Errno::ECONNREFUSED)
}

/// The cause that an MPTCP function gives its subflow; `None` where there is none on the stack.
pub fn of_subflow(stack: KernelStack) -> Option<Cause> {
    if stack.has(MptcpClose) {
        Some(Cause::CloseOfMptcp)
    } else if stack.has(MptcpDisconnect) {
        Some(disconnect(stack))
    } else if stack.has(MptcpShutdown) {
        Some(Cause::Shutdown(ShutdownHow::Unknown))
    } else if [MptcpWorker, MptcpCheckDataFin, MptcpCloseSubflow, MptcpFastclose]
        .iter()
        .any(|part| stack.has(*part))
    {
        Some(Cause::SubflowClosed)
    } else {
        None
    }
}

/// mptcp_check_listen_stop ends the listening subflow.
pub fn listening_subflow(evidence: &Evidence, stack: KernelStack) -> Option<Cause> {
    if stack.has(MptcpClose) {
        return Some(Cause::CloseOfMptcp);
    }
    if stack.has(MptcpDisconnect) {
        return Some(disconnect(stack));
    }
    // The record has no room for the caller.
    match evidence.listener_end_by_call() {
        ListenerEnd::Closed => Some(Cause::CloseOfMptcp),
        ListenerEnd::Shutdown => Some(Cause::Shutdown(ShutdownHow::Unknown)),
        ListenerEnd::Disconnected => Some(Cause::ConnectUnspec),
        ListenerEnd::Destroyed | ListenerEnd::Unknown => None,
    }
}

fn listener_end(evidence: &Evidence, stack: KernelStack) -> ListenerEnd {
    if stack.has(MptcpClose) {
        ListenerEnd::Closed
    } else if stack.has(InetShutdown) {
        ListenerEnd::Shutdown
    } else if stack.has(InetStreamConnect) {
        ListenerEnd::Disconnected
    } else {
        evidence.listener_end_by_call()
    }
}
