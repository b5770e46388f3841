//! The functions on the kernel's stack, which prove the cause of a transition that the socket's fields leave open.
//!
//! To unwind the stack costs more than everything else that a run does, so that only the transitions pay for it whose
//! cause is open. An ordinary connection has none.

use core::{ffi::c_void, mem::MaybeUninit};

use aya_ebpf::{EbpfContext as _, helpers::generated::bpf_get_stack, macros::map, maps::Array};
use probe_ebpf::{
    ClosedRecord, Field, SOCKET_FIN_RECEIVED, SOCKET_IN_REPAIR, SOCKET_ORPHANED, SOCKET_RST_RECEIVED,
    STACK_BOUNDARY, STACK_RANGES, StackTable, TASK_EXITING, TransitionRecord, UNKNOWN_U16,
};

use crate::{
    config, offsets,
    protocol::IPPROTO_MPTCP,
    system_call::is_close_or_shutdown,
    tcp_state::{CLOSING, FIN_WAIT1, FIN_WAIT2, LAST_ACK, LISTEN, SYN_SENT},
    tracking::TrackedTransition,
};

/// How many frames are searched. MPTCP's worker is at about the fifteenth.
const FRAMES: usize = 20;

/// Both bits of `sk_shutdown`.
const BOTH_SHUTDOWN: u8 = 3;

/// The kernel's code, which the reader fills in before it reports that it is ready.
#[map]
static STACK_TABLE: Array<StackTable> = Array::with_max_entries(1, 0);

/// Adds the stack to a transition into CLOSE whose cause is open. `is_explained`: the socket's fields show it.
///
/// # Safety
/// `record` is a reserved record that is filled in.
#[inline(always)]
pub unsafe fn add_closed<T: TrackedTransition>(
    transition: &T,
    record: *mut ClosedRecord,
    is_explained: bool,
) {
    // SAFETY: the caller's promise.
    unsafe {
        if config::searches_stack() && (!is_explained || transition.is_mptcp()) {
            add(transition, &raw mut (*record).transition);
        }
    }
}

/// Adds the stack to a transition between opening and close where the call does not show which function makes it.
///
/// # Safety
/// `record` is a reserved record that is filled in.
#[inline(always)]
pub unsafe fn add_in_call<T: TrackedTransition>(transition: &T, record: *mut TransitionRecord) {
    // SAFETY: the caller's promise.
    unsafe {
        let TransitionRecord { shutdown, flags, syscall, .. } = *record;
        // Only shutdown(2) with SHUT_WR leaves the receiving direction open.
        let is_shown =
            is_close_or_shutdown(syscall) || flags & TASK_EXITING != 0 || shutdown != BOTH_SHUTDOWN;
        // Where the kernel does not show the numbers of calls, every FIN would pay.
        let is_open = !is_shown && offsets::offset(Field::SyscallNumber).is_some();
        if config::searches_stack() && (is_open || transition.is_mptcp()) {
            add(transition, record);
        }
    }
}

/// Adds the stack to a transition that opens a socket in a call that is not known, or for MPTCP.
///
/// # Safety
/// `record` is a reserved record that is filled in.
#[inline(always)]
pub unsafe fn add_opened<T: TrackedTransition>(transition: &T, record: *mut TransitionRecord) {
    // SAFETY: the caller's promise.
    unsafe {
        let is_child = (*record).old == LISTEN;
        let is_open = !is_child && is_unknown((*record).syscall);
        // The child's own fields are still the listener's.
        let is_mptcp = if is_child { transition.protocol() == IPPROTO_MPTCP } else { transition.is_mptcp() };
        if config::searches_stack() && (is_open || is_mptcp) {
            add(transition, record);
        }
    }
}

/// Adds the stack to a transition that a segment causes: only an MPTCP socket's may run anywhere, and connect(2) makes one
/// under TCP_REPAIR.
///
/// # Safety
/// `record` is a reserved record that is filled in.
#[inline(always)]
pub unsafe fn add_segment<T: TrackedTransition>(transition: &T, record: *mut TransitionRecord) {
    // SAFETY: the caller's promise.
    unsafe {
        let is_open = (*record).flags & SOCKET_IN_REPAIR != 0;
        if config::searches_stack() && (is_open || transition.protocol() == IPPROTO_MPTCP) {
            add(transition, record);
        }
    }
}

/// Whether the call's number is unknown although the kernel shows numbers: that of a 32-bit call.
#[inline(always)]
fn is_unknown(syscall: u16) -> bool {
    syscall == UNKNOWN_U16 && offsets::offset(Field::SyscallNumber).is_some()
}

