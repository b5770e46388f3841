//! What the kernel said, before anything is made of it.

use super::{Endpoints, Errno, Family, Known, Mono, Protocol, State, Task};

/// One call of the tracepoint, decoded and nothing more. Every derived fact (generation, owner of a
/// later event, cause, time in the old state) is `Tracker`'s to add, so that
/// a recording of reports yields them all again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// When, on CLOCK_MONOTONIC.
    pub at: Mono,
    /// The CPU it ran on.
    pub cpu: u32,
    /// The identity: the cookie, or `skaddr` on the fallback backend.
    pub socket: u64,
    /// The cookie, where the kernel gives one: what `SO_COOKIE` and sock_diag say.
    pub cookie: Option<u64>,
    /// The network namespace's inode number.
    pub netns: Option<u32>,
    /// TCP or MPTCP.
    pub protocol: Protocol,
    /// The socket's address family.
    pub family: Family,
    /// Both ends as the kernel has them at this moment.
    pub ends: Endpoints,
    /// The state left.
    pub old: State,
    /// The state entered.
    pub new: State,
    /// `sk_err`: `None` where it could not be read, `Some(None)` where it is 0.
    pub error: Option<Option<Errno>>,
    /// `sk_shutdown`: bit 0 receive, bit 1 send.
    pub shutdown: Option<u8>,
    /// Whether no process held the socket any more (`SOCK_DEAD`).
    pub orphaned: Option<bool>,
    /// Whether the peer's FIN had come (`SOCK_DONE`, set by `tcp_fin`).
    pub fin_received: Option<bool>,
    /// Whether `tcp_reset` took the socket right before (`tcp_receive_reset`): for an RST that came, or, with the
    /// receiving side shut, for data that nobody can read any more. `None` where this kernel is not asked.
    pub rst_received: Option<bool>,
    /// The number of the system call that `task` is in.
    pub syscall: Option<u32>,
    /// Who was on the CPU: the caller only where the event ran in a call.
    pub task: Option<Task>,
    /// Whether the owner is one that the filter asks for, where the kernel side has decided that.
    pub owner_matches: Option<bool>,
    /// At a transition that opens a socket: whose it is.
    pub opened: Option<Opened>,
    /// At a transition into CLOSE: what the connection had counted.
    pub counters: Option<Counters>,
}

/// What the kernel side knows of a socket at its opening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The how-manieth opening of this socket, from 1.
    pub generation: u32,
    /// Its owner.
    pub owner: Option<Task>,
    /// How the owner is known.
    pub known: Known,
    /// The owner's cgroup v2 id. Its path comes by itself ([`Input::Cgroup`](super::Input::Cgroup)), once.
    pub cgroup: Option<u64>,
}

/// A connection's counters at its end, from `struct tcp_sock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Payload bytes sent, each counted once.
    pub bytes_sent: u64,
    /// Payload bytes received in order.
    pub bytes_received: u64,
    /// Segments sent, SYNs and bare ACKs included. 0 after SYN_SENT means that no packet left.
    pub segs_out: u32,
    /// Segments received.
    pub segs_in: u32,
    /// Segments retransmitted.
    pub retransmits: u32,
    /// The smoothed round-trip time in microseconds; `None` before the first sample.
    pub srtt_us: Option<u32>,
}
