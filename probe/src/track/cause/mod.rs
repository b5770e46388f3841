//! Why a socket moved: from the edge, what the kernel had written into the socket by then (`sk_err`,
//! `sk_shutdown`, the counters), and what is known of its past.
//!
//! Nothing is said that is not certain from these: where two causes look alike, the words cover both,
//! with one exception (see `end`).
//! What cannot be told apart at all: a connect under TCP_REPAIR reports SYN_SENT→ESTABLISHED like an
//! answered one, though tcp_connect calls tcp_finish_connect itself and there is no SYN+ACK. Function
//! names are the kernel's, of net/ipv4/tcp.c and tcp_input.c.

mod end;
mod past;
#[cfg(test)]
mod tests;

pub use self::past::{Background, Past};
use super::call::Call;
use crate::model::{
    Cause,
    CauseKind::{Call as ByCall, Kernel, Segment},
    Protocol, Report, State,
};

/// Bit 1 of `sk_shutdown`: our side will send no more.
const SEND_SHUTDOWN: u8 = 2;

/// Both bits: set by `close` before it does anything else.
const BOTH_SHUTDOWN: u8 = 3;

/// Why the socket moved.
///
/// `None` where this kernel leaves out what would tell.
pub fn cause(report: &Report, background: &Background) -> Option<Cause> {
    use State::*;
    if report.protocol == Protocol::Mptcp {
        return Some(mptcp(report, background.call));
    }
    Some(match (report.old, report.new) {
        (Close, Listen) => Cause::new(ByCall, "listen"),
        (Close, SynSent) => opened(background.call),
        // With TCP Fast Open at the SYN, else at the third segment of the handshake.
        (Listen, SynRecv) => Cause::new(Segment, "child created"),
        (SynSent, Established) => Cause::new(Segment, "SYN+ACK received"),
        // The one place in the kernel that takes this edge: tcp_rcv_synsent_state_process.
        (SynSent, SynRecv) => Cause::new(Segment, "SYN received"),
        (SynRecv, Established) => Cause::new(Segment, "ACK of SYN received"),
        (SynRecv | Established, FinWait1) => Cause::new(ByCall, fin_sent(report, background)),
        (SynRecv | Established, CloseWait) | (FinWait1, Closing) => Cause::new(Segment, "FIN received"),
        (CloseWait, LastAck) => Cause::new(ByCall, second_fin_sent(background.call)),
        (FinWait1, FinWait2) => Cause::new(Segment, "ACK of FIN received"),
        // tcp_close_state has these as edges of close alone: shutdown does not come here again.
        (FinWait1, FinWait1) | (FinWait2, FinWait2) | (Closing, Closing) | (LastAck, LastAck) => {
            Cause::new(ByCall, closed(background.call))
        }
        (_, Close) => return end::cause(report, background),
        _ => Cause::new(Kernel, "unheard of"),
    })
}

/// Whether the event certainly ran in a call on this very socket, so that its task has the socket.
pub fn is_owners_call(report: &Report, background: &Background) -> bool {
    use State::*;
    let sends_fin = match (report.old, report.new) {
        (Established, FinWait1) => !background.past.deferred,
        (SynRecv, FinWait1) | (CloseWait, LastAck) => true,
        (FinWait1, FinWait1) | (FinWait2, FinWait2) | (Closing, Closing) | (LastAck, LastAck) => true,
        _ => false,
    };
    let resets =
        matches!((report.old, report.new), (Listen | SynSent | SynRecv | Established | CloseWait, Close))
            && report.error == Some(None)
            && shuts(report, SEND_SHUTDOWN);
    report.protocol == Protocol::Tcp && (sends_fin || resets)
}

/// Whether all these bits of `sk_shutdown` are set; not where it is unknown.
fn shuts(report: &Report, bits: u8) -> bool {
    report.shutdown.is_some_and(|shutdown| shutdown & bits == bits)
}

/// The MPTCP socket above the subflows has no segments of its own, and its FIN is an option of theirs: often it moves
/// in a kworker. Functions are those of net/mptcp/protocol.c.
fn mptcp(report: &Report, call: Option<Call>) -> Cause {
    use State::*;
    match (report.old, report.new) {
        // mptcp_listen copies the subflow's state, which is its own already.
        (Close | Listen, Listen) => Cause::new(ByCall, "listen"),
        (Close, SynSent) => Cause::new(ByCall, "connect"),
        // mptcp_sk_clone_init
        (Listen, Established) => Cause::new(Segment, "child created"),
        // mptcp_close_state
        (Established, FinWait1) | (CloseWait, LastAck) => Cause::new(ByCall, second_fin_sent(call)),
        // mptcp_check_data_fin; after a fallback to TCP, it is the subflow's FIN that it acts on.
        (Established, CloseWait) | (FinWait1, Closing) => Cause::new(Segment, "DATA_FIN or FIN received"),
        // mptcp_check_data_fin_ack
        (FinWait1, FinWait2) => Cause::new(Segment, "DATA_FIN or FIN acknowledged"),
        _ => Cause::new(Kernel, "follows its MPTCP subflows"),
    }
}

fn opened(call: Option<Call>) -> Cause {
    let detail = match call {
        Some(Call::Send) => "send with MSG_FASTOPEN",
        _ => "connect",
    };
    Cause::new(ByCall, detail)
}

/// Our FIN goes first: `sk_shutdown` tells shutdown(WR) from the rest.
fn fin_sent(report: &Report, background: &Background) -> &'static str {
    match (report.shutdown, background.call) {
        // shutdown(WR) in SYN_RECV waits for ESTABLISHED (since Linux 6.9).
        _ if background.past.deferred => "shutdown, deferred from SYN_RECV",
        (Some(SEND_SHUTDOWN), _) => "shutdown(WR)",
        (Some(BOTH_SHUTDOWN), Some(Call::Shutdown)) => "shutdown(RDWR)",
        (Some(BOTH_SHUTDOWN), call) => closing(call).unwrap_or("close or shutdown(RDWR)"),
        (_, Some(Call::Shutdown)) => "shutdown",
        _ => "close or shutdown",
    }
}

/// Our FIN goes second: the peer's has set the receiving bit, so that only the call is left to tell.
fn second_fin_sent(call: Option<Call>) -> &'static str {
    match call {
        Some(Call::Shutdown) => "shutdown",
        call => closing(call).unwrap_or("close or shutdown"),
    }
}

/// The descriptor certainly went away, whatever call it was in.
fn closed(call: Option<Call>) -> &'static str {
    closing(call).unwrap_or("close")
}

/// A call that makes descriptors go away. Of any other, a signal or io_uring may have done it.
fn closing(call: Option<Call>) -> Option<&'static str> {
    match call? {
        Call::Close => Some("close"),
        Call::Exit => Some("close at exit"),
        Call::Exec => Some("close at exec"),
        Call::Connect | Call::Listen | Call::Send | Call::Shutdown => None,
    }
}
