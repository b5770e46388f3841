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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The kind of thing it was.
    pub kind: CauseKind,
    /// In plain words, such as `connect` or `RST received`.
    pub detail: &'static str,
    /// The error that the socket reports for it.
    pub errno: Option<Errno>,
}

/// The details by which causes are told apart further down; the rest are for people alone.
impl Cause {
    /// An RST came.
    pub const RST: &'static str = "RST received";
    /// An ICMP or ICMPv6 port unreachable came.
    pub const PORT_UNREACHABLE: &'static str = "ICMP port unreachable received";
    /// One of those two.
    pub const RST_OR_PORT_UNREACHABLE: &'static str = "RST or ICMP port unreachable received";
    /// Another ICMP error came; the error number says which.
    pub const ICMP_ERROR: &'static str = "ICMP error received";
    /// Somebody closed it over sock_diag (`ss -K`), or by BPF.
    pub const DESTROYED: &'static str = "destroyed over sock_diag";
    /// `connect` found the four-tuple in use.
    pub const TUPLE_IN_USE: &'static str = "refused without a packet: 4-tuple in use";
    /// `connect` found no local port for the destination.
    pub const NO_PORT_LEFT: &'static str = "refused without a packet: no local port left";
    /// `connect` failed on its way to the SYN for another reason.
    pub const REFUSED: &'static str = "refused without a packet";
    /// `listen` found the port taken.
    pub const LISTEN_REFUSED: &'static str = "listen refused: the port is taken";

    /// A cause without an error.
    #[must_use]
    pub fn new(kind: CauseKind, detail: &'static str) -> Self {
        Self { kind, detail, errno: None }
    }

    /// The same with the error that the socket reports.
    #[must_use]
    pub fn with(mut self, errno: Errno) -> Self {
        self.errno = Some(errno);
        self
    }
}
