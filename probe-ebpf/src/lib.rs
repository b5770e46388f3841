//! The records that the kernel side writes into its rings and the reader takes out of them.
//!
//! Both sides compile this crate, so there is one definition of every layout. All integers are in
//! the host's byte order, ports included; addresses are in network order. A field whose value the
//! kernel could not give holds the `UNKNOWN_*` constant named in its comment.
#![no_std]

mod asked;
mod field;
pub mod rings;

pub use asked::{Asked, PORT_SETS, PORT_WORDS, PortSet};
pub use field::Field;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The version of all the layouts here together, which recordings name. Whoever changes the layout or the meaning of a
/// record, in a way that a reader of the older one would misread, raises it.
pub const LAYOUT: u32 = 1;

/// `RecordHeader::kind` of a [`TransitionRecord`] by itself.
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
/// `RecordHeader::kind` of a [`CalledRecord`].
pub const KIND_CALLED: u16 = 7;

/// A `u32` that the kernel side could not read.
pub const UNKNOWN_U32: u32 = u32::MAX;
/// A `u8` that the kernel side could not read.
pub const UNKNOWN_U8: u8 = u8::MAX;

/// [`TransitionRecord::flags`]: no process holds the socket any more (`SOCK_DEAD`).
pub const SOCKET_ORPHANED: u8 = 1 << 0;
/// [`TransitionRecord::flags`]: the peer's FIN has come (`SOCK_DONE`, set by `tcp_fin`).
pub const SOCKET_FIN_RECEIVED: u8 = 1 << 1;
/// [`TransitionRecord::flags`] into CLOSE, of a TCP socket: an RST for it came right before
/// (`tcp_receive_reset`).
pub const SOCKET_RST_RECEIVED: u8 = 1 << 2;
/// [`TransitionRecord::flags`] into CLOSE: [`SOCKET_RST_RECEIVED`] would be there if one had come.
pub const RST_WATCHED: u8 = 1 << 3;
/// [`TransitionRecord::flags`]: the owner is one that the filter asks for.
pub const OWNER_FITS: u8 = 1 << 4;
/// [`TransitionRecord::flags`]: [`SOCKET_ORPHANED`] and [`SOCKET_FIN_RECEIVED`] could not be read.
pub const FLAGS_UNKNOWN: u8 = 1 << 7;

/// [`OpenedRecord::known`]: the event ran in the owner's own call.
pub const OWNER_EXACT: u32 = 1;
/// [`OpenedRecord::known`]: inherited from the listener that the socket was accepted for.
pub const OWNER_LISTENER: u32 = 2;
/// [`OpenedRecord::known`]: no owner is known.
pub const OWNER_UNKNOWN: u32 = 0;

/// How many sockets there are places for in each set of the kernel side's table.
pub const TABLE_WAYS: u32 = 4;

/// How many sets the table has where listeners alone have a place in it. A power of two.
pub const TABLE_SETS: u32 = 1 << 10;

/// How many states [`SummaryRecord::path`] has room for.
pub const PATH_STATES: u16 = 16;

/// The length of a task's name in the kernel (`TASK_COMM_LEN`).
pub const COMM_LEN: usize = 16;

/// What every record begins with.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct RecordHeader {
    /// Which record this is: one of the `KIND_*` constants.
    pub kind: u16,
    /// The CPU that the event ran on.
    pub cpu: u16,
    /// How many records had found no room before this one found its own, on all CPUs; it wraps. A gap in a
    /// socket's story lies between two records with different counts.
    pub lost: u32,
    /// `bpf_ktime_get_ns`: CLOCK_MONOTONIC at the event.
    pub mono_ns: u64,
}

/// A task, as `bpf_get_current_*` gives it.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct TaskRecord {
    /// The process: its thread group id in the initial pid namespace. 0 is a kernel thread, which is
    /// nobody's process.
    pub tgid: u32,
    /// The user id in the initial user namespace.
    pub uid: u32,
    /// The process's name, NUL-padded; any bytes that it chose. The thread's, on a kernel without type
    /// information.
    pub comm: [u8; COMM_LEN],
}

