//! Filling in records.

use aya_ebpf::helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns};
use probe_ebpf::{
    ClosedRecord, FLAGS_UNKNOWN, Field, InCallRecord, OWNER_MATCHES, RecordHeader, SOCKET_FIN_RECEIVED,
    SOCKET_ORPHANED, STACK_DEPTH, TransitionRecord, UNKNOWN_U8, UNKNOWN_U16, UNKNOWN_U32,
};

use crate::{
    config,
    filter::Decision,
    kernel_memory::Access,
    protocol::Address,
    socket_state::SocketStatePtr,
    task,
    tcp_state::{CLOSING, FIN_WAIT1, FIN_WAIT2, LAST_ACK, LISTEN, SYN_SENT},
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
        (*record).family = family;
        (*record).local_port = transition.local_port();
        (*record).remote_port = transition.remote_port();
        (*record).old = transition.old_state();
        (*record).new = transition.new_state();
        (*record).shutdown = transition.field::<u8>(Field::Shutdown).unwrap_or(UNKNOWN_U8);
        (*record).flags = flags(transition, state);
        let (local, remote) = transition.addresses(family);
        (&raw mut (*record).local_addr).cast::<Address>().write(local);
        (&raw mut (*record).remote_addr).cast::<Address>().write(remote);
    }
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
        (*record).transition.syscall = transition.task().syscall();
        transition.task().write(&raw mut (*record).task);
    }
}

/// Fills in the current task at a transition into CLOSE that may have run in a call on the socket. The protocol, and no
/// call, causes one that leaves an error or that happens to an orphaned socket.
///
/// # Safety
/// `record` is a reserved record of which the transition is filled in.
#[inline(always)]
pub unsafe fn fill_caller<T: Transition>(transition: &T, record: *mut ClosedRecord) {
    // SAFETY: the caller's promise.
    unsafe {
        let TransitionRecord { error, flags, .. } = (*record).transition;
        let may_be_in_call = match transition.old_state() {
            // Where the kernel refuses the call, an earlier error may still be set.
            SYN_SENT | LISTEN => true,
            LAST_ACK | CLOSING => false,
            FIN_WAIT1 | FIN_WAIT2 => {
                error == 0 && flags & (SOCKET_ORPHANED | FLAGS_UNKNOWN) != SOCKET_ORPHANED
            }
            _ => error == 0,
        };
        if may_be_in_call || error == UNKNOWN_U16 {
            (*record).transition.syscall = transition.task().syscall();
            transition.task().write(&raw mut (*record).task);
        } else {
            task::clear_record(&raw mut (*record).task);
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
        // The kernel stores eight times the value (tcp_rtt_estimator).
        (*record).srtt_us =
            A::field::<u32>(tcp, Field::SrttUs).map_or(UNKNOWN_U32, |eightfold| eightfold >> 3);
    }
}
