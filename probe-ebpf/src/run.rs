//! Runs of the programs on the BTF tracepoint: which of the two takes an event, and what is to be done at the end.
//!
//! While a program runs on a CPU, the kernel does not run it again there: an event in a softirq that comes in between would be
//! passed over. So there are two, which it runs one after the other for each event. The second one takes the event. The first one
//! announces it to a CPU's own state; where it finds that an earlier one is announced still, it has interrupted the second
//! one's run for that, or comes right before it. The kernel passes over the second one in the former case, and not in the latter:
//! so the first one takes the event, and says so to the second one.

use aya_ebpf::{macros::map, maps::PerCpuArray};

use crate::{access::number, maps, table};

#[map]
static RUNS: PerCpuArray<State> = PerCpuArray::with_max_entries(1, 0);

#[derive(Clone, Copy)]
#[repr(C)]
struct State {
    /// The event that the first program has taken; 0 is none.
    taken: u64,
    /// Whether a run of the second program is expected, or under way.
    is_expected: u64,
    /// `taken` when the second program began: where that is being taken still, it has interrupted the first one's run for it.
    taken_before: u64,
    /// Of each program's run: the number of the place that its socket leaves, and 1; 0 is none.
    leaves: [u32; 2],
}

/// An event, as none other that a CPU takes at the same time: a socket's address, of which the upper bits are always set, with
/// both states in them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Event(u64);

impl Event {
    #[inline(always)]
    pub fn new(sk: *const u8, old: u8, new: u8) -> Self {
        Self(number(sk) ^ u64::from(old) << 56 ^ u64::from(new) << 48)
    }
}

/// One that is under way.
pub struct Run {
    state: *mut State,
    program: usize,
}

impl Run {
    /// Begins one of the first program, where it has to take the event.
    #[inline(always)]
    pub fn begin_first(event: Event) -> Option<Self> {
        let state = RUNS.get_ptr_mut(0)?;
        // SAFETY: this CPU's own; here and below. Volatile, since what interrupts reads and writes it.
        unsafe {
            if (&raw const (*state).is_expected).read_volatile() == 0 {
                (&raw mut (*state).is_expected).write_volatile(1);
                return None;
            }
            (&raw mut (*state).taken).write_volatile(event.0);
        }
        maps::count_nested(1);
        Some(Self::of(state, 0))
    }

    /// Begins one of the second program, unless the first one has taken the event.
    #[inline(always)]
    pub fn begin_second(event: Event) -> Option<Self> {
        let run = Self::of(RUNS.get_ptr_mut(0)?, 1);
        // SAFETY: as above.
        unsafe {
            let taken = (&raw const (*run.state).taken).read_volatile();
            if taken == event.0 {
                // The kernel has not passed over it.
                maps::count_nested(-1);
                run.expects_nothing(0);
                return None;
            }
            (&raw mut (*run.state).is_expected).write_volatile(1);
            (&raw mut (*run.state).taken_before).write_volatile(taken);
        }
        Some(run)
    }

    #[inline(always)]
    fn of(state: *mut State, program: usize) -> Self {
        let run = Self { state, program };
        run.leaves(None);
        run
    }

    /// At its end, the socket leaves this place.
    #[inline(always)]
    pub fn leaves(&self, place: Option<u32>) {
        let leaves = place.map_or(0, |place| place + 1);
        // SAFETY: as above.
        unsafe { (&raw mut (*self.state).leaves).cast::<u32>().add(self.program).write_volatile(leaves) };
    }

    /// Ends it.
    #[inline(always)]
    pub fn end(&self) {
        // SAFETY: as above.
        let leaves =
            unsafe { (&raw const (*self.state).leaves).cast::<u32>().add(self.program).read_volatile() };
        if leaves != 0 {
            table::leave(leaves - 1);
        }
        if self.program == 1 {
            // SAFETY: as above.
            let taken = unsafe { (&raw const (*self.state).taken_before).read_volatile() };
            self.expects_nothing(taken);
        }
    }

    /// From here on the kernel passes over what comes, for a moment yet. In this order: nothing is taken any more of which nobody
    /// would be told. `taken`: what the first program is still taking.
    #[inline(always)]
    fn expects_nothing(&self, taken: u64) {
        // SAFETY: as above.
        unsafe {
            (&raw mut (*self.state).is_expected).write_volatile(0);
            (&raw mut (*self.state).taken).write_volatile(taken);
        }
    }
}
