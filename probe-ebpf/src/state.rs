//! The states by the kernel's numbers (`include/net/tcp_states.h`), and what a transition is.

pub const ESTABLISHED: u8 = 1;
pub const SYN_SENT: u8 = 2;
pub const SYN_RECV: u8 = 3;
pub const FIN_WAIT1: u8 = 4;
pub const FIN_WAIT2: u8 = 5;
pub const CLOSE: u8 = 7;
pub const CLOSE_WAIT: u8 = 8;
pub const LAST_ACK: u8 = 9;
pub const LISTEN: u8 = 10;
pub const CLOSING: u8 = 11;

/// Those between a socket's opening and its end that a segment brings about.
const PLAIN: u64 = edge(SYN_SENT, ESTABLISHED)
    | edge(SYN_SENT, SYN_RECV)
    | edge(SYN_RECV, ESTABLISHED)
    | edge(SYN_RECV, CLOSE_WAIT)
    | edge(ESTABLISHED, CLOSE_WAIT)
    | edge(FIN_WAIT1, FIN_WAIT2)
    | edge(FIN_WAIT1, CLOSING);

/// A bit of its own for each transition from one of the first four states.
#[inline(always)]
const fn edge(old: u8, new: u8) -> u64 {
    1 << (((old - ESTABLISHED) * 16 + new) & 63)
}

/// Whether a segment brought it about, between a socket's opening and its end. Looked up in a set: the verifier would follow
/// each way through a match, and what comes behind it.
#[inline(always)]
pub fn is_plain(old: u8, new: u8) -> bool {
    old <= FIN_WAIT1 && edge(old, new) & PLAIN != 0
}

/// Where in a socket's life a transition stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The caller opens the socket: `connect` or `listen`.
    Call,
    /// A listener's child appears.
    Child,
    /// The end of a connection, or of a listener.
    Closed,
    /// Between those, brought about by a segment.
    Plain,
    /// Between those, and perhaps in a call on the socket.
    Called,
}

impl Shape {
    /// Of one that is not [plain](is_plain).
    #[inline(always)]
    pub fn of(old: u8, new: u8) -> Self {
        match (old, new) {
            (CLOSE, SYN_SENT | LISTEN) => Self::Call,
            // MPTCP's own socket skips SYN_RECV.
            (LISTEN, SYN_RECV | ESTABLISHED) => Self::Child,
            (_, CLOSE) => Self::Closed,
            _ => Self::Called,
        }
    }
}
