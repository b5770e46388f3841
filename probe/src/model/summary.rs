//! A connection in one record: what the kernel side kept of it in the socket's own storage.

use std::num::NonZeroU16;

use super::{Mono, Report, StatePath};

/// The end of a connection whose transitions were not reported one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The transition into CLOSE, with the owner as the last word (`opened`) and the counters.
    pub end: Report,
    /// When the first transition was; `None` for a socket older than the tracer.
    pub opened: Option<Mono>,
    /// When it reached ESTABLISHED.
    pub established: Option<Mono>,
    /// The local port that it left CLOSE with, before the kernel picked one.
    pub first_port: Option<NonZeroU16>,
    /// The states it went through, in order, CLOSE at the end.
    pub path: StatePath,
    /// Whether all of them are in `path`: it has room for sixteen, and the kernel may have passed over a transition.
    pub path_is_whole: bool,
}
