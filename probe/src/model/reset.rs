//! RST segments that this host sends.

use super::{Endpoints, Family, Mono, Owner, SocketId, State};

/// An RST sent for a socket (`tcp_send_reset`). On the ways of close it leaves after the transition to
/// CLOSE has been reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reset {
    /// When.
    pub at: Mono,
    /// The CPU it ran on.
    pub cpu: u32,
    /// The socket. The generation is the tracker's to add.
    pub socket: SocketId,
    /// The network namespace's inode number.
    pub netns: Option<u32>,
    /// The socket's address family.
    pub family: Family,
    /// Both ends.
    pub ends: Endpoints,
    /// The socket's state at that moment.
    pub state: State,
    /// Why, by the kernel's name without `SK_RST_REASON_`, such as `TCP_ABORT_ON_CLOSE`; `None` before
    /// Linux 6.10.
    pub reason: Option<String>,
    /// Whose socket it is; the tracker's to add.
    pub owner: Owner,
}
