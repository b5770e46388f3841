//! A connection in one record, which the kernel side collected in the socket's storage.

use std::num::NonZeroU16;

use super::{Mono, Report, StatePath};

/// A connection that is reported once, at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The transition into CLOSE, with the final owner (`opened`) and the counters.
    pub end: Report,
    /// The time of the first transition; `None` for a pre-existing socket.
    pub opened: Option<Mono>,
    /// When it reached ESTABLISHED.
    pub established: Option<Mono>,
    /// The local port with which it left CLOSE, before the kernel picked one.
    pub first_port: Option<NonZeroU16>,
    /// The states it went through, in order, CLOSE last.
    pub path: StatePath,
    /// Whether `path` is complete: it holds at most sixteen states, and the kernel may have skipped the program for a
    /// transition.
    pub path_is_complete: bool,
}
