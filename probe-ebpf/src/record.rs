//! Filling in records from a `struct sock`, by either way of reading.

use probe_ebpf::{
    ClosedRecord, Field, RecordHeader, SOCKET_FIN_RECEIVED, SOCKET_ORPHANED, TransitionRecord, UNKNOWN_U8,
    UNKNOWN_U32,
};

use aya_ebpf::helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns};

use crate::{access::Access, owner};

const TCP_ESTABLISHED: u8 = 1;
const TCP_SYN_SENT: u8 = 2;
const TCP_SYN_RECV: u8 = 3;
const TCP_CLOSE: u8 = 7;
const TCP_LISTEN: u8 = 10;

const IPPROTO_TCP: u16 = 6;
const IPPROTO_MPTCP: u16 = 262;

pub const AF_INET6: u16 = 10;

/// Which record a transition becomes.
pub enum Shape {
    /// The caller opens the socket: `connect` or `listen`.
    Call,
    /// A listener's child appears.
    Child,
    /// The end of a connection.
    Closed,
    /// Everything between.
    Plain,
}

impl Shape {
    #[inline(always)]
    pub fn of(old: u8, new: u8) -> Self {
        match (old, new) {
            (TCP_CLOSE, TCP_SYN_SENT | TCP_LISTEN) => Self::Call,
            // MPTCP's own socket skips SYN_RECV.
            (TCP_LISTEN, TCP_SYN_RECV | TCP_ESTABLISHED) => Self::Child,
            (_, TCP_CLOSE) => Self::Closed,
            _ => Self::Plain,
        }
    }
}

/// Whether the protocol's states follow TCP's: SCTP uses the same tracepoint.
#[inline(always)]
pub fn is_tcp(protocol: u16) -> bool {
    protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP
}

/// Whether `struct tcp_sock` stands behind the socket: not for MPTCP's own.
#[inline(always)]
pub fn has_tcp_sock(protocol: u16) -> bool {
    protocol == IPPROTO_TCP
}

/// Fills in what no socket is needed for.
///
/// # Safety
/// `record` is a reserved record.
#[inline(always)]
pub unsafe fn fill_context<A: Access>(record: *mut TransitionRecord, kind: u32) {
    // SAFETY: the caller's promise.
    unsafe {
        (&raw mut (*record).header).write(RecordHeader {
            kind,
            cpu: bpf_get_smp_processor_id(),
            mono_ns: bpf_ktime_get_ns(),
        });
        (*record).syscall = owner::current_syscall::<A>();
        owner::current_task::<A>(&raw mut (*record).task);
    }
}

/// Fills in what is read from `struct sock` itself on both backends.
///
/// # Safety
/// `record` is a reserved record, `sk` a `struct sock` that `A` can read.
#[inline(always)]
pub unsafe fn fill_socket<A: Access>(record: *mut TransitionRecord, sk: *const u8) {
    // SAFETY: the caller's promise.
    unsafe {
        (*record).netns = netns::<A>(sk).unwrap_or(0);
        (*record).error = A::field::<u32>(sk, Field::Error).unwrap_or(UNKNOWN_U32);
        (*record).shutdown = A::field::<u8>(sk, Field::Shutdown).unwrap_or(UNKNOWN_U8);
        // The two lowest bits of a word of flags (`enum sock_flags`).
        (*record).flags = A::field::<u64>(sk, Field::Flags)
            .map_or(UNKNOWN_U8, |flags| flags as u8 & (SOCKET_ORPHANED | SOCKET_FIN_RECEIVED));
    }
}

#[inline(always)]
unsafe fn netns<A: Access>(sk: *const u8) -> Option<u32> {
    // SAFETY: `skc_net` is a pointer to a namespace that outlives the socket.
    unsafe {
        let net = A::field::<*const u8>(sk, Field::Net)?;
        A::field::<u32>(net, Field::NetInode)
    }
}

/// Fills in the counters, or marks them unknown where `tcp` is null.
///
/// # Safety
/// `record` is a reserved record, `tcp` null or a `struct tcp_sock` that `A` can read.
#[inline(always)]
pub unsafe fn fill_counters<A: Access>(record: *mut ClosedRecord, tcp: *const u8) {
    // SAFETY: the caller's promise.
    unsafe {
        if tcp.is_null() {
            (*record).bytes_sent = u64::MAX;
            (*record).bytes_retrans = u64::MAX;
            (*record).bytes_received = u64::MAX;
            (*record).segs_out = UNKNOWN_U32;
            (*record).segs_in = UNKNOWN_U32;
            (*record).retransmits = UNKNOWN_U32;
            (*record).srtt_us = UNKNOWN_U32;
            return;
        }
        (*record).bytes_sent = A::field(tcp, Field::BytesSent).unwrap_or(u64::MAX);
        (*record).bytes_retrans = A::field(tcp, Field::BytesRetrans).unwrap_or(u64::MAX);
        (*record).bytes_received = A::field(tcp, Field::BytesReceived).unwrap_or(u64::MAX);
        (*record).segs_out = A::field(tcp, Field::SegsOut).unwrap_or(UNKNOWN_U32);
        (*record).segs_in = A::field(tcp, Field::SegsIn).unwrap_or(UNKNOWN_U32);
        (*record).retransmits = A::field(tcp, Field::TotalRetrans).unwrap_or(UNKNOWN_U32);
        // The kernel keeps eight times the value (tcp_rtt_estimator).
        (*record).srtt_us =
            A::field::<u32>(tcp, Field::SrttUs).map_or(UNKNOWN_U32, |eightfold| eightfold >> 3);
    }
}
