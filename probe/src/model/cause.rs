//! Why a socket changed its state.

use super::Errno;

/// What kind of thing moved a socket on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CauseKind {
    /// A system call of the owner's.
    Call,
    /// A segment from the peer, or an ICMP message about one of ours.
    Segment,
    /// A timer of the socket's.
    Timer,
    /// The kernel's own decision, or another's through it (sock_diag).
    Kernel,
}

impl CauseKind {
    /// The name in output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Segment => "segment",
            Self::Timer => "timer",
            Self::Kernel => "kernel",
        }
    }
}

/// Why a socket changed its state, as far as the kernel tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The kind of thing it was.
    pub kind: CauseKind,
    /// In plain words, such as `connect` or `RST received`.
    pub detail: String,
    /// The error that the socket reports for it.
    pub errno: Option<Errno>,
}

impl Cause {
    /// A cause without an error.
    #[must_use]
    pub fn new(kind: CauseKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), errno: None }
    }

    /// The same with the error that the socket reports.
    #[must_use]
    pub fn with(mut self, errno: Errno) -> Self {
        self.errno = Some(errno);
        self
    }
}
