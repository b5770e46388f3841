//! What a cause is derived from.

use std::num::NonZeroU16;

use super::super::syscall::Syscall;
use crate::model::{CloseCall, Errno, FinalFields, ListenerEnd, Report, ShutdownHow, State};

/// `SEND_SHUTDOWN` of `sk_shutdown`: this side has shut down sending.
pub const SEND_SHUTDOWN: u8 = 2;

/// `SHUTDOWN_MASK`: tcp_close sets both bits before it does anything else.
pub const BOTH_SHUTDOWN: u8 = 3;

/// What the socket's earlier reports showed.
#[derive(Clone, Copy, Debug, Default)]
pub struct PriorReports {
    /// Whether it is a listener's child; `None` where its opening was not seen.
    pub passive: Option<bool>,
    /// The local port with which it left CLOSE. The kernel picked any later one in connect(2), and possibly this
    /// one too, for an earlier connection of the same socket.
    pub first_port: Option<NonZeroU16>,
    /// The local port of the socket's last connection: `inet_sport` keeps it until the next one.
    pub previous_port: Option<NonZeroU16>,
    /// Whether shutdown(2) closed the sending direction before ESTABLISHED.
    pub deferred_shutdown: bool,
    /// Whether it was under TCP_REPAIR when it left SYN_SENT for ESTABLISHED: it sent no SYN.
    pub opened_in_repair: bool,
}

impl PriorReports {
    /// Adds a report whose cause is derived already.
    pub fn add(&mut self, report: &Report) {
        if (report.old, report.new) == (State::SynRecv, State::Established) {
            self.deferred_shutdown = report.shutdown.is_some_and(|bits| bits & SEND_SHUTDOWN != 0);
        }
        if (report.old, report.new) == (State::SynSent, State::Established) {
            self.opened_in_repair = report.in_repair == Some(true);
        }
    }
}

/// What is known besides the report.
#[derive(Clone, Copy, Debug, Default)]
pub struct CauseContext {
    /// What the socket's earlier reports showed.
    pub prior: PriorReports,
    /// The system call that the task on the CPU is in.
    pub syscall: Option<Syscall>,
}

/// A report with what is known besides it.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The report.
    pub report: &'a Report,
    /// What the socket's earlier reports showed.
    pub prior: PriorReports,
    /// The system call of a task that goes on: one that exits closes its sockets in whatever call a signal found it.
    pub syscall: Option<Syscall>,
}

impl<'a> Evidence<'a> {
    /// The evidence for the cause of a report.
    pub fn new(report: &'a Report, context: &CauseContext) -> Self {
        let syscall = context.syscall.filter(|_| !report.task_exits);
        Self { report, prior: context.prior, syscall }
    }

    /// Whether all these bits of `sk_shutdown` are set; false where it is unknown.
    pub fn has_shutdown(&self, bits: u8) -> bool {
        self.report.shutdown.is_some_and(|shutdown| shutdown & bits == bits)
    }

    /// Whether the process had shut the receiving direction down; true where that is unknown.
    pub fn may_have_shut_receiving(&self) -> bool {
        self.report.shutdown.is_none_or(|bits| bits & 1 == 1)
    }

    /// How the call on the CPU closes descriptors; `None` for any other call. The task may exit, so that this is no proof
    /// that the call is about this socket.
    pub fn closing_call(&self) -> Option<CloseCall> {
        if self.report.task_exits {
            return Some(CloseCall::Exit);
        }
        match self.syscall? {
            Syscall::Close => Some(CloseCall::Close),
            Syscall::Exit => Some(CloseCall::Exit),
            Syscall::Exec => Some(CloseCall::Exec),
            Syscall::Connect | Syscall::Listen | Syscall::Send | Syscall::Shutdown => None,
        }
    }

    /// The call that closed the descriptor, where it certainly was closed.
    pub fn close_call(&self) -> CloseCall {
        // Without the kernel's types neither the call nor the task's flags can be read.
        let is_blind = self.report.orphaned.is_none() && self.report.syscall.is_none();
        self.closing_call().unwrap_or(if is_blind { CloseCall::Unknown } else { CloseCall::Close })
    }

    /// How shutdown(2) was called that sent a FIN. In CLOSE_WAIT the peer's FIN has shut the other direction down already, and
    /// where the FIN was sent before, another shutdown(2) may have.
    pub fn shutdown_how(&self) -> ShutdownHow {
        match (self.report.old, self.report.shutdown) {
            (State::SynRecv | State::Established, Some(SEND_SHUTDOWN)) => ShutdownHow::Wr,
            (State::SynRecv | State::Established, Some(BOTH_SHUTDOWN)) => ShutdownHow::Rdwr,
            _ => ShutdownHow::Unknown,
        }
    }

    /// How the call that the task is in ended a listener, where it certainly did.
    pub fn listener_end_by_call(&self) -> ListenerEnd {
        match self.syscall {
            Some(Syscall::Connect) => ListenerEnd::Disconnected,
            Some(Syscall::Shutdown) => ListenerEnd::Shutdown,
            _ if self.closing_call().is_some() => ListenerEnd::Closed,
            _ => ListenerEnd::Unknown,
        }
    }

    /// `sk_err`, where it is known and set.
    pub fn error(&self) -> Option<Errno> {
        self.report.error.flatten()
    }

    /// Whether the socket is certainly an orphan.
    pub fn is_orphan(&self) -> bool {
        self.report.orphaned == Some(true)
    }

    /// Whether the socket is certainly under TCP_REPAIR.
    pub fn is_in_repair(&self) -> bool {
        self.report.in_repair == Some(true)
    }

    /// Whether TCP_LINGER2 is certainly negative.
    pub fn forbids_fin_wait2(&self) -> bool {
        self.final_field(|fields| fields.linger2_is_negative) == Some(true)
    }

    /// A field of the socket at its end; `None` where it is unknown.
    pub fn final_field<T>(&self, field: impl Fn(&FinalFields) -> Option<T>) -> Option<T> {
        self.report.final_fields.as_ref().and_then(field)
    }
}
