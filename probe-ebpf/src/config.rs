//! What the reader configures, in constants that it sets before it loads the programs. The verifier removes the code
//! that they disable.

use core::ptr;

use probe_ebpf::FilterFlags;

/// Whether to report each connection in one record instead of its transitions.
#[unsafe(no_mangle)]
static SUMMARIES: u8 = 0;

/// Whether `reset_received` is attached, so that a socket without a mark has received no RST.
#[unsafe(no_mangle)]
static WATCHES_RESETS: u8 = 0;

/// Whether the kernel's symbols are known, by which functions on the stack are recognised.
#[unsafe(no_mangle)]
static SEARCHES_STACK: u8 = 0;

/// The filter criteria that are set: bits of [`FilterFlags`].
#[unsafe(no_mangle)]
static FILTER_FLAGS: u32 = 0;

/// Whether each connection is reported in one record.
#[inline(always)]
pub fn summaries() -> bool {
    // SAFETY: a valid static. Volatile, or the compiler would use the initial value as a constant.
    unsafe { ptr::read_volatile(&raw const SUMMARIES) != 0 }
}

/// Whether every received RST marks its socket.
#[inline(always)]
pub fn watches_resets() -> bool {
    // SAFETY: as above.
    unsafe { ptr::read_volatile(&raw const WATCHES_RESETS) != 0 }
}

/// Whether the stack can be searched for functions.
#[inline(always)]
pub fn searches_stack() -> bool {
    // SAFETY: as above.
    unsafe { ptr::read_volatile(&raw const SEARCHES_STACK) != 0 }
}

/// Whether the filter has one of these criteria: bits of [`FilterFlags`].
#[inline(always)]
pub fn filters_by(criteria: u32) -> bool {
    filter_flags() & criteria != 0
}

/// Whether the filter has a criterion that the owner decides.
#[inline(always)]
pub fn filters_by_owner() -> bool {
    filters_by(FilterFlags::OWNERS)
}

/// Whether there is a filter.
#[inline(always)]
pub fn has_filter() -> bool {
    filter_flags() != 0
}

/// Whether the programs keep the state of every socket from transition to transition: for `--connections`, or
/// for a filter.
#[inline(always)]
pub fn tracks_sockets() -> bool {
    summaries() || has_filter()
}

#[inline(always)]
fn filter_flags() -> u32 {
    // SAFETY: as above.
    unsafe { ptr::read_volatile(&raw const FILTER_FLAGS) }
}
