//! RST segments that this host sent.

use super::{Endpoints, Family, Mono, Owner, SocketId, State};

/// An RST that a socket sent (tracepoint `tcp_send_reset`). On close, the kernel sends it after it reports the transition to
/// CLOSE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reset {
    /// When.
    pub at: Mono,
    /// The CPU it ran on.
    pub cpu: u32,
    /// The socket. The tracker adds the generation.
    pub socket: SocketId,
    /// The network namespace's inode number.
    pub netns: Option<u32>,
    /// The socket's address family.
    pub family: Family,
    /// Both endpoints.
    pub ends: Endpoints,
    /// The socket's state at that time.
    pub state: State,
    /// The reason, by the kernel's name without `SK_RST_REASON_`, such as `TCP_ABORT_ON_CLOSE`; `None` before
    /// Linux 6.10.
    pub reason: Option<String>,
    /// The socket's owner. The tracker adds it.
    pub owner: Owner,
}
