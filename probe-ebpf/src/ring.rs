//! The per-CPU ring buffers through which records reach the reader.
//!
//! They replace BPF's own ring buffer, in which each record takes a lock that all CPUs share, and three atomic exchanges
//! that wait for all pending stores of the CPU. That cost more than everything else that an event costs.

use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, BPF_RB_FORCE_WAKEUP},
    helpers::bpf_get_smp_processor_id,
    macros::map,
    maps::{Array, RingBuf},
};
use probe_ebpf::{
    RecordHeader,
    ring_layout::{CHUNK_SIZE, CHUNK_STRIDE, Cursor, Mark, NO_WAKEUP, RESERVE_MARGIN, RingControl, locate},
};

use crate::atomic;

/// The number of chunks in each ring; a power of two.
#[unsafe(no_mangle)]
static RING_CHUNKS: u32 = 1;

/// The chunks of all rings, CPU by CPU.
#[map]
static RING_MEMORY: Array<[u64; CHUNK_STRIDE as usize / 8]> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// One for each ring.
#[map]
static RING_CURSORS: Array<Cursor> = Array::with_max_entries(1, BPF_F_MMAPABLE);

#[map]
static RING_CONTROL: Array<RingControl> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Always empty. The reader polls it, and a program wakes the reader through it.
#[map]
static WAKER: RingBuf = RingBuf::with_byte_size(CHUNK_SIZE, 0);

/// Who may write to a CPU's ring at the same time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Writers {
    /// One: while a program on a classic tracepoint runs, the kernel runs no other of that kind on the CPU
    /// (`bpf_prog_active`). It uses only what BPF had before Linux 5.12.
    One,
    /// Several: a softirq, in which another program runs, interrupts a program that runs in a system call.
    Several,
}

/// Reserves room for a record, and lets `fill` write it; counts the record as lost where there is no room. The reader
/// finds it when it next polls, unless it waits for a wake-up. Mark a `fill` on a hot path `#[inline(always)]`.
#[inline(always)]
pub fn emit<T: 'static>(writers: Writers, fill: impl FnOnce(*mut T)) {
    submit(writers, fill, false);
}

/// Like [`emit`], and wakes the reader at once: what it queries from the host about this record changes soon.
#[inline(always)]
pub fn emit_and_wake<T: 'static>(writers: Writers, fill: impl FnOnce(*mut T)) {
    submit(writers, fill, true);
}

#[inline(always)]
fn submit<T: 'static>(writers: Writers, fill: impl FnOnce(*mut T), wakes: bool) {
    let length = (size_of::<Mark>() + size_of::<T>()) as u64;
    let Some(control) = RING_CONTROL.get_ptr_mut(0) else { return };
    // SAFETY: an aligned word of the map. Read before the reservation: a record that is lost later is not lost before
    // this one.
    let lost = unsafe { (&raw const (*control).lost).read_volatile() } as u32;
    let Some((ring, cursor)) = own_ring(writers) else { return count_lost() };
    // SAFETY: the cursor is an entry of the map.
    let Some(reserved) = (unsafe { reserve(writers, cursor, length) }) else { return count_lost() };
    let (chunk, at) = locate(reserved.position, chunks());
    let Some(chunk) = RING_MEMORY.get_ptr_mut(ring * chunks() + chunk) else { return count_lost() };
    // SAFETY: every position in a chunk has room for the longest record behind it, and this room is reserved for this
    // record.
    unsafe {
        let mark = chunk.cast::<u8>().add(at as usize);
        let record = mark.add(size_of::<Mark>());
        fill(record.cast());
        (*record.cast::<RecordHeader>()).lost = lost;
        publish(mark.cast(), Mark::new(reserved.position, length as u16));
        let wake_at = (&raw const (*control).wake_at).read_volatile();
        if wakes || reserved.unread >= wake_at {
            (&raw mut (*control).wake_at).write_volatile(NO_WAKEUP);
            wake();
        }
    }
}

/// This CPU's ring and its cursor. A CPU that was added after the programs were loaded shares the first ring.
#[inline(always)]
fn own_ring(writers: Writers) -> Option<(u32, *mut Cursor)> {
    // SAFETY: the helper takes no argument.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    match RING_CURSORS.get_ptr_mut(cpu) {
        Some(cursor) => Some((cpu, cursor)),
        None if writers == Writers::Several => Some((0, RING_CURSORS.get_ptr_mut(0)?)),
        None => None,
    }
}

/// Reserved room in a ring.
struct Reserved {
    position: u64,
    /// The unread bytes in the ring, this record included, by the cached position of the reader.
    unread: u64,
}

/// # Safety
/// `cursor` is an entry of the map.
#[inline(always)]
unsafe fn reserve(writers: Writers, cursor: *mut Cursor, length: u64) -> Option<Reserved> {
    let room = u64::from(chunks()) * u64::from(CHUNK_SIZE) - RESERVE_MARGIN;
    // SAFETY: the caller's promise; aligned words.
    unsafe {
        let start = (&raw const (*cursor).reserved).read_volatile();
        let end = start + length;
        let mut consumed = (&raw const (*cursor).consumed_cache).read_volatile();
        // Rarely read, since the reader writes it: each read may fetch the cache line from the reader's CPU.
        if end - consumed > room / 8 {
            consumed = (&raw const (*cursor).consumed).read_volatile();
            (&raw mut (*cursor).consumed_cache).write_volatile(consumed);
            if end - consumed > room {
                return None;
            }
        }
        let position = match writers {
            Writers::One => {
                (&raw mut (*cursor).reserved).write_volatile(end);
                start
            }
            Writers::Several => atomic::fetch_add(&raw mut (*cursor).reserved, length),
        };
        Some(Reserved { position, unread: end - consumed })
    }
}

/// Makes the record behind the mark visible to the reader.
///
/// # Safety
/// `mark` is the word in front of a record that is filled in.
#[inline(always)]
unsafe fn publish(mark: *mut u64, value: Mark) {
    // SAFETY: the caller's promise.
    unsafe {
        // x86 makes stores visible in program order. Decided here and not by the verifier: before Linux 5.12 the kernel
        // rejects the exchange even in code that is never reached.
        if cfg!(bpf_target_arch = "x86_64") {
            mark.write_volatile(value.0);
        } else {
            atomic::exchange(mark, value.0);
        }
    }
}

/// Wakes the reader. A reader that has just woken by itself polls once in vain.
#[inline(always)]
fn wake() {
    // The reservation fails where earlier wake-ups have filled the buffer: then the reader has yet to respond to them.
    if let Some(empty) = WAKER.reserve::<u64>(0) {
        empty.discard(BPF_RB_FORCE_WAKEUP.into());
    }
}

/// Counts a record that found no room.
#[inline(always)]
pub fn count_lost() {
    let Some(control) = RING_CONTROL.get_ptr_mut(0) else { return };
    // Other CPUs count as well.
    // SAFETY: an aligned word of the map.
    unsafe { atomic::add(&raw mut (*control).lost, 1) };
}

#[inline(always)]
fn chunks() -> u32 {
    // SAFETY: a valid static. Volatile, or the compiler would use the initial value as a constant.
    unsafe { (&raw const RING_CHUNKS).read_volatile() }
}
