//! What the tracker makes of reports: transitions and connections.

use std::{sync::Arc, time::Duration};

use super::{Cause, Counters, Edge, Endpoints, Family, Mono, Owner, Protocol, SocketId, State, StatePath};

/// One state transition of one socket, with everything known about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The how-manieth transition of this stream it is, from 1.
    pub seq: u64,
    /// When.
    pub at: Mono,
    /// The CPU it ran on.
    pub cpu: u32,
    /// Whose life it belongs to.
    pub socket: SocketId,
    /// The cookie, where the kernel gives one.
    pub cookie: Option<u64>,
    /// The network namespace's inode number.
    pub netns: Option<u32>,
    /// TCP or MPTCP.
    pub protocol: Protocol,
    /// The socket's address family.
    pub family: Family,
    /// Both ends; where the kernel has cleared one already, the last known.
    pub ends: Endpoints,
    /// The state left.
    pub old: State,
    /// The state entered.
    pub new: State,
    /// Why; `None` where the kernel does not tell.
    pub cause: Option<Cause>,
    /// Whose socket it is.
    pub owner: Arc<Owner>,
    /// How long the socket was in `old`; `None` where its beginning was not seen.
    pub since: Option<Duration>,
    /// Segments the socket had sent, at a transition into CLOSE: 0 means that no packet ever left.
    pub segs_out: Option<u32>,
}

impl Transition {
    /// The states left and entered.
    #[must_use]
    pub fn edge(&self) -> Edge {
        (self.old, self.new)
    }
}

/// How a connection came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Open {
    /// `connect`
    Active,
    /// Accepted by a listener.
    Passive,
    /// `connect`, during which the peer's SYN came (RFC 9293 §3.5, figure 7).
    Simultaneous,
    /// A socket connected to itself.
    SelfConnect,
    /// Before the tracer looked.
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
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// When it reached CLOSE.
    pub at: Mono,
    /// The last cause; `None` where the kernel does not tell.
    pub cause: Option<Cause>,
}

/// A connection's life, complete once `close` is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Whose life it is.
    pub socket: SocketId,
    /// The network namespace's inode number.
    pub netns: Option<u32>,
    /// TCP or MPTCP.
    pub protocol: Protocol,
    /// The socket's address family.
    pub family: Family,
    /// Both ends as last known.
    pub ends: Endpoints,
    /// How it came to be.
    pub open: Open,
    /// When its first transition was; `None` for one older than the tracer.
    pub opened: Option<Mono>,
    /// When it reached ESTABLISHED.
    pub established: Option<Mono>,
    /// How and when it ended.
    pub close: Option<Close>,
    /// The states it went through, in order.
    pub path: StatePath,
    /// What it had counted at its end.
    pub counters: Option<Counters>,
    /// Whose it is.
    pub owner: Arc<Owner>,
    /// False where the start was not seen or reports were lost while it lived.
    pub complete: bool,
}
