//! A run of a program on the BTF tracepoint: that it is under way, and what is to be done at its end.

use aya_ebpf::{macros::map, maps::PerCpuArray};

use crate::table;

/// On this CPU, of the program itself and of the one that stands in for it.
#[map]
static RUNS: PerCpuArray<State> = PerCpuArray::with_max_entries(2, 0);

#[derive(Clone, Copy)]
#[repr(C)]
struct State {
    is_under_way: u32,
    /// The number of the place that its socket leaves, and 1; 0 is none.
    leaves: u32,
}

/// One that is under way.
pub struct Run(*mut State);

impl Run {
    /// Begins one of the program itself.
    #[inline(always)]
    pub fn begin() -> Option<Self> {
        Self::at(0)
    }

    /// Begins one of the program that stands in.
    #[inline(always)]
    pub fn begin_nested() -> Option<Self> {
        Self::at(1)
    }

    #[inline(always)]
    fn at(index: u32) -> Option<Self> {
        let run = Self(RUNS.get_ptr_mut(index)?);
        run.set(State { is_under_way: 1, leaves: 0 });
        Some(run)
    }

    /// Whether one of the program itself is under way.
    #[inline(always)]
    pub fn is_under_way() -> bool {
        // SAFETY: this CPU's own.
        RUNS.get_ptr(0)
            .is_some_and(|state| unsafe { (&raw const (*state).is_under_way).read_volatile() } != 0)
    }

    /// At its end, the socket leaves this place.
    #[inline(always)]
    pub fn leaves(&self, place: Option<u32>) {
        let leaves = place.map_or(0, |place| place + 1);
        // SAFETY: this CPU's own.
        unsafe { (&raw mut (*self.0).leaves).write_volatile(leaves) };
    }

    /// Ends it.
    #[inline(always)]
    pub fn end(&self) {
        // SAFETY: this CPU's own.
        let leaves = unsafe { (&raw const (*self.0).leaves).read_volatile() };
        if leaves != 0 {
            table::leave(leaves - 1);
        }
        self.set(State { is_under_way: 0, leaves: 0 });
    }

    #[inline(always)]
    fn set(&self, state: State) {
        // SAFETY: this CPU's own. Volatile: it is read by what interrupts.
        unsafe { self.0.write_volatile(state) };
    }
}
