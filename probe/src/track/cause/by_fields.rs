//! The cause that the edge, the socket's fields and the system call show, without the stack.

use super::{
    super::syscall::Syscall,
    context::{BOTH_SHUTDOWN, Evidence, SEND_SHUTDOWN},
    end,
};
use crate::model::{Cause, Protocol, ShutdownHow, State};

/// `None` where a field that would show the cause could not be read.
pub fn cause(evidence: &Evidence) -> Option<Cause> {
    use State::*;
    let report = evidence.report;
    if report.identity.protocol == Protocol::Mptcp {
        return Some(mptcp(evidence));
    }
    let sends_fin = matches!(
        (report.old, report.new),
        (SynRecv | Established | FinWait1, FinWait1)
            | (FinWait2, FinWait2)
            | (Closing, Closing)
            | (CloseWait | LastAck, LastAck)
    );
    Some(match (report.old, report.new) {
        _ if sends_fin && report.is_subflow => Cause::MptcpUnknown,
        // Nor does it show whether it is a subflow.
        _ if sends_fin && report.shutdown.is_none() => Cause::CloseShutdownOrMptcp,
        (Close, Listen) => Cause::Listen,
        (Close, SynSent) => opening(evidence),
        // At the SYN with TCP Fast Open, else at the third segment of the handshake.
        (Listen, SynRecv) => Cause::ChildCreated,
        // Under TCP_REPAIR, tcp_connect itself calls tcp_finish_connect; but a socket can also come under it in SYN_SENT.
        (SynSent, Established) if report.in_repair != Some(false) => Cause::SynAckOrRepair,
        (SynSent, Established) => Cause::SynAckReceived,
        // Only tcp_rcv_synsent_state_process makes this transition.
        (SynSent, SynRecv) => Cause::SynReceived,
        (SynRecv, Established) => Cause::AckOfSynReceived,
        (SynRecv | Established, FinWait1) => first_fin(evidence),
        (SynRecv | Established, CloseWait) | (FinWait1, Closing) => Cause::FinReceived,
        (CloseWait, LastAck) => second_fin(evidence),
        (FinWait1, FinWait2) => Cause::AckOfFinReceived,
        // Only close reaches these edges of tcp_close_state: shutdown returns before them.
        (FinWait1, FinWait1) | (FinWait2, FinWait2) | (Closing, Closing) | (LastAck, LastAck) => {
            Cause::Close(evidence.close_call())
        }
        (_, Close) => return end::cause(evidence),
        _ => Cause::UnknownTransition,
    })
}

/// An MPTCP socket has no segments of its own, its FIN is an option of its subflows', and its state often changes in a
/// kworker.
fn mptcp(evidence: &Evidence) -> Cause {
    use State::*;
    match (evidence.report.old, evidence.report.new) {
        // mptcp_listen copies the subflow's state, which is LISTEN already.
        (Close | Listen, Listen) => Cause::Listen,
        (Close, SynSent) => opening(evidence),
        // mptcp_sk_clone_init
        (Listen, Established) => Cause::ChildCreated,
        // __mptcp_sync_state
        (SynSent, Established) => Cause::SubflowEstablished,
        // mptcp_close_state
        (Established, FinWait1) | (CloseWait, LastAck) => second_fin(evidence),
        // mptcp_check_data_fin; after a fallback to TCP it acts on the subflow's FIN.
        (Established, CloseWait) | (FinWait1, Closing) => Cause::DataFinReceived,
        // mptcp_check_data_fin_ack
        (FinWait1, FinWait2) => Cause::AckOfDataFinReceived,
        _ => Cause::MptcpUnknown,
    }
}

/// connect(2), or a send with MSG_FASTOPEN.
fn opening(evidence: &Evidence) -> Cause {
    match evidence.syscall {
        Some(Syscall::Send) => Cause::FastOpen,
        _ if evidence.report.syscall.is_none() => Cause::ConnectOrFastOpen,
        _ => Cause::Connect,
    }
}

/// This side sends the first FIN: `sk_shutdown` distinguishes SHUT_WR from the other calls.
fn first_fin(evidence: &Evidence) -> Cause {
    match (evidence.report.shutdown, evidence.syscall) {
        // SHUT_WR in SYN_RECV waits for ESTABLISHED (since Linux 6.9).
        _ if evidence.prior.deferred_shutdown => Cause::Shutdown(ShutdownHow::Deferred),
        (Some(SEND_SHUTDOWN), _) => Cause::Shutdown(ShutdownHow::Wr),
        (Some(BOTH_SHUTDOWN), Some(Syscall::Shutdown)) => Cause::Shutdown(ShutdownHow::Rdwr),
        (Some(BOTH_SHUTDOWN), _) => evidence.closing_call().map_or(Cause::CloseOrShutdownRdwr, Cause::Close),
        (_, Some(Syscall::Shutdown)) => Cause::Shutdown(ShutdownHow::Unknown),
        _ => Cause::CloseOrShutdown,
    }
}

/// This side sends the second FIN: the peer's set RCV_SHUTDOWN, so that only the system call shows
/// the cause.
fn second_fin(evidence: &Evidence) -> Cause {
    match evidence.syscall {
        Some(Syscall::Shutdown) => Cause::Shutdown(ShutdownHow::Unknown),
        _ => evidence.closing_call().map_or(Cause::CloseOrShutdown, Cause::Close),
    }
}
