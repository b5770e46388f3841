//! One state change, with everything known about it.

use std::{sync::Arc, time::Duration};

use super::{Cause, Edge, Endpoints, Family, Mono, Owner, Protocol, SocketId, State};

/// One state transition of one socket, with everything known about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The number of the transition in its stream, from 1.
    pub seq: u64,
    /// When.
    pub at: Mono,
    /// The CPU it ran on.
    pub cpu: u32,
    /// The socket and its connection.
    pub socket: SocketId,
    /// The cookie, where the kernel reports one.
    pub cookie: Option<u64>,
    /// The network namespace's inode number.
    pub netns: Option<u32>,
    /// TCP or MPTCP.
    pub protocol: Protocol,
    /// The socket's address family.
    pub family: Family,
    /// Both endpoints; where the kernel has cleared one, the last known.
    pub ends: Endpoints,
    /// The state left.
    pub old: State,
    /// The state entered.
    pub new: State,
    /// The cause; `None` where the kernel does not show it.
    pub cause: Option<Cause>,
    /// The socket's owner.
    pub owner: Arc<Owner>,
    /// The time that the socket spent in `old`; `None` where it was not seen to enter it.
    pub state_duration: Option<Duration>,
    /// Segments that the socket sent, at a transition into CLOSE: 0 means that no packet was sent.
    pub segs_out: Option<u32>,
}

impl Transition {
    /// The states left and entered.
    #[must_use]
    pub fn edge(&self) -> Edge {
        (self.old, self.new)
    }

    /// The socket's identity. `None` for an accepted socket's first transition where the kernel has not given it one yet: up to
    /// Linux 6.14, `socket` and `cookie` are its listener's then, and the tracker gives it no generation.
    #[must_use]
    pub fn identity(&self) -> Option<SocketId> {
        let is_unnamed = self.edge() == (State::Listen, State::SynRecv) && self.socket.generation == 0;
        (!is_unnamed).then_some(self.socket)
    }

    /// Whether the socket has this number or cookie.
    #[must_use]
    pub fn is_of(&self, number: u64) -> bool {
        number == self.socket.number || Some(number) == self.cookie
    }
}
