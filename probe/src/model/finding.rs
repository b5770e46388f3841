//! What the detectors say.

use std::sync::Arc;

use super::{Endpoints, Mono, Owner, SocketId};

/// The kinds of things that a detector finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FindingKind {
    /// A socket connected to itself.
    SelfConnect,
    /// A SYN came from the end that a connect was under way to.
    SimultaneousOpen,
    /// A FIN came before the ACK of this end's own.
    SimultaneousClose,
    /// One local address and port serves several outgoing connections.
    PortSharing,
    /// A connect that came to nothing, other than by its owner's own will.
    ConnectFailed,
    /// A bind or a listen that was refused.
    BindFailed,
    /// An edge that the kernel does not take.
    IllegalTransition,
    /// A socket that stays in SYN_SENT, CLOSE_WAIT or FIN_WAIT2.
    Stuck,
}

impl FindingKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::SelfConnect,
        Self::SimultaneousOpen,
        Self::SimultaneousClose,
        Self::PortSharing,
        Self::ConnectFailed,
        Self::BindFailed,
        Self::IllegalTransition,
        Self::Stuck,
    ];

    /// The name in output and flags.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SelfConnect => "self-connect",
            Self::SimultaneousOpen => "simultaneous-open",
            Self::SimultaneousClose => "simultaneous-close",
            Self::PortSharing => "port-sharing",
            Self::ConnectFailed => "connect-failed",
            Self::BindFailed => "bind-failed",
            Self::IllegalTransition => "illegal-transition",
            Self::Stuck => "stuck",
        }
    }

    /// Whether it is seen from single transitions alone, not from what is known of a connection at its end.
    #[must_use]
    pub fn needs_transitions(self) -> bool {
        matches!(self, Self::PortSharing | Self::IllegalTransition | Self::Stuck)
    }

    /// Whether it says that something failed, rather than that something is peculiar.
    #[must_use]
    pub fn is_failure(self) -> bool {
        matches!(self, Self::ConnectFailed | Self::BindFailed | Self::Stuck)
    }

    /// The kind of that [`name`](Self::name).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Something worth an engineer's attention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing.
    pub kind: FindingKind,
    /// When it became certain.
    pub at: Mono,
    /// The socket it is about; `None` for one that never had an identity to the kernel.
    pub socket: Option<SocketId>,
    /// The socket's namespace.
    pub netns: Option<u32>,
    /// The socket's ends.
    pub ends: Endpoints,
    /// Whose socket it is.
    pub owner: Arc<Owner>,
    /// What happened, in one sentence.
    pub message: String,
    /// What remedies it, in one sentence, where it wants curing.
    pub remedy: Option<String>,
    /// The transitions that show it, by `seq`.
    pub evidence: Vec<u64>,
}
