//! Which of the two programs on the BTF tracepoint handles an event, and what it does at the end of its run.
//!
//! While a program runs on a CPU, the kernel does not run it again there: it would skip an event in a softirq that
//! interrupts the program. So there are two programs, which the kernel runs one after the other for each event. The
//! second program handles the event. The first one announces it in the CPU's own state. Where the first one finds an
//! earlier announcement, it has either interrupted the second one's run, or comes right before that run. In the former
//! case the kernel skips the second program for this event, in the latter it does not. So the first program handles the
//! event, and records that for the second one.

use aya_ebpf::{macros::map, maps::PerCpuArray};

use crate::{atomic, kernel_memory::number, table};

/// How many events the first program handled for which the kernel skipped the second one, by CPU.
#[map]
static NESTED_EVENTS: PerCpuArray<i64> = PerCpuArray::with_max_entries(1, 0);

#[map]
static REENTRY: PerCpuArray<State> = PerCpuArray::with_max_entries(1, 0);

#[derive(Clone, Copy)]
#[repr(C)]
struct State {
    /// The event that the first program has handled; 0 is none.
    handled: u64,
    /// Whether a run of the second program is expected, or in progress.
    is_expected: u64,
    /// `handled` at the start of the second program's run: where the first program is still handling that event, the
    /// second one has interrupted it.
    handled_before: u64,
    /// By program: the number of the slot that its socket releases, plus 1; 0 is none.
    released_slots: [u32; 2],
}

/// Identifies an event among those that a CPU handles at the same time: a socket's address, whose upper bits are always
/// set, combined with both states.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EventId(u64);

impl EventId {
    #[inline(always)]
    pub fn new(sk: *const u8, old: u8, new: u8) -> Self {
        Self(number(sk) ^ u64::from(old) << 56 ^ u64::from(new) << 48)
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
        let state = REENTRY.get_ptr_mut(0)?;
        // SAFETY: this CPU's own state; here and below. Volatile, since a softirq that interrupts this run accesses it.
        unsafe {
            if (&raw const (*state).is_expected).read_volatile() == 0 {
                (&raw mut (*state).is_expected).write_volatile(1);
                return None;
            }
            (&raw mut (*state).handled).write_volatile(event.0);
        }
        count_nested(1);
        Some(Self::of(state, 0))
    }

    /// Starts a run of the second program, unless the first one has handled the event.
    #[inline(always)]
    pub fn start_second(event: EventId) -> Option<Self> {
        let run = Self::of(REENTRY.get_ptr_mut(0)?, 1);
        // SAFETY: as above.
        unsafe {
            let handled = (&raw const (*run.state).handled).read_volatile();
            if handled == event.0 {
                // The kernel has not skipped it.
                count_nested(-1);
                run.expect_none(0);
                return None;
            }
            (&raw mut (*run.state).is_expected).write_volatile(1);
            (&raw mut (*run.state).handled_before).write_volatile(handled);
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
            // SAFETY: as above.
            let handled = unsafe { (&raw const (*self.state).handled_before).read_volatile() };
            self.expect_none(handled);
        }
    }

    /// Withdraws the announcement. Until this program has returned, the kernel skips it, and what it skips is lost: it
    /// counts that. The order of the two stores matters. In the other order, the first program could handle one more
    /// event between them, which would stay in `handled`, and the second program would ignore a later event with the same
    /// id. `handled` is the event that the first program is still handling.
    #[inline(always)]
    fn expect_none(&self, handled: u64) {
        // SAFETY: as above.
        unsafe {
            (&raw mut (*self.state).is_expected).write_volatile(0);
            (&raw mut (*self.state).handled).write_volatile(handled);
        }
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
