//! How to trace.

use crate::model::{Backend, Filter};

/// How to trace the running kernel.
#[derive(Clone, Debug, Default)]
pub struct LiveOptions {
    /// The tracepoint to use; `None` selects the better one that this kernel supports.
    pub backend: Option<Backend>,
    /// The size of all rings together in bytes; `None` selects the default.
    pub ring_bytes: Option<u32>,
    /// Whether to ignore the kernel's type information, as on a host without any.
    pub without_btf: bool,
    /// Which sockets to report. The BPF programs pass what they cannot decide.
    pub filter: Filter,
    /// Whether to report only the namespaces that are added during the trace by
    /// [`Live::namespaces`](super::Live::namespaces).
    pub namespaces: bool,
    /// Whether to report a [`Summary`](crate::model::Summary) of each finished connection instead of its transitions.
    pub summaries: bool,
    /// Whether the BPF programs log what they do. If not, the verifier removes that code.
    pub kernel_log: bool,
    /// Whether to report failed calls of bind(2). This costs every system call of the host some nanoseconds: while any
    /// system call is traced, all of them leave the kernel by the slow path.
    pub binds: bool,
    /// Whether to report resets: those that this host sends, and whether one arrived before a transition into CLOSE.
    pub resets: bool,
}
