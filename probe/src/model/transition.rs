//! One state change, with everything known about it.

use std::{sync::Arc, time::Duration};

use super::{Cause, Edge, Endpoints, Family, Mono, Owner, Protocol, SocketId, State};

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
