//! The way to the reader: a ring of records for each CPU.
//!
//! Why not BPF's own ring: there, each record takes a lock that all CPUs share, and three exchanges that wait for all the
//! CPU has still to write. That was more than everything else that an event costs.

use core::arch::asm;

use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, BPF_RB_FORCE_WAKEUP},
    helpers::bpf_get_smp_processor_id,
    macros::map,
    maps::{Array, RingBuf},
};
use probe_ebpf::{
    RecordHeader,
    rings::{AWAKE, CHUNK, Cursor, MARGIN, Mark, STRIDE, Shared, place},
};

/// How many chunks each ring has; a power of two.
#[unsafe(no_mangle)]
static CHUNKS: u32 = 1;

/// The chunks of all rings, those of the first CPU's first.
#[map]
static CHUNKS_OF_RINGS: Array<[u64; STRIDE as usize / 8]> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// One for each ring.
#[map]
static CURSORS: Array<Cursor> = Array::with_max_entries(1, BPF_F_MMAPABLE);

#[map]
static SHARED: Array<Shared> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Nothing is ever in it: the reader waits on it to be woken.
#[map]
static WAKER: RingBuf = RingBuf::with_byte_size(CHUNK, 0);

/// Who may write into a CPU's ring at the same time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Writers {
    /// One: while a program on a classic tracepoint runs, the kernel runs no other of that kind on the CPU
    /// (`bpf_prog_active`). It makes do with what BPF had before Linux 5.12.
    One,
    /// Several: a program that runs in a call is interrupted by a softirq in which another one runs.
    Several,
}

/// Makes room for a record, and lets `fill` write it; counts it as lost where there is no room. The reader finds it at
/// its next look, unless it waits to be woken. A `fill` on the way of many events is marked to be inlined.
#[inline(always)]
pub fn emit<T: 'static>(writers: Writers, fill: impl FnOnce(*mut T)) {
    submit(writers, fill, false);
}

/// The same, and wakes the reader at once: what it wants to ask the host about this record is soon gone.
#[inline(always)]
pub fn emit_now<T: 'static>(writers: Writers, fill: impl FnOnce(*mut T)) {
    submit(writers, fill, true);
}

#[inline(always)]
fn submit<T: 'static>(writers: Writers, fill: impl FnOnce(*mut T), at_once: bool) {
    let length = (size_of::<Mark>() + size_of::<T>()) as u64;
    let Some(shared) = SHARED.get_ptr_mut(0) else { return };
    // SAFETY: an aligned word of the map. Read before the place is reserved: what is lost after that is not before this
    // record.
    let lost = unsafe { (&raw const (*shared).lost).read_volatile() } as u32;
    let Some((ring, cursor)) = own(writers) else { return count_lost() };
    // SAFETY: the cursor is an entry of the map.
    let Some(reserved) = (unsafe { reserve(writers, cursor, length) }) else { return count_lost() };
    let (chunk, at) = place(reserved.position, chunks());
    let Some(chunk) = CHUNKS_OF_RINGS.get_ptr_mut(ring * chunks() + chunk) else { return count_lost() };
    // SAFETY: behind every place in a chunk there is room for the longest record, and this place is nobody else's.
    unsafe {
        let mark = chunk.cast::<u8>().add(at as usize);
        let record = mark.add(size_of::<Mark>());
        fill(record.cast());
        (*record.cast::<RecordHeader>()).lost = lost;
        publish(mark.cast(), Mark::new(reserved.position, length as u16));
        let wake_at = (&raw const (*shared).wake_at).read_volatile();
        if at_once || reserved.waiting >= wake_at {
            (&raw mut (*shared).wake_at).write_volatile(AWAKE);
            wake();
        }
    }
}

/// This CPU's ring, and its cursor. One that was not there when the programs were loaded shares the first one.
#[inline(always)]
fn own(writers: Writers) -> Option<(u32, *mut Cursor)> {
    // SAFETY: takes nothing.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    match CURSORS.get_ptr_mut(cpu) {
        Some(cursor) => Some((cpu, cursor)),
        None if writers == Writers::Several => Some((0, CURSORS.get_ptr_mut(0)?)),
        None => None,
    }
}

