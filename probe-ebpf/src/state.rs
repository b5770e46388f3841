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
    #[inline(always)]
    pub fn of(old: u8, new: u8) -> Self {
        match (old, new) {
            (CLOSE, SYN_SENT | LISTEN) => Self::Call,
            // MPTCP's own socket skips SYN_RECV.
            (LISTEN, SYN_RECV | ESTABLISHED) => Self::Child,
            (_, CLOSE) => Self::Closed,
            (SYN_SENT, ESTABLISHED | SYN_RECV)
            | (SYN_RECV, ESTABLISHED | CLOSE_WAIT)
            | (ESTABLISHED, CLOSE_WAIT)
            | (FIN_WAIT1, FIN_WAIT2 | CLOSING) => Self::Plain,
            _ => Self::Called,
        }
    }
}
