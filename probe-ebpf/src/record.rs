//! Filling in records.

use aya_ebpf::helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns};
use probe_ebpf::{
    ClosedRecord, FLAGS_UNKNOWN, Field, InCallRecord, OWNER_MATCHES, RecordHeader, SOCKET_FIN_RECEIVED,
    SOCKET_IN_REPAIR, SOCKET_IS_SUBFLOW, SOCKET_ORPHANED, STACK_DEPTH, TASK_EXITING, TransitionRecord,
    UNKNOWN_U8, UNKNOWN_U16, UNKNOWN_U32,
};

use crate::{
    config,
    filter::Decision,
    kernel_memory::{Access, bits},
    protocol::{Address, IPPROTO_MPTCP},
    socket_state::SocketStatePtr,
    task,
    tcp_state::{CLOSING, LAST_ACK, SYN_RECV, SYN_SENT},
    transition::Transition,
};

/// The header of a record, without the number of lost records, which `ring` fills in.
#[inline(always)]
pub fn header(kind: u16) -> RecordHeader {
    // SAFETY: neither helper takes an argument.
    let (cpu, mono_ns) = unsafe { (bpf_get_smp_processor_id() as u16, bpf_ktime_get_ns()) };
    RecordHeader { kind, cpu, lost: 0, mono_ns }
}

/// Fills in a transition, all but the system call.
///
/// # Safety
/// `record` is a reserved record.
#[inline(always)]
pub unsafe fn fill<T: Transition>(
    transition: &T,
    state: Option<SocketStatePtr>,
    record: *mut TransitionRecord,
    kind: u16,
) {
    // SAFETY: the caller's promise.
    unsafe {
        (&raw mut (*record).header).write(header(kind));
        (*record).cookie = transition.cookie();
        (*record).skaddr = transition.sk() as u64;
        (*record).netns = transition.netns().unwrap_or(0);
        (*record).stack = [0; STACK_DEPTH];
        (*record).error = transition.field::<u32>(Field::Error).map_or(UNKNOWN_U16, |error| error as u16);
        (*record).syscall = UNKNOWN_U16;
        (*record).protocol = transition.protocol();
        let family = transition.family();
        (*record).family = family as u8;
        (*record).synacks = 0;
        (*record).local_port = transition.local_port();
        (*record).remote_port = transition.remote_port();
        (*record).old = transition.old_state();
        (*record).new = transition.new_state();
        (*record).shutdown = transition.field::<u8>(Field::Shutdown).unwrap_or(UNKNOWN_U8);
        (*record).flags = flags(transition, state);
        match transition.old_state() {
            SYN_SENT => (*record).flags |= repair_flag::<T::Access>(transition.tcp_sock()),
            SYN_RECV => (*record).synacks = transition.synacks(),
            _ => {}
        }
        let (local, remote) = transition.addresses(family);
        (&raw mut (*record).local_addr).cast::<Address>().write(local);
        (&raw mut (*record).remote_addr).cast::<Address>().write(remote);
    }
}

/// [`SOCKET_IN_REPAIR`], if it is.
///
/// # Safety
/// `tcp` is null or a `struct tcp_sock` that `A` can read.
#[inline(always)]
unsafe fn repair_flag<A: Access>(tcp: *const u8) -> u8 {
    if tcp.is_null() {
        return 0;
    }
    // SAFETY: the caller's promise.
    let repair = unsafe { bits::<A>(tcp, Field::Repair, Field::RepairMask) };
    if repair.unwrap_or(0) != 0 { SOCKET_IN_REPAIR } else { 0 }
}

/// Fills in a transition that may have run in a call on the socket.
///
/// # Safety
/// `record` is a reserved record.
#[inline(always)]
pub unsafe fn fill_in_call<T: Transition>(
    transition: &T,
    state: Option<SocketStatePtr>,
    record: *mut InCallRecord,
    kind: u16,
) {
    // SAFETY: the caller's promise.
    unsafe {
        fill(transition, state, &raw mut (*record).transition, kind);
        fill_call(transition, &raw mut (*record).transition);
        if transition.is_mptcp() && transition.protocol() != IPPROTO_MPTCP {
            (*record).transition.flags |= SOCKET_IS_SUBFLOW;
        }
        transition.task().write(&raw mut (*record).task);
    }
}

/// Fills in what the current task does.
///
/// # Safety
/// `record` is a reserved record of which the rest is filled in.
#[inline(always)]
unsafe fn fill_call<T: Transition>(transition: &T, record: *mut TransitionRecord) {
    // SAFETY: the caller's promise.
    unsafe {
        (*record).syscall = transition.task().syscall();
        if transition.task().is_exiting() {
            (*record).flags |= TASK_EXITING;
        }
    }
}

