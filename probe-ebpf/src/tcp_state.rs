//! The TCP states by the kernel's numbers (`include/net/tcp_states.h`), and what kind of transition leads from one to
//! another.

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

/// The transitions between a socket's opening and its close that a segment causes.
const SEGMENT_DRIVEN: u64 = bit(SYN_SENT, ESTABLISHED)
    | bit(SYN_SENT, SYN_RECV)
    | bit(SYN_RECV, ESTABLISHED)
    | bit(SYN_RECV, CLOSE_WAIT)
    | bit(ESTABLISHED, CLOSE_WAIT)
    | bit(FIN_WAIT1, FIN_WAIT2)
    | bit(FIN_WAIT1, CLOSING);

/// One bit for each transition out of the first four states.
#[inline(always)]
const fn bit(old: u8, new: u8) -> u64 {
    1 << (((old - ESTABLISHED) * 16 + new) & 63)
}

/// Whether a segment causes this transition, and it neither opens nor closes the socket. A bitmap, since the verifier
/// would follow each arm of a match through all the code behind it.
#[inline(always)]
pub fn is_segment_driven(old: u8, new: u8) -> bool {
    old <= FIN_WAIT1 && bit(old, new) & SEGMENT_DRIVEN != 0
}

/// What a transition means for the socket, and whose context it runs in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TransitionKind {
    /// The caller of `connect` or `listen` opens the socket.
    Open,
    /// A listener's child is created.
    Child,
    /// A connection or a listener ends.
    Close,
    /// A segment causes it, between opening and close.
    Segment,
    /// It is between opening and close, and may run in a system call on the socket.
    InCall,
}

impl TransitionKind {
    /// The kind of a transition that is not [segment-driven](is_segment_driven).
    #[inline(always)]
    pub fn of(old: u8, new: u8) -> Self {
        match (old, new) {
            (CLOSE, SYN_SENT | LISTEN) => Self::Open,
            // MPTCP's own socket skips SYN_RECV.
            (LISTEN, SYN_RECV | ESTABLISHED) => Self::Child,
            (_, CLOSE) => Self::Close,
            _ => Self::InCall,
        }
    }
}
