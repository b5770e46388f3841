//! Filling in records.

use aya_ebpf::helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns};
use probe_ebpf::{
    CalledRecord, ClosedRecord, FLAGS_UNKNOWN, Field, OWNER_FITS, RecordHeader, SOCKET_FIN_RECEIVED,
    SOCKET_ORPHANED, TaskRecord, TransitionRecord, UNKNOWN_U8, UNKNOWN_U32,
};

use crate::{
    access::Access,
    edge::{Address, Edge},
    filter::{self, Verdict},
    state::{CLOSING, FIN_WAIT1, FIN_WAIT2, LAST_ACK, LISTEN, SYN_SENT},
    stored::Stored,
};

pub const IPPROTO_TCP: u16 = 6;
pub const IPPROTO_MPTCP: u16 = 262;

pub const AF_INET: u16 = 2;
pub const AF_INET6: u16 = 10;

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

/// What every record begins with, but for the losses: those are known to who reserved its place.
#[inline(always)]
pub fn header(kind: u16) -> RecordHeader {
    // SAFETY: neither helper takes anything.
    let (cpu, mono_ns) = unsafe { (bpf_get_smp_processor_id() as u16, bpf_ktime_get_ns()) };
    RecordHeader { kind, cpu, lost: 0, mono_ns }
}

/// Fills in a transition, the system call aside.
///
/// # Safety
/// `record` is a reserved record.
#[inline(always)]
pub unsafe fn fill<E: Edge>(edge: &E, stored: Option<&Stored>, record: *mut TransitionRecord, kind: u16) {
    // SAFETY: the caller's promise.
    unsafe {
        (&raw mut (*record).header).write(header(kind));
        (*record).cookie = edge.cookie();
        (*record).skaddr = edge.sk() as u64;
        (*record).netns = edge.netns().unwrap_or(0);
        (*record).error = edge.field::<u32>(Field::Error).unwrap_or(UNKNOWN_U32);
        (*record).syscall = UNKNOWN_U32;
        (*record).protocol = edge.protocol();
        let family = edge.family();
        (*record).family = family;
        (*record).local_port = edge.local_port();
        (*record).remote_port = edge.remote_port();
        (*record).old = edge.old_state();
        (*record).new = edge.new_state();
        (*record).shutdown = edge.field::<u8>(Field::Shutdown).unwrap_or(UNKNOWN_U8);
        (*record).flags = flags(edge, stored);
        let (local, remote) = edge.addresses(family);
        (&raw mut (*record).local_addr).cast::<Address>().write(local);
        (&raw mut (*record).remote_addr).cast::<Address>().write(remote);
    }
}

/// Fills in a transition that may have run in a call.
///
/// # Safety
/// `record` is a reserved record.
#[inline(always)]
pub unsafe fn fill_called<E: Edge>(edge: &E, stored: Option<&Stored>, record: *mut CalledRecord, kind: u16) {
    // SAFETY: the caller's promise.
    unsafe {
        fill(edge, stored, &raw mut (*record).transition, kind);
        (*record).transition.syscall = edge.task().syscall();
        edge.task().write(&raw mut (*record).task);
    }
}

/// Fills in who was on the CPU at a transition into CLOSE, where that may have been in a call on the socket. What
/// leaves an error behind, or happens to a socket that nobody holds any more, is the protocol's doing.
///
/// # Safety
/// `record` is a reserved record of which the transition is filled in.
#[inline(always)]
pub unsafe fn fill_caller<E: Edge>(edge: &E, record: *mut ClosedRecord) {
    // SAFETY: the caller's promise.
    unsafe {
        let TransitionRecord { error, flags, .. } = (*record).transition;
        let may_be_called = match edge.old_state() {
            // A refusal by the kernel may find an older error.
            SYN_SENT | LISTEN => true,
            LAST_ACK | CLOSING => false,
            FIN_WAIT1 | FIN_WAIT2 => {
                error == 0 && flags & (SOCKET_ORPHANED | FLAGS_UNKNOWN) != SOCKET_ORPHANED
            }
            _ => error == 0,
        };
        if may_be_called || error == UNKNOWN_U32 {
            (*record).transition.syscall = edge.task().syscall();
            edge.task().write(&raw mut (*record).task);
        } else {
            for word in 0..TASK_WORDS {
                (&raw mut (*record).task).cast::<u64>().add(word).write_volatile(0);
            }
        }
    }
}

/// A [`TaskRecord`] in words.
const TASK_WORDS: usize = size_of::<TaskRecord>() / size_of::<u64>();

/// Copies a task by words: as a whole it would be a call, and byte by byte.
///
/// # Safety
/// Both are places in a map or in a reserved record, aligned to words.
#[inline(always)]
pub unsafe fn copy_task(to: *mut TaskRecord, from: *const TaskRecord) {
    for word in 0..TASK_WORDS {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<u64>().add(word).write_volatile(from.cast::<u64>().add(word).read_volatile()) };
    }
}

#[inline(always)]
fn flags<E: Edge>(edge: &E, stored: Option<&Stored>) -> u8 {
    // The two lowest bits of a word of flags (`enum sock_flags`).
    let flags = edge
        .field::<u64>(Field::Flags)
        .map_or(FLAGS_UNKNOWN, |flags| flags as u8 & (SOCKET_ORPHANED | SOCKET_FIN_RECEIVED));
    match stored {
        Some(stored) if filter::names_owners() && stored.owner_fits == Verdict::Fits => flags | OWNER_FITS,
        _ => flags,
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
