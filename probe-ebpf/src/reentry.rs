//! Which of the two programs on the BTF tracepoint handles an event, and what it does at the end of its run.
//!
//! While a program runs on a CPU, the kernel does not run it again there: it would skip an event in a softirq that
//! interrupts the program. So there are two programs, which the kernel runs one after the other for each event. The
//! second program handles the event. The first one announces it in the CPU's own state. Where the first one finds an
//! earlier announcement, the second one runs on this CPU for another event, or is about to. Then the kernel may skip it
//! for this event. So the first program handles the event, and marks it as handled: where the kernel does not skip the
//! second program after all, that finds the mark.
//!
//! The marks are the events' own, not the CPU's: from Linux 7.1 on, the scheduler may suspend a task between the two
//! programs or within one. So runs end in any order, and several marks are in use at a time.

use aya_ebpf::{
    macros::map,
    maps::{Array, PerCpuArray},
};

use crate::{atomic, kernel_memory::number, table};

/// How many events the first program handled for which the kernel skipped the second one, by CPU.
#[map]
static NESTED_EVENTS: PerCpuArray<i64> = PerCpuArray::with_max_entries(1, 0);

#[map]
static REENTRY: PerCpuArray<State> = PerCpuArray::with_max_entries(1, 0);

#[derive(Clone, Copy)]
#[repr(C)]
struct State {
    /// Whether a run of the second program is expected, or in progress.
    is_expected: u64,
    /// By program: the number of the slot that its socket releases, plus 1; 0 is none.
    released_slots: [u32; 2],
}

/// The number of marks; a power of two. More than there are events that wait for their second program: one for each task
/// that is suspended there.
const MARKS: usize = 256;

/// The events that the first program has handled, each at the place that its id selects. The mark of an event for which
/// the kernel skipped the second program stays, until the first one runs for an event with the same id.
#[map]
static HANDLED: Array<[u64; MARKS]> = Array::with_max_entries(1, 0);

/// Identifies an event among those that are handled at the same time, on any CPU: a socket's address, whose upper bits are
/// always set, combined with both states. Whoever changes a socket's state has locked it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EventId(u64);

impl EventId {
    #[inline(always)]
    pub fn new(sk: *const u8, old: u8, new: u8) -> Self {
        Self(number(sk) ^ u64::from(old) << 56 ^ u64::from(new) << 48)
    }

    /// Where the event is marked as handled.
    #[inline(always)]
    fn mark(self) -> Option<*mut u64> {
        // Sockets are in slabs, so that the lowest bits of their addresses are always the same.
        let place = (self.0 >> 6) as usize & (MARKS - 1);
        // SAFETY: within the map's value.
        HANDLED.get_ptr_mut(0).map(|marks| unsafe { marks.cast::<u64>().add(place) })
    }
}

/// A run of one of the programs.
pub struct Run {
    state: *mut State,
    program: usize,
}

impl Run {
    /// Starts a run of the first program, if it has to handle the event.
    #[inline(always)]
    pub fn start_first(event: EventId) -> Option<Self> {
        let (state, mark) = (REENTRY.get_ptr_mut(0)?, event.mark()?);
        // SAFETY: this CPU's own state, and a word of the map; here and below. Volatile, since what interrupts this run
        // accesses them.
        unsafe {
            if (&raw const (*state).is_expected).read_volatile() == 0 {
                (&raw mut (*state).is_expected).write_volatile(1);
                if mark.read_volatile() == event.0 {
                    // Of an earlier event.
                    mark.write_volatile(0);
                }
                return None;
            }
            mark.write_volatile(event.0);
        }
        count_nested(1);
        Some(Self::of(state, 0))
    }

    /// Starts a run of the second program, unless the first one has handled the event.
    #[inline(always)]
    pub fn start_second(event: EventId) -> Option<Self> {
        let (state, mark) = (REENTRY.get_ptr_mut(0)?, event.mark()?);
        let run = Self::of(state, 1);
        // SAFETY: as above.
        unsafe {
            if mark.read_volatile() == event.0 {
                // The kernel has not skipped it.
                mark.write_volatile(0);
                count_nested(-1);
                run.expect_none();
                return None;
            }
            (&raw mut (*state).is_expected).write_volatile(1);
        }
        Some(run)
    }

    #[inline(always)]
    fn of(state: *mut State, program: usize) -> Self {
        let run = Self { state, program };
        run.release_at_end(None);
        run
    }

    /// Releases this slot at the end of the run.
    #[inline(always)]
    pub fn release_at_end(&self, slot: Option<u32>) {
        let released = slot.map_or(0, |slot| slot + 1);
        // SAFETY: as above.
        unsafe {
            (&raw mut (*self.state).released_slots).cast::<u32>().add(self.program).write_volatile(released);
        }
    }

    /// Ends the run.
    #[inline(always)]
    pub fn end(&self) {
        // SAFETY: as above.
        let released = unsafe {
            (&raw const (*self.state).released_slots).cast::<u32>().add(self.program).read_volatile()
        };
        if released != 0 {
            table::release(released - 1);
        }
        if self.program == 1 {
            self.expect_none();
        }
    }

    /// Withdraws the announcement. Until this program has returned, the kernel skips it, and what it skips is lost: it
    /// counts that.
    #[inline(always)]
    fn expect_none(&self) {
        // SAFETY: as above.
        unsafe { (&raw mut (*self.state).is_expected).write_volatile(0) };
    }
}

/// Adds to the number of events that the first program handled for a skipped second one.
#[inline(always)]
fn count_nested(more: i64) {
    if let Some(count) = NESTED_EVENTS.get_ptr_mut(0) {
        // A softirq that interrupts the addition adds, too.
        // SAFETY: this CPU's own counter, an aligned word.
        unsafe { atomic::add(count.cast(), more as u64) };
    }
}
