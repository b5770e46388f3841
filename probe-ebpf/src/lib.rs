//! The records that the BPF programs write to the ring buffers and the reader reads.
//!
//! Both sides compile this crate, so that each layout has one definition. All integers are in the host's byte order, ports
//! included; addresses are in network order. A field whose value the kernel could not provide holds the `UNKNOWN_*`
//! constant that its comment names.
#![no_std]

mod field;
mod filter_flags;
pub mod ring_layout;
mod stack_function;
mod stack_table;

pub use field::Field;
pub use filter_flags::{FilterFlags, PORT_SETS, PORT_WORDS, PortSet};
pub use stack_function::{STACK_BOUNDARIES, STACK_DEPTH, STACK_FUNCTIONS, StackFunction};
pub use stack_table::{STACK_BOUNDARY, STACK_RANGES, StackTable};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The version of the layouts in this crate, which recordings contain. Increase it with any change to the layout or the
/// meaning of a record that a reader of the previous version would misread.
pub const LAYOUT: u32 = 2;

/// `RecordHeader::kind` of a bare [`TransitionRecord`].
pub const KIND_TRANSITION: u16 = 1;
/// `RecordHeader::kind` of an [`OpenedRecord`].
pub const KIND_OPENED: u16 = 2;
/// `RecordHeader::kind` of a [`ClosedRecord`].
pub const KIND_CLOSED: u16 = 3;
/// `RecordHeader::kind` of a [`SummaryRecord`].
pub const KIND_SUMMARY: u16 = 4;
/// `RecordHeader::kind` of a [`BindRecord`].
pub const KIND_BIND: u16 = 5;
/// `RecordHeader::kind` of a [`ResetRecord`].
pub const KIND_RESET: u16 = 6;
/// `RecordHeader::kind` of an [`InCallRecord`].
pub const KIND_IN_CALL: u16 = 7;

/// A `u32` that the BPF program could not read.
pub const UNKNOWN_U32: u32 = u32::MAX;
/// A `u16` that the BPF program could not read.
pub const UNKNOWN_U16: u16 = u16::MAX;
/// A `u8` that the BPF program could not read.
pub const UNKNOWN_U8: u8 = u8::MAX;

/// [`TransitionRecord::flags`]: no process holds the socket any more (`SOCK_DEAD`).
pub const SOCKET_ORPHANED: u8 = 1 << 0;
/// [`TransitionRecord::flags`]: the peer's FIN has arrived (`SOCK_DONE`, set by `tcp_fin`).
pub const SOCKET_FIN_RECEIVED: u8 = 1 << 1;
/// [`TransitionRecord::flags`] of a TCP socket's transition into CLOSE: an RST arrived right before it
/// (`tcp_receive_reset`).
pub const SOCKET_RST_RECEIVED: u8 = 1 << 2;
/// [`TransitionRecord::flags`] of a transition that may have run in a call and is not into CLOSE: the socket is a subflow of
/// an MPTCP socket.
pub const SOCKET_IS_SUBFLOW: u8 = 1 << 2;
/// [`TransitionRecord::flags`] of a transition into CLOSE: [`SOCKET_RST_RECEIVED`] would be set if an RST had arrived.
pub const RST_WATCHED: u8 = 1 << 3;
/// [`TransitionRecord::flags`]: the owner matches the filter.
pub const OWNER_MATCHES: u8 = 1 << 4;
/// [`TransitionRecord::flags`] of the end of a handshake and of a transition into CLOSE: the socket is under TCP_REPAIR
/// (`tcp_sock.repair`).
pub const SOCKET_IN_REPAIR: u8 = 1 << 5;
/// [`TransitionRecord::flags`]: the current task exits (`PF_EXITING`). Meaningful only for an event that ran in a call.
pub const TASK_EXITING: u8 = 1 << 6;
/// [`TransitionRecord::flags`]: [`SOCKET_ORPHANED`], [`SOCKET_IN_REPAIR`] and [`SOCKET_FIN_RECEIVED`] could not be read.
pub const FLAGS_UNKNOWN: u8 = 1 << 7;