/// Fills in the current task at a transition into CLOSE that may have run in a call on the socket. `is_explained`: the
/// fields of the socket show the cause. Then the protocol, and no call, has caused one that leaves an error or that
/// happens to an orphaned socket.
///
/// # Safety
/// `record` is a reserved record of which the transition is filled in.
#[inline(always)]
pub unsafe fn fill_caller<T: Transition>(transition: &T, record: *mut ClosedRecord, is_explained: bool) {
    // SAFETY: the caller's promise.
    unsafe {
        let TransitionRecord { error, flags, .. } = (*record).transition;
        let is_by_protocol = error != 0
            || matches!(transition.old_state(), LAST_ACK | CLOSING)
            || flags & (SOCKET_ORPHANED | FLAGS_UNKNOWN) == SOCKET_ORPHANED;
        if is_explained && is_by_protocol {
            task::clear_record(&raw mut (*record).task);
        } else {
            fill_call(transition, &raw mut (*record).transition);
            transition.task().write(&raw mut (*record).task);
        }
    }
}

#[inline(always)]
fn flags<T: Transition>(transition: &T, state: Option<SocketStatePtr>) -> u8 {
    // The record's two lowest bits are the kernel's (`enum sock_flags`).
    let flags = transition
        .field::<u64>(Field::Flags)
        .map_or(FLAGS_UNKNOWN, |flags| flags as u8 & (SOCKET_ORPHANED | SOCKET_FIN_RECEIVED));
    match state {
        Some(state) if config::filters_by_owner() && state.owner_decision() == Decision::Match => {
            flags | OWNER_MATCHES
        }
        _ => flags,
    }
}

/// The payload bytes received in order, and the peer's FIN.
///
/// The kernel counts the FIN as a byte (`tcp_rcv_nxt_update`), unless it came with the peer's SYN or SYN+ACK
/// (`tcp_fastopen_add_skb`). Then nothing else moves `rcv_nxt`, and nothing was measured by which the kernel would have
/// adapted the receive buffer: `rcv_nxt` is one number further from the first one than was counted. Where the FIN was
/// counted, it cannot be.
///
/// # Safety
/// `tcp` is a `struct tcp_sock` that `A` can read.
#[inline(always)]
unsafe fn bytes_received<A: Access>(tcp: *const u8, flags: u8) -> u64 {
    // SAFETY: the caller's promise.
    unsafe {
        let Some(counted) = A::field::<u64>(tcp, Field::BytesReceived) else { return u64::MAX };
        if flags & (SOCKET_FIN_RECEIVED | FLAGS_UNKNOWN) != SOCKET_FIN_RECEIVED {
            return counted;
        }
        let next = A::field::<u32>(tcp, Field::ReceiveNext);
        let start = A::field::<u32>(tcp, Field::ReceiveSpaceStart);
        match (next, start) {
            (Some(next), Some(start)) => {
                let is_uncounted = next.wrapping_sub(start) == (counted as u32).wrapping_add(1);
                counted + u64::from(is_uncounted)
            }
            _ => counted,
        }
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
            (*record).bytes_acked = u64::MAX;
            (*record).in_flight = UNKNOWN_U32;
            (*record).error_soft = UNKNOWN_U16;
            (*record).linger2_is_negative = UNKNOWN_U8;
            (*record).has_unsent = UNKNOWN_U8;
            return;
        }
        (*record).transition.flags |= repair_flag::<A>(tcp);
        (*record).bytes_sent = A::field(tcp, Field::BytesSent).unwrap_or(u64::MAX);
        (*record).bytes_retrans = A::field(tcp, Field::BytesRetrans).unwrap_or(u64::MAX);
        (*record).bytes_received = bytes_received::<A>(tcp, (*record).transition.flags);
        (*record).segs_out = A::field(tcp, Field::SegsOut).unwrap_or(UNKNOWN_U32);
        (*record).segs_in = A::field(tcp, Field::SegsIn).unwrap_or(UNKNOWN_U32);
        (*record).retransmits = A::field(tcp, Field::TotalRetrans).unwrap_or(UNKNOWN_U32);
        // The kernel stores eight times the value (tcp_rtt_estimator).
        (*record).srtt_us =
            A::field::<u32>(tcp, Field::SrttUs).map_or(UNKNOWN_U32, |eightfold| eightfold >> 3);
        (*record).bytes_acked = A::field(tcp, Field::BytesAcked).unwrap_or(u64::MAX);
        let next = A::field::<u32>(tcp, Field::SendNext);
        let unacked = A::field::<u32>(tcp, Field::SendUnacked);
        let end = A::field::<u32>(tcp, Field::WriteSequence);
        (*record).in_flight = match (next, unacked) {
            (Some(next), Some(unacked)) => next.wrapping_sub(unacked),
            _ => UNKNOWN_U32,
        };
        (*record).has_unsent = match (next, end) {
            (Some(next), Some(end)) => (next != end).into(),
            _ => UNKNOWN_U8,
        };
        (*record).error_soft =
            A::field::<u32>(tcp, Field::ErrorSoft).map_or(UNKNOWN_U16, |error| error as u16);
        (*record).linger2_is_negative =
            A::field::<i32>(tcp, Field::Linger2).map_or(UNKNOWN_U8, |linger2| (linger2 < 0).into());
    }
}
