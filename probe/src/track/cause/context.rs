//! What a cause depends on besides the report itself.

use std::num::NonZeroU16;

use super::{SEND_SHUTDOWN, Syscall, has_shutdown};
use crate::model::{Report, State};

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
}

impl PriorReports {
    /// Adds a report whose cause is derived already.
    pub fn add(&mut self, report: &Report) {
        if (report.old, report.new) == (State::SynRecv, State::Established) {
            self.deferred_shutdown = has_shutdown(report, SEND_SHUTDOWN);
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
