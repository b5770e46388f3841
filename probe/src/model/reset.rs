//! RST segments that this host sent.

use super::{Mono, Owner, SocketId, SocketIdentity, State};

/// An RST that a socket sent (tracepoint `tcp_send_reset`). On close, the kernel sends it after it reports the transition to
/// CLOSE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reset {
    /// When.
    pub at: Mono,
    /// The CPU it ran on.
    pub cpu: u16,
    /// The socket. The tracker adds the generation.
    pub socket: SocketId,
    /// Namespace, protocol, family and endpoints. The tracker fills in endpoints that the kernel has cleared.
    pub identity: SocketIdentity,
    /// The socket's state at that time.
    pub state: State,
    /// The reason, by the kernel's name without `SK_RST_REASON_`, such as `TCP_ABORT_ON_CLOSE`; `None` before
    /// Linux 6.10.
    pub reason: Option<String>,
    /// The socket's owner. The tracker adds it.
    pub owner: Owner,
}