/// [`BindRecord::options`]: SO_REUSEADDR is set (`sk_reuse`).
pub const OPTION_REUSE_ADDR: u32 = 1 << 0;
/// [`BindRecord::options`]: SO_REUSEPORT is set (`sk_reuseport`).
pub const OPTION_REUSE_PORT: u32 = 1 << 1;
/// [`BindRecord::options`]: IPV6_V6ONLY is set (`sk_ipv6only`).
pub const OPTION_V6_ONLY: u32 = 1 << 2;

/// [`OpenedRecord::known`]: the event ran in a system call of the owner.
pub const OWNER_EXACT: u32 = 1;
/// [`OpenedRecord::known`]: inherited from the listener that the child belongs to.
pub const OWNER_LISTENER: u32 = 2;
/// [`OpenedRecord::known`]: the owner is unknown.
pub const OWNER_UNKNOWN: u32 = 0;

/// How many slots each set of the table of socket states has.
pub const TABLE_WAYS: u32 = 4;

/// How many sets the table has where only listeners take slots. A power of two.
pub const TABLE_SETS: u32 = 1 << 10;

/// How many states fit into [`SummaryRecord::path`].
pub const PATH_STATES: u16 = 16;

/// The length in bytes of a task's name (`TASK_COMM_LEN`).
pub const COMM_LEN: usize = 16;

/// The start of every record.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct RecordHeader {
    /// Which record this is: one of the `KIND_*` constants.
    pub kind: u16,
    /// The CPU that the event ran on.
    pub cpu: u16,
    /// How many records had found no room before this one, on all CPUs; the count wraps. Records of a socket are missing
    /// only between two records with different counts.
    pub lost: u32,
    /// `bpf_ktime_get_ns`: CLOCK_MONOTONIC at the event.
    pub mono_ns: u64,
}

/// A task, as `bpf_get_current_*` returns it.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct TaskRecord {
    /// The process: its thread group id in the initial pid namespace. 0 is a kernel thread or no task.
    pub tgid: u32,
    /// The user id in the initial user namespace.
    pub uid: u32,
    /// The name of the process, NUL-padded, in any bytes that it has set. The name of the thread on a kernel without type
    /// information.
    pub comm: [u8; COMM_LEN],
}

/// One state transition of one socket. A bare one is caused by a segment or a timer, so that the current task has nothing
/// to do with it.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct TransitionRecord {
    /// Kind, CPU and time.
    pub header: RecordHeader,
    /// The socket cookie (`SO_COOKIE`, also in sock_diag); 0 where the kernel provides none.
    pub cookie: u64,
    /// The address of the `struct sock`: unique among live sockets, and reused immediately.
    pub skaddr: u64,
    /// The network namespace's inode number; 0 is unknown.
    pub netns: u32,
    /// The [`StackFunction`]s on the stack, the innermost first; zeros after the last. All zero where the stack was not
    /// searched, or has none of them.
    pub stack: [u8; STACK_DEPTH],
    /// `sk_err`: a positive errno, 0, or [`UNKNOWN_U16`].
    pub error: u16,
    /// The number of the system call that the current task is in, or [`UNKNOWN_U16`], also for an event that cannot have
    /// run in a call on this socket. It is meaningful only for an event that ran in a call.
    pub syscall: u16,
    /// `IPPROTO_TCP` or `IPPROTO_MPTCP`.
    pub protocol: u16,
    /// `AF_INET` or `AF_INET6`.
    pub family: u8,
    /// Of a transition out of SYN_RECV, and of a summary: the SYN+ACKs sent until then, with those of the request that a
    /// passive connection began as; at most 255. 0 elsewhere, and where it could not be read.
    pub synacks: u8,
    /// `inet_sport`, or `skc_num` for a transition into SYN_SENT; 0 is unbound or cleared.
    pub local_port: u16,
    /// `inet_dport`; 0 is unconnected or cleared.
    pub remote_port: u16,
    /// The state left, by the kernel's number (`TCP_ESTABLISHED` is 1).
    pub old: u8,
    /// The state entered.
    pub new: u8,
    /// `sk_shutdown` (bit 0 receive, bit 1 send), or [`UNKNOWN_U8`].
    pub shutdown: u8,
    /// `SOCKET_*`, [`RST_WATCHED`], [`OWNER_MATCHES`] and [`FLAGS_UNKNOWN`].
    pub flags: u8,
    /// The local address: all 16 bytes for IPv6, the first four for IPv4.
    pub local_addr: [u8; 16],
    /// The remote address, in the same form.
    pub remote_addr: [u8; 16],
}

