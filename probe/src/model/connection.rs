//! Connections: how each opened, what states it went through, how it ended.

use std::sync::Arc;

use super::{Cause, ClosedBy, Counters, Endpoints, Family, Mono, Owner, Protocol, SocketId, StatePath};

/// A connection. It is complete once `close` is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The socket.
    pub socket: SocketId,
    /// The network namespace's inode number.
    pub netns: Option<u32>,
    /// TCP or MPTCP.
    pub protocol: Protocol,
    /// The socket's address family.
    pub family: Family,
    /// Both endpoints as last known.
    pub ends: Endpoints,
    /// How it opened.
    pub open: Open,
    /// The time of its first transition; `None` for a pre-existing socket.
    pub opened: Option<Mono>,
    /// When it reached ESTABLISHED.
    pub established: Option<Mono>,
    /// How and when it ended.
    pub close: Option<Close>,
    /// The states it went through, in order.
    pub path: StatePath,
    /// Its counters at the end.
    pub counters: Option<Counters>,
    /// The socket's owner.
    pub owner: Arc<Owner>,
    /// False where the start was not seen or reports were lost while it was open.
    pub complete: bool,
}

impl Connection {
    /// Which side closed it, or what else ended it; `None` where that is not certain.
    #[must_use]
    pub fn closed_by(&self) -> Option<ClosedBy> {
        let cause = self.close.as_ref()?.cause?;
        ClosedBy::of(&self.path, cause)
    }
}

/// How a connection opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Open {
    /// By connect(2).
    Active,
    /// A listener accepted it.
    Passive,
    /// By connect(2), while the peer's SYN arrived (RFC 9293 §3.5, figure 7).
    Simultaneous,
    /// The socket connected to itself.
    SelfConnect,
    /// Before the trace began.
    Preexisting,
}

impl Open {
    /// The name in output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::Simultaneous => "simultaneous",
            Self::SelfConnect => "self",
            Self::Preexisting => "preexisting",
        }
    }

    /// Whether this side called connect(2).
    #[must_use]
    pub fn is_outgoing(self) -> bool {
        matches!(self, Self::Active | Self::Simultaneous | Self::SelfConnect)
    }
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// When it reached CLOSE.
    pub at: Mono,
    /// The cause of its last transition; `None` where the kernel does not show it.
    pub cause: Option<Cause>,
}
