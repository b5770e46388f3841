//! What a cause depends on beside the report.

use std::num::NonZeroU16;

use super::{Call, SEND_SHUTDOWN, shuts};
use crate::model::{Report, State};

/// What a socket's earlier reports said.
#[derive(Clone, Copy, Debug, Default)]
pub struct Past {
    /// Whether it is a listener's child; `None` for a socket first seen in mid-life.
    pub passive: Option<bool>,
    /// The local port that it left CLOSE with. A later one was picked by the kernel on the way; so was
    /// this one, perhaps, for an earlier connection of the same socket.
    pub first_port: Option<NonZeroU16>,
    /// The local port of the socket's last connection: `inet_sport` has it until there is another.
    pub left_port: Option<NonZeroU16>,
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