/// # Safety
/// `record` is a reserved record.
#[inline(always)]
unsafe fn add<T: TrackedTransition>(transition: &T, record: *mut TransitionRecord) {
    let codes = search(transition.context().as_ptr(), T::OWN_FRAMES);
    // SAFETY: the caller's promise; the field is aligned to a word.
    unsafe { (&raw mut (*record).stack).cast::<u32>().write(innermost_first(codes)) };
}

/// The codes of the first four functions that the table knows, the innermost in the highest byte that is used. Not
/// inlined: the verifier would follow the search from each place that starts one.
#[inline(never)]
fn search(context: *mut c_void, own_frames: u64) -> u32 {
    let mut frames = MaybeUninit::<[u64; FRAMES]>::uninit();
    // SAFETY: the program's own context, and a buffer of this size.
    let length = unsafe {
        bpf_get_stack(context, frames.as_mut_ptr().cast(), size_of::<[u64; FRAMES]>() as u32, own_frames)
    };
    let Some(table) = STACK_TABLE.get_ptr(0) else { return 0 };
    let mut codes = 0;
    for frame in 0..FRAMES {
        if length < ((frame + 1) * size_of::<u64>()) as i64 {
            break;
        }
        // SAFETY: the helper has written the frame. The address is that behind the call, which may be another function's.
        let address = unsafe { frames.as_ptr().cast::<u64>().add(frame).read() }.wrapping_sub(1);
        // SAFETY: the map's value.
        let code = unsafe { code_at(table, address) };
        if code == STACK_BOUNDARY.into() || codes >> 24 != 0 {
            break;
        }
        if code != 0 && code != codes & 0xff {
            codes = codes << 8 | code;
        }
    }
    codes
}

/// The code of the function at a kernel address: a binary search without branches, which the verifier would follow
/// separately.
///
/// # Safety
/// `table` is the map's value.
#[inline(always)]
unsafe fn code_at(table: *const StackTable, address: u64) -> u32 {
    let mut at = 0;
    let mut step = STACK_RANGES / 2;
    while step > 0 {
        // SAFETY: the index is within the table.
        let start =
            unsafe { (&raw const (*table).starts).cast::<u64>().add(bounded(at | step)).read_volatile() };
        // The difference of two addresses of the kernel has a sign, since all have the highest bit set.
        let is_below = (address.wrapping_sub(start) >> 63) as usize;
        at |= (is_below ^ 1) * step;
        step /= 2;
    }
    // SAFETY: as above.
    unsafe { (&raw const (*table).codes).cast::<u8>().add(bounded(at)).read_volatile().into() }
}

/// The index itself, which is within the table, for verifiers that do not follow how it came about (Linux 6.1). The compiler
/// does, and would drop the mask if it knew the value.
#[inline(always)]
fn bounded(index: usize) -> usize {
    // SAFETY: a variable of this function.
    let index = unsafe { (&raw const index).read_volatile() };
    index & (STACK_RANGES - 1)
}

/// The codes as a record holds them, from the order in which they were found.
#[inline(always)]
fn innermost_first(mut codes: u32) -> u32 {
    if codes < 1 << 16 {
        codes <<= 16;
    }
    if codes < 1 << 24 {
        codes <<= 8;
    }
    codes.to_be()
}

/// Whether the socket's own fields show the cause of a transition into CLOSE.
///
/// # Safety
/// `record` is a reserved record of which all but the task is filled in.
#[inline(always)]
pub unsafe fn is_explained(record: *const ClosedRecord) -> bool {
    // SAFETY: the caller's promise.
    let ClosedRecord { transition, in_flight, has_unsent, linger2_is_negative, .. } = unsafe { &*record };
    let TransitionRecord { old, flags, error, shutdown, .. } = *transition;
    if error != 0 {
        // tcp_reset has ended it. In FIN_WAIT1 and FIN_WAIT2, data that no process can read any more ends up there, too.
        return flags & SOCKET_RST_RECEIVED != 0 && !matches!(old, FIN_WAIT1 | FIN_WAIT2);
    }
    match old {
        // The peer has acknowledged the FIN (tcp_rcv_state_process). Whatever else ends these states does so before that.
        LAST_ACK | CLOSING => *in_flight == 0 && *has_unsent == 0,
        // tcp_fin
        FIN_WAIT2 if flags & SOCKET_FIN_RECEIVED != 0 => true,
        // Almost always a FIN_WAIT2 mini-socket, which replaces the socket of every client that closes first.
        FIN_WAIT2 => flags & SOCKET_ORPHANED != 0 && *linger2_is_negative == 0,
        // __tcp_close, without an RST.
        SYN_SENT => shutdown == BOTH_SHUTDOWN,
        _ => false,
    }
}
