//! A decoded kernel event, before anything is derived from it.

use std::num::NonZeroU8;

use super::{Edge, Errno, KernelStack, Known, Mono, SocketIdentity, State, Task};

/// One event of the tracepoint. The tracker adds every derived fact (generation, owner of later transitions, cause, time in
/// the old state), so that a replay of recorded reports derives them again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// When, on CLOCK_MONOTONIC.
    pub at: Mono,
    /// The CPU it ran on.
    pub cpu: u16,
    /// The socket's number: its cookie, or on backend `tracepoint` the address of its `struct sock`.
    pub socket: u64,
    /// The address of its `struct sock`; 0 where it is unknown. An accepted MPTCP socket has the cookie of its listener, but an
    /// address of its own.
    pub address: u64,
    /// The cookie as in SO_COOKIE and sock_diag, where the kernel reports one.
    pub cookie: Option<u64>,
    /// Namespace, protocol, family and endpoints as the kernel has them at this time.
    pub identity: SocketIdentity,
    /// The state left.
    pub old: State,
    /// The state entered.
    pub new: State,
    /// `sk_err`: `None` where it could not be read, `Some(None)` where it is 0.
    pub error: Option<Option<Errno>>,
    /// `sk_shutdown`: bit 0 receive, bit 1 send.
    pub shutdown: Option<u8>,
    /// Whether the socket is an orphan: no process has it any more (`SOCK_DEAD`).
    pub orphaned: Option<bool>,
    /// Whether the peer's FIN has arrived (`SOCK_DONE`, set by `tcp_fin`).
    pub fin_received: Option<bool>,
    /// Whether `tcp_reset` ran right before (tracepoint `tcp_receive_reset`): for an RST that arrived or, with
    /// RCV_SHUTDOWN, for data that no process can read any more. `None` where the tracepoint is not attached.
    pub rst_received: Option<bool>,
    /// The functions that the kernel side found on the stack; `None` where it did not search, or found none.
    pub stack: Option<KernelStack>,
    /// Whether the socket is under TCP_REPAIR, at the end of the handshake and at CLOSE; `false` elsewhere.
    pub in_repair: Option<bool>,
    /// Whether the socket is known to be a subflow of an MPTCP socket; `false` for transitions into CLOSE and those that only a
    /// segment makes.
    pub is_subflow: bool,
    /// Whether the task on the CPU exits (`PF_EXITING`).
    pub task_exits: bool,
    /// At the end of SYN_RECV: the SYN+ACKs sent until then, with those that the listener sent before the connection had a
    /// socket of its own; 255 for more. `None` elsewhere, and where it could not be read.
    pub synacks: Option<NonZeroU8>,
    /// The number of the system call that `task` is in.
    pub syscall: Option<u32>,
    /// The task on the CPU: the caller only where the transition ran in a system call.
    pub task: Option<Task>,
    /// Whether the owner matches the filter, where the kernel side decided that.
    pub owner_matches: Option<bool>,
    /// At a transition that opens a socket: its generation and owner.
    pub opened: Option<Opened>,
    /// At a transition into CLOSE: the connection's counters as the kernel has them. `bytes_sent` includes what a device
    /// refused, `bytes_received` the peer's FIN, and `synacks` is unknown.
    pub counters: Option<Counters>,
    /// At a transition into CLOSE: what else the socket held.
    pub final_fields: Option<FinalFields>,
}

/// Whether a socket listens before or after this transition, so that it has no remote endpoint.
#[must_use]
pub fn is_of_listener((old, new): Edge) -> bool {
    new == State::Listen || (old, new) == (State::Listen, State::Close)
}

/// What the kernel side knows of a socket when it opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The number of times that this socket was opened, this one included.
    pub generation: u32,
    /// Its owner.
    pub owner: Option<Task>,
    /// How the owner is known.
    pub known: Known,
    /// The owner's cgroup v2 id. Its path is an input of its own ([`Input::Cgroup`](super::Input::Cgroup)), once.
    pub cgroup: Option<u64>,
}

/// A connection's counters at its end, from `struct tcp_sock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Payload bytes that the network accepted, each counted once.
    pub bytes_sent: u64,
    /// Payload bytes received in order.
    pub bytes_received: u64,
    /// Segments sent, SYNs and bare ACKs included, but for the SYN+ACKs of a passive connection. 0 after SYN_SENT means that
    /// no SYN was sent.
    pub segs_out: u32,
    /// SYN+ACKs sent for a passive connection; 255 for more. `None` for any other connection, or where they were not counted.
    pub synacks: Option<NonZeroU8>,
    /// Segments received.
    pub segs_in: u32,
    /// Segments retransmitted.
    pub retransmits: u32,
    /// The smoothed round-trip time in microseconds; `None` before the first sample.
    pub srtt_us: Option<u32>,
}

/// Fields of `struct tcp_sock` at its end that tell causes apart. Each is `None` where it could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinalFields {
    /// `sk_err_soft`: the last error that did not end the connection, `Some(None)` where there was none. `tcp_write_err`
    /// copies it to `sk_err`, and ICMP errors and lost routes set it.
    pub error_soft: Option<Option<Errno>>,
    /// The sequence numbers sent and not acknowledged, with those of the SYN and the FIN (`snd_nxt - snd_una`). 0 means that a
    /// timer that ended the socket was not that of retransmissions.
    pub in_flight: Option<u32>,
    /// Whether data or the FIN was never sent (`snd_nxt` before `write_seq`).
    pub has_unsent: Option<bool>,
    /// Whether TCP_LINGER2 is negative, so that an orphan does not stay in FIN_WAIT2 but sends an RST.
    pub linger2_is_negative: Option<bool>,
    /// Bytes that the peer has acknowledged, with the SYN and the FIN.
    pub bytes_acked: Option<u64>,
}