/// A transition that may have run in a call on the socket.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct InCallRecord {
    /// The transition itself.
    pub transition: TransitionRecord,
    /// The current task: the caller, if the event ran in a call.
    pub task: TaskRecord,
}

/// A transition that opens a socket: into SYN_SENT or LISTEN, or a listener's new child.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct OpenedRecord {
    /// The transition itself.
    pub transition: TransitionRecord,
    /// How the owner is known: one of the `OWNER_*` constants.
    pub known: u32,
    /// The number of this opening of the socket, from 1: after `tcp_disconnect`, the same socket can open again.
    pub generation: u32,
    /// The owner's cgroup v2 id; 0 is unknown.
    pub owner_cgroup: u64,
    /// The socket's owner, or the current task where the owner is unknown.
    pub owner: TaskRecord,
}

/// A transition into CLOSE, with the connection's counters. All counters of a socket whose `tcp_sock` the program cannot
/// read are [`UNKNOWN_U32`] or `u64::MAX`.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct ClosedRecord {
    /// The transition itself.
    pub transition: TransitionRecord,
    /// `bytes_sent`: payload bytes sent, retransmissions included (RFC 4898 HCDataOctetsOut).
    pub bytes_sent: u64,
    /// `bytes_retrans`: payload bytes retransmitted.
    pub bytes_retrans: u64,
    /// `bytes_received`: payload bytes received in order, and the peer's FIN.
    pub bytes_received: u64,
    /// `segs_out`: segments sent, SYNs and bare ACKs included.
    pub segs_out: u32,
    /// `segs_in`: segments received.
    pub segs_in: u32,
    /// `total_retrans`: segments retransmitted.
    pub retransmits: u32,
    /// The smoothed round-trip time in microseconds.
    pub srtt_us: u32,
    /// `bytes_acked`: payload bytes that the peer has acknowledged, with the SYN and the FIN (RFC 4898
    /// HCThruOctetsAcked).
    pub bytes_acked: u64,
    /// `snd_nxt - snd_una`: the sequence numbers sent and not acknowledged, with those of the SYN and the FIN.
    pub in_flight: u32,
    /// `sk_err_soft`: the last error that did not end the connection; a positive errno, 0, or [`UNKNOWN_U16`].
    pub error_soft: u16,
    /// The sign of `linger2`: 1 where the socket may not stay in FIN_WAIT2 (TCP_LINGER2 below 0), 0 where it may, or
    /// [`UNKNOWN_U8`].
    pub linger2_is_negative: u8,
    /// Whether `snd_nxt` has not reached `write_seq`: 1 where data or a FIN was never sent, 0 where all was, or
    /// [`UNKNOWN_U8`].
    pub has_unsent: u8,
    /// As in [`InCallRecord`]; no task where this cannot have run in a call on the socket.
    pub task: TaskRecord,
}

