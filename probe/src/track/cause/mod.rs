//! Why a socket changed its state.
//!
//! Where the kernel side took the stack, the function that set the state proves the cause (`by_stack`). Elsewhere the
//! socket's fields do (`by_fields`; `end` for the transitions into CLOSE): the kernel side takes no stack where they
//! suffice, and an old recording has none. Where neither decides, the cause names every possibility. docs/causes.md says
//! of each how it is known and what it may be mistaken for.
//!
//! Functions are those of net/ipv4/tcp.c, tcp_input.c and tcp_timer.c, and of net/mptcp/protocol.c, unless a comment names
//! another file.

mod by_fields;
mod by_stack;
mod connect;
mod context;
mod end;
mod errors;
#[cfg(test)]
mod tests;

pub use self::context::{CauseContext, PriorReports};
use self::context::{Evidence, SEND_SHUTDOWN};
use crate::model::{Cause, Protocol, Report, State};

/// Why the socket changed its state; `None` where this kernel leaves out the field that would show it.
pub fn cause(report: &Report, context: &CauseContext) -> Option<Cause> {
    let evidence = Evidence::new(report, context);
    report.stack.and_then(|stack| by_stack::cause(&evidence, stack)).or_else(|| by_fields::cause(&evidence))
}

/// Whether the transition certainly ran in a system call on this very socket, so that the task on the CPU has it.
#[inline]
pub fn is_owners_call(report: &Report, context: &CauseContext) -> bool {
    use State::*;
    let evidence = Evidence::new(report, context);
    if let Some(is_call) = report.stack.and_then(|stack| by_stack::is_owners_call(&evidence, stack)) {
        return is_call;
    }
    let sends_fin = match (report.old, report.new) {
        (Established, FinWait1) => !context.prior.deferred_shutdown,
        (SynRecv, FinWait1) | (CloseWait, LastAck) => true,
        (FinWait1, FinWait1) | (FinWait2, FinWait2) | (Closing, Closing) | (LastAck, LastAck) => true,
        _ => false,
    };
    let resets =
        matches!((report.old, report.new), (Listen | SynSent | SynRecv | Established | CloseWait, Close))
            && report.error == Some(None)
            && evidence.has_shutdown(SEND_SHUTDOWN);
    report.identity.protocol == Protocol::Tcp && (sends_fin || resets)
}
