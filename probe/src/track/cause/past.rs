//! What a cause depends on beside the report.

use super::{Call, SEND_SHUTDOWN, shuts};
use crate::model::{Report, State};

/// What a socket's earlier reports said.
#[derive(Clone, Copy, Debug, Default)]
pub struct Past {
    /// It is a listener's child.
    pub passive: bool,
    /// It had no local port when it left CLOSE: the kernel picked one.
    pub autobound: bool,
    /// It was shut down for sending before it was established.
    pub deferred: bool,
}

impl Past {
    /// Takes in a report whose cause has been told.
    pub fn step(&mut self, report: &Report) {
        if (report.old, report.new) == (State::SynRecv, State::Established) {
            self.deferred = shuts(report, SEND_SHUTDOWN);
        }
    }
}

/// What is known of a report beyond itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Background {
    /// The socket's past.
    pub past: Past,
    /// The call that the task on the CPU is in.
    pub call: Option<Call>,
}