/// One state transition of one socket. By itself, one that a segment or a timer brought about: what task was on the
/// CPU says nothing then.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct TransitionRecord {
    /// Kind, CPU and time.
    pub header: RecordHeader,
    /// The socket cookie (`SO_COOKIE`, and sock_diag's); 0 where the kernel gives none.
    pub cookie: u64,
    /// The address of the `struct sock`: unique among live sockets, reused at once afterwards.
    pub skaddr: u64,
    /// The network namespace's inode number; 0 is unknown.
    pub netns: u32,
    /// `sk_err`, a positive errno; [`UNKNOWN_U32`].
    pub error: u32,
    /// The number of the system call that the current task is in; [`UNKNOWN_U32`], also of an event that cannot have
    /// run in a call on this socket. It says nothing about one that did not run in its task's own call.
    pub syscall: u32,
    /// `IPPROTO_TCP` or `IPPROTO_MPTCP`.
    pub protocol: u16,
    /// `AF_INET` or `AF_INET6`.
    pub family: u16,
    /// `inet_sport`, or `skc_num` into SYN_SENT; 0 is unbound or already cleared.
    pub local_port: u16,
    /// `inet_dport`; 0 likewise.
    pub remote_port: u16,
    /// The state left, in the kernel's numbering (`TCP_ESTABLISHED` is 1).
    pub old: u8,
    /// The state entered.
    pub new: u8,
    /// `sk_shutdown`: bit 0 receive, bit 1 send; [`UNKNOWN_U8`].
    pub shutdown: u8,
    /// `SOCKET_*`, [`RST_WATCHED`], [`OWNER_FITS`] and [`FLAGS_UNKNOWN`].
    pub flags: u8,
    /// The local address: all of it for IPv6, the first four bytes for IPv4.
    pub local_addr: [u8; 16],
    /// The remote address, likewise.
    pub remote_addr: [u8; 16],
}

/// A transition that may have run in a call on the socket.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct CalledRecord {
    /// The transition itself.
    pub transition: TransitionRecord,
    /// The task that was on the CPU: the caller only where the event ran in a call.
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
    /// Which opening of this socket this is, from 1, and higher each time: `tcp_disconnect` lets one socket
    /// serve several connections.
    pub generation: u32,
    /// The owner's cgroup v2 id; 0 is unknown.
    pub owner_cgroup: u64,
    /// The socket's owner. Where nobody is known, the task that was on the CPU.
    pub owner: TaskRecord,
}

/// A transition into CLOSE, with what the connection had counted. All fields of a socket whose
/// `tcp_sock` could not be reached are [`UNKNOWN_U32`] or `u64::MAX`.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct ClosedRecord {
    /// The transition itself.
    pub transition: TransitionRecord,
    /// `bytes_sent`: payload bytes sent, retransmissions included (RFC 4898 HCDataOctetsOut).
    pub bytes_sent: u64,
    /// `bytes_retrans`: payload bytes that were sent again.
    pub bytes_retrans: u64,
    /// `bytes_received`: payload bytes received in order.
    pub bytes_received: u64,
    /// `segs_out`: segments sent, SYNs and bare ACKs included.
    pub segs_out: u32,
    /// `segs_in`: segments received.
    pub segs_in: u32,
    /// `total_retrans`: segments retransmitted.
    pub retransmits: u32,
    /// The smoothed round-trip time in microseconds.
    pub srtt_us: u32,
    /// As in [`CalledRecord`]; nobody where this cannot have run in a call on the socket.
    pub task: TaskRecord,
}

/// A whole connection, at its transition into CLOSE: what was kept of it in the socket's storage.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct SummaryRecord {
    /// The transition into CLOSE, with the counters.
    pub closed: ClosedRecord,
    /// When the first transition was (CLOCK_MONOTONIC); 0 for a socket older than the programs.
    pub opened_ns: u64,
    /// When it reached ESTABLISHED; 0 where it did not, or unseen.
    pub established_ns: u64,
    /// The states in order, four bits each, the first one in the lowest; CLOSE at the end is not among them.
    pub path: u64,
    /// How many states the path has had; only the first 16 are in `path`.
    pub path_length: u32,
    /// How the owner is known: one of the `OWNER_*` constants.
    pub known: u32,
    /// As in [`OpenedRecord`]; 0 where the opening was not seen.
    pub generation: u32,
    /// `inet_sport` at the first transition.
    pub first_port: u16,
    /// 1 where a transition between two states of the path was not seen.
    pub broken: u16,
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
    /// A positive errno.
    pub error: u32,
    /// `IPPROTO_TCP` or `IPPROTO_MPTCP`.
    pub protocol: u16,
    /// `AF_INET` or `AF_INET6`, of the socket.
    pub family: u16,
    /// The family of the address that was asked for.
    pub address_family: u16,
    /// The port that was asked for; 0 leaves it to the kernel.
    pub port: u16,
    /// The address, as in [`TransitionRecord`].
    pub addr: [u8; 16],
    /// Who called.
    pub task: TaskRecord,
}

/// An RST sent for a socket (`tcp_send_reset`).
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct ResetRecord {
    /// Kind, CPU and time.
    pub header: RecordHeader,
    /// As in [`TransitionRecord`], here and below.
    pub cookie: u64,
    /// The address of the `struct sock`.
    pub skaddr: u64,
    /// The network namespace.
    pub netns: u32,
    /// `enum sk_rst_reason`; [`UNKNOWN_U32`] before Linux 6.10.
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
    assert!(size_of::<CalledRecord>() == 112);
    assert!(size_of::<OpenedRecord>() == 128);
    assert!(size_of::<ClosedRecord>() == 152);
    assert!(size_of::<SummaryRecord>() == 224);
    assert!(size_of::<BindRecord>() == 88);
    assert!(size_of::<ResetRecord>() == 88);
};