/// A place in a ring.
struct Reserved {
    position: u64,
    /// How much waits there for the reader, this record included: what the CPU knows of it without asking.
    waiting: u64,
}

/// # Safety
/// `cursor` is an entry of the map.
#[inline(always)]
unsafe fn reserve(writers: Writers, cursor: *mut Cursor, length: u64) -> Option<Reserved> {
    let room = u64::from(chunks()) * u64::from(CHUNK) - MARGIN;
    // SAFETY: the caller's promise; aligned words.
    unsafe {
        let begin = (&raw const (*cursor).reserved).read_volatile();
        let end = begin + length;
        let mut taken = (&raw const (*cursor).seen).read_volatile();
        // Seldom looked up, since the reader writes it: the line would have to come from its CPU each time.
        if end - taken > room / 8 {
            taken = (&raw const (*cursor).taken).read_volatile();
            (&raw mut (*cursor).seen).write_volatile(taken);
            if end - taken > room {
                return None;
            }
        }
        let position = match writers {
            Writers::One => {
                (&raw mut (*cursor).reserved).write_volatile(end);
                begin
            }
            Writers::Several => fetch_add(&raw mut (*cursor).reserved, length),
        };
        Some(Reserved { position, waiting: end - taken })
    }
}

/// Lets the reader see the record behind the mark.
///
/// # Safety
/// `mark` is the word before a record that was filled in.
#[inline(always)]
unsafe fn publish(mark: *mut u64, value: Mark) {
    // SAFETY: the caller's promise.
    unsafe {
        // x86 makes stores visible in their order. Not left to the verifier to drop: before Linux 5.12 the kernel
        // refuses the exchange where it is never reached, too.
        if cfg!(bpf_target_arch = "x86_64") {
            mark.write_volatile(value.0);
        } else {
            exchange(mark, value.0);
        }
    }
}

/// Wakes the reader. It may be asleep for its own reasons, and wakes for them: that costs it a look in vain.
#[inline(always)]
fn wake() {
    // Full it is where the reader has been woken that often, and has not come yet.
    if let Some(nothing) = WAKER.reserve::<u64>(0) {
        nothing.discard(BPF_RB_FORCE_WAKEUP.into());
    }
}

/// Counts a record that found no room.
#[inline(always)]
pub fn count_lost() {
    let Some(shared) = SHARED.get_ptr_mut(0) else { return };
    // Other CPUs count as well. Rust has no atomic addition for this target, though BPF does.
    // SAFETY: an aligned word of the map.
    unsafe {
        let counter = &raw mut (*shared).lost;
        asm!("lock *(u64 *)({counter} + 0) += {one}", counter = in(reg) counter, one = in(reg) 1_u64);
    }
}

#[inline(always)]
fn chunks() -> u32 {
    // SAFETY: a valid static. Volatile, or the compiler would take the initial value for good.
    unsafe { (&raw const CHUNKS).read_volatile() }
}

/// Adds to the word, and gives what it was: Linux 5.12.
///
/// # Safety
/// `word` is an aligned word of a map.
#[inline(always)]
unsafe fn fetch_add(word: *mut u64, mut value: u64) -> u64 {
    // SAFETY: the caller's promise.
    unsafe {
        asm!("{value} = atomic_fetch_add((u64 *)({word} + 0), {value})", word = in(reg) word, value = inout(reg) value);
    }
    value
}

/// Writes the word after everything that was written before: Linux 5.12.
///
/// # Safety
/// `word` is an aligned word of a map.
#[inline(always)]
unsafe fn exchange(word: *mut u64, value: u64) {
    // SAFETY: the caller's promise.
    unsafe {
        asm!("{value} = xchg_64({word} + 0, {value})", word = in(reg) word, value = inout(reg) value => _);
    }
}
