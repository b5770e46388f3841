//! Findings: what detectors report.

use std::sync::Arc;

use super::{Mono, Owner, SocketId, SocketIdentity};

/// The kinds of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FindingKind {
    /// A socket connected to itself.
    SelfConnect,
    /// A SYN arrived from the endpoint that the socket was connecting to.
    SimultaneousOpen,
    /// A FIN arrived before the ACK of our own.
    SimultaneousClose,
    /// Several outgoing connections share one local address and port.
    PortSharing,
    /// A connect that failed, other than because its owner gave it up.
    ConnectFailed,
    /// A connect that its owner gave up before the handshake ended.
    ConnectGivenUp,
    /// A bind or listen that failed.
    BindFailed,
    /// A transition that Linux does not make.
    IllegalTransition,
    /// A socket that stays in SYN_SENT, CLOSE_WAIT or FIN_WAIT2.
    Stuck,
}

impl FindingKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::SelfConnect,
        Self::SimultaneousOpen,
        Self::SimultaneousClose,
        Self::PortSharing,
        Self::ConnectFailed,
        Self::ConnectGivenUp,
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
            Self::ConnectGivenUp => "connect-given-up",
            Self::BindFailed => "bind-failed",
            Self::IllegalTransition => "illegal-transition",
            Self::Stuck => "stuck",
        }
    }

    /// Whether it is found in transitions only, and not in a connection's summary.
    #[must_use]
    pub fn needs_transitions(self) -> bool {
        matches!(self, Self::PortSharing | Self::IllegalTransition | Self::Stuck)
    }

    /// Whether it reports a failure, rather than something unusual.
    #[must_use]
    pub fn is_failure(self) -> bool {
        matches!(self, Self::ConnectFailed | Self::ConnectGivenUp | Self::BindFailed | Self::Stuck)
    }

    /// The kind with this [`name`](Self::name).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Something that deserves an engineer's attention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The kind.
    pub kind: FindingKind,
    /// When it became certain.
    pub at: Mono,
    /// The socket; `None` where the kernel never gave it an identity.
    pub socket: Option<SocketId>,
    /// The socket's namespace, protocol, family and endpoints.
    pub identity: SocketIdentity,
    /// The socket's owner.
    pub owner: Arc<Owner>,
    /// What happened, in one sentence.
    pub message: String,
    /// The remedy, as an imperative; `None` where none is needed or known.
    pub remedy: Option<String>,
    /// The `seq` of the transitions that show it.
    pub evidence: Vec<u64>,
}