/// A whole connection at its transition into CLOSE, from the state that the programs have tracked.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct SummaryRecord {
    /// The transition into CLOSE, with the counters.
    pub closed: ClosedRecord,
    /// The time of the first transition (CLOCK_MONOTONIC); 0 for a socket that was open before the trace.
    pub opened_ns: u64,
    /// The time of the transition into ESTABLISHED; 0 where there was none, or it was not observed.
    pub established_ns: u64,
    /// The states in order, four bits each, the first in the lowest bits, without the final CLOSE.
    pub path: u64,
    /// The number of states in the path; only the first 16 are in `path`.
    pub path_length: u32,
    /// How the owner is known: one of the `OWNER_*` constants.
    pub known: u32,
    /// As in [`OpenedRecord`]; 0 where the opening was not observed.
    pub generation: u32,
    /// `inet_sport` at the first transition.
    pub first_port: u16,
    /// 1 where a transition between two states of the path was not observed.
    pub has_gap: u16,
    /// The owner's cgroup v2 id; 0 is unknown.
    pub owner_cgroup: u64,
    /// The socket's owner.
    pub owner: TaskRecord,
}

/// A bind(2) on a TCP socket that failed.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct BindRecord {
    /// Kind, CPU and time of the call's return.
    pub header: RecordHeader,
    /// The socket's cookie; 0 where it has none yet.
    pub cookie: u64,
    /// The caller's cgroup v2 id; 0 is unknown.
    pub cgroup: u64,
    /// The socket's network namespace; 0 is unknown.
    pub netns: u32,
    /// The call's error, as a positive errno.
    pub error: u32,
    /// `IPPROTO_TCP` or `IPPROTO_MPTCP`.
    pub protocol: u16,
    /// `AF_INET` or `AF_INET6`, of the socket.
    pub family: u16,
    /// The family of the requested address.
    pub address_family: u16,
    /// The requested port; 0 lets the kernel choose one.
    pub port: u16,
    /// The requested address, as in [`TransitionRecord`].
    pub addr: [u8; 16],
    /// The caller.
    pub task: TaskRecord,
    /// The options of the socket that decide whether it can share the port, `OPTION_*`; [`UNKNOWN_U32`] where they could
    /// not be read.
    pub options: u32,
    /// The index of the device that the socket is bound to (SO_BINDTODEVICE, or the scope of a link-local address); 0 for
    /// none, or [`UNKNOWN_U32`].
    pub device: u32,
    /// The user id of the socket's creator in the initial user namespace, or [`UNKNOWN_U32`].
    pub uid: u32,
    /// Always 0.
    pub padding: u32,
}

/// An RST sent for a socket (`tcp_send_reset`).
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct ResetRecord {
    /// Kind, CPU and time.
    pub header: RecordHeader,
    /// The socket cookie; this and the fields below are as in [`TransitionRecord`].
    pub cookie: u64,
    /// The address of the `struct sock`.
    pub skaddr: u64,
    /// The network namespace.
    pub netns: u32,
    /// `enum sk_rst_reason`, or [`UNKNOWN_U32`] before Linux 6.10.
    pub reason: u32,
    /// `IPPROTO_TCP`
    pub protocol: u16,
    /// `AF_INET` or `AF_INET6`.
    pub family: u16,
    /// `inet_sport`
    pub local_port: u16,
    /// `inet_dport`
    pub remote_port: u16,
    /// The socket's state.
    pub state: u32,
    /// Always 0.
    pub padding: u32,
    /// The local address.
    pub local_addr: [u8; 16],
    /// The remote address.
    pub remote_addr: [u8; 16],
}

const _: () = {
    assert!(size_of::<RecordHeader>() == 16);
    assert!(size_of::<TaskRecord>() == 24);
    assert!(size_of::<TransitionRecord>() == 88);
    assert!(size_of::<InCallRecord>() == 112);
    assert!(size_of::<OpenedRecord>() == 128);
    assert!(size_of::<ClosedRecord>() == 168);
    assert!(size_of::<SummaryRecord>() == 240);
    assert!(size_of::<BindRecord>() == 104);
    assert!(size_of::<ResetRecord>() == 88);
};
