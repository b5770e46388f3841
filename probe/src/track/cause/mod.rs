//! Why a socket changed its state: from the edge, from what the kernel had written into the socket by then
//! (`sk_err`, `sk_shutdown`, counters), and from the socket's earlier reports.
//!
//! A cause is only as narrow as these make certain: where two are possible, it names both. One exception: see
//! `end`. A connect under TCP_REPAIR cannot be distinguished: it reports SYN_SENT→ESTABLISHED like an answered
//! one, though tcp_connect itself calls tcp_finish_connect and no SYN+ACK arrives. Functions are those of
//! net/ipv4/tcp.c and tcp_input.c unless a comment names another file.

mod context;
mod end;
#[cfg(test)]
mod tests;

pub use self::context::{CauseContext, PriorReports};
use super::syscall::Syscall;
use crate::model::{Cause, CloseCall, Protocol, Report, ShutdownHow, State};

/// `SEND_SHUTDOWN` of `sk_shutdown`: this side has shut down sending.
const SEND_SHUTDOWN: u8 = 2;

/// `SHUTDOWN_MASK`: tcp_close sets both bits before it does anything else.
const BOTH_SHUTDOWN: u8 = 3;

/// Why the socket changed its state; `None` where this kernel leaves out the field that would show it.
pub fn cause(report: &Report, context: &CauseContext) -> Option<Cause> {
    use State::*;
    if report.identity.protocol == Protocol::Mptcp {
        return Some(mptcp(report, context.syscall));
    }
    Some(match (report.old, report.new) {
        (Close, Listen) => Cause::Listen,
        (Close, SynSent) if context.syscall == Some(Syscall::Send) => Cause::FastOpen,
        (Close, SynSent) => Cause::Connect,
        // At the SYN with TCP Fast Open, else at the third segment of the handshake.
        (Listen, SynRecv) => Cause::ChildCreated,
        (SynSent, Established) => Cause::SynAckReceived,
        // Only tcp_rcv_synsent_state_process makes this transition.
        (SynSent, SynRecv) => Cause::SynReceived,
        (SynRecv, Established) => Cause::AckOfSynReceived,
        (SynRecv | Established, FinWait1) => first_fin(report, context),
        (SynRecv | Established, CloseWait) | (FinWait1, Closing) => Cause::FinReceived,
        (CloseWait, LastAck) => second_fin(context.syscall),
        (FinWait1, FinWait2) => Cause::AckOfFinReceived,
        // Only close reaches these edges of tcp_close_state: shutdown returns before them.
        (FinWait1, FinWait1) | (FinWait2, FinWait2) | (Closing, Closing) | (LastAck, LastAck) => {
            close(context.syscall)
        }
        (_, Close) => return end::cause(report, context),
        _ => Cause::UnknownTransition,
    })
}

/// Whether the transition certainly ran in a system call on this very socket, so that the task on the CPU has it.
pub fn is_owners_call(report: &Report, context: &CauseContext) -> bool {
    use State::*;
    let sends_fin = match (report.old, report.new) {
        (Established, FinWait1) => !context.prior.deferred_shutdown,
        (SynRecv, FinWait1) | (CloseWait, LastAck) => true,
        (FinWait1, FinWait1) | (FinWait2, FinWait2) | (Closing, Closing) | (LastAck, LastAck) => true,
        _ => false,
    };
    let resets =
        matches!((report.old, report.new), (Listen | SynSent | SynRecv | Established | CloseWait, Close))
            && report.error == Some(None)
            && has_shutdown(report, SEND_SHUTDOWN);
    report.identity.protocol == Protocol::Tcp && (sends_fin || resets)
}

/// Whether all these bits of `sk_shutdown` are set; false where it is unknown.
fn has_shutdown(report: &Report, bits: u8) -> bool {
    report.shutdown.is_some_and(|shutdown| shutdown & bits == bits)
}

/// The cause for an MPTCP socket. It has no segments of its own, its FIN is an option of its subflows', and it
/// often changes its state in a kworker. Functions are those of net/mptcp/protocol.c.
fn mptcp(report: &Report, syscall: Option<Syscall>) -> Cause {
    use State::*;
    match (report.old, report.new) {
        // mptcp_listen copies the subflow's state, which is LISTEN already.
        (Close | Listen, Listen) => Cause::Listen,
        (Close, SynSent) => Cause::Connect,
        // mptcp_sk_clone_init
        (Listen, Established) => Cause::ChildCreated,
        // mptcp_close_state
        (Established, FinWait1) | (CloseWait, LastAck) => second_fin(syscall),
        // mptcp_check_data_fin; after a fallback to TCP it acts on the subflow's FIN.
        (Established, CloseWait) | (FinWait1, Closing) => Cause::DataFinReceived,
        // mptcp_check_data_fin_ack
        (FinWait1, FinWait2) => Cause::AckOfDataFinReceived,
        _ => Cause::FollowsSubflows,
    }
}

/// This side sends the first FIN: `sk_shutdown` distinguishes SHUT_WR from the other calls.
fn first_fin(report: &Report, context: &CauseContext) -> Cause {
    match (report.shutdown, context.syscall) {
        // SHUT_WR in SYN_RECV waits for ESTABLISHED (since Linux 6.9).
        _ if context.prior.deferred_shutdown => Cause::Shutdown(ShutdownHow::Deferred),
        (Some(SEND_SHUTDOWN), _) => Cause::Shutdown(ShutdownHow::Wr),
        (Some(BOTH_SHUTDOWN), Some(Syscall::Shutdown)) => Cause::Shutdown(ShutdownHow::Rdwr),
        (Some(BOTH_SHUTDOWN), call) => close_call(call).map_or(Cause::CloseOrShutdownRdwr, Cause::Close),
        (_, Some(Syscall::Shutdown)) => Cause::Shutdown(ShutdownHow::Unknown),
        _ => Cause::CloseOrShutdown,
    }
}

/// This side sends the second FIN: the peer's set RCV_SHUTDOWN, so that only the system call shows
/// the cause.
fn second_fin(syscall: Option<Syscall>) -> Cause {
    match syscall {
        Some(Syscall::Shutdown) => Cause::Shutdown(ShutdownHow::Unknown),
        call => close_call(call).map_or(Cause::CloseOrShutdown, Cause::Close),
    }
}

/// The descriptor was certainly closed, whatever the call.
fn close(syscall: Option<Syscall>) -> Cause {
    Cause::Close(close_call(syscall).unwrap_or(CloseCall::Close))
}

/// How the call closes descriptors; `None` for any other call, in which a signal or io_uring may have closed one.
fn close_call(syscall: Option<Syscall>) -> Option<CloseCall> {
    match syscall? {
        Syscall::Close => Some(CloseCall::Close),
        Syscall::Exit => Some(CloseCall::Exit),
        Syscall::Exec => Some(CloseCall::Exec),
        Syscall::Connect | Syscall::Listen | Syscall::Send | Syscall::Shutdown => None,
    }
}
