//! Sockets as sock_diag lists them: what was there before the tracer, what holds a port, what stayed
//! after CLOSE.

use std::{sync::Arc, time::Duration};

use super::{Endpoints, Family, Mono, Owner, Protocol, SocketId, State};

/// A socket of the kernel's own list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiagEntry {
    /// Its cookie; a TIME_WAIT mini-socket has that of the socket it was made from.
    pub cookie: u64,
    /// The network namespace's inode number.
    pub netns: u32,
    /// TCP or MPTCP.
    pub protocol: Protocol,
    /// The socket's address family.
    pub family: Family,
    /// Both ends.
    pub ends: Endpoints,
    /// Its state, TIME_WAIT and SYN_RECV included.
    pub state: State,
    /// Who holds a descriptor of it, by /proc ([`Known::Inferred`](super::Known::Inferred)); the tracker puts in its place what it
    /// knows better. Many sockets have the same.
    pub owner: Arc<Owner>,
    /// Of a TIME_WAIT or FIN_WAIT2 mini-socket: how long until it is gone (`idiag_expires`).
    pub expires: Option<Duration>,
}

impl DiagEntry {
    /// Whether a full socket stands behind the row, one whose transitions are reported. A request socket
    /// (SYN_RECV) and a mini-socket (TIME_WAIT, or the FIN_WAIT2 that an orphan leaves) have none. The rare
    /// full socket in SYN_RECV looks like a request, and counts as one.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self.state {
            State::TimeWait | State::SynRecv | State::NewSynRecv | State::Close => false,
            State::FinWait2 => self.expires.is_none(),
            _ => true,
        }
    }

    /// Whether it is a mini-socket: TIME_WAIT, or the FIN_WAIT2 that an orphan leaves.
    #[must_use]
    pub fn is_mini(&self) -> bool {
        self.state == State::TimeWait || (self.state == State::FinWait2 && !self.is_full())
    }

    /// Whether it has connected to itself. In SYN_SENT it is not certain yet: it may still be refused.
    #[must_use]
    pub fn is_self_connected(&self) -> bool {
        self.ends.is_self() && !matches!(self.state, State::SynSent | State::Listen)
    }
}

/// What was left of a connection after CLOSE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeWaitEntry {
    /// When sock_diag was asked.
    pub at: Mono,
    /// The connection.
    pub socket: SocketId,
    /// The network namespace's inode number.
    pub netns: Option<u32>,
    /// Both ends.
    pub ends: Endpoints,
    /// TIME_WAIT, or FIN_WAIT2 for the mini-socket that an orphan leaves; `None` where nothing stayed.
    pub state: Option<State>,
    /// When the mini-socket will be gone.
    pub until: Option<Mono>,
    /// Whose the connection was.
    pub owner: Owner,
}
