//! What the reader wants, in constants that it sets before the programs are loaded: the verifier removes the code of
//! everything else.

use core::ptr;

/// Connections in one record each, and no transitions.
#[unsafe(no_mangle)]
static SUMMARIES: u8 = 0;

/// Whether `reset_received` is attached, so that a socket without a mark has had no RST.
#[unsafe(no_mangle)]
static WATCHES_RESETS: u8 = 0;

/// What the filter asks for: bits of [`Asked`](probe_ebpf::Asked).
#[unsafe(no_mangle)]
static ASKED: u32 = 0;

/// Whether connections are told in one record.
#[inline(always)]
pub fn summaries() -> bool {
    // SAFETY: a valid static. Volatile, or the compiler would take the initial value for good.
    unsafe { ptr::read_volatile(&raw const SUMMARIES) != 0 }
}

/// Whether every RST that comes is marked.
#[inline(always)]
pub fn watches_resets() -> bool {
    // SAFETY: as above.
    unsafe { ptr::read_volatile(&raw const WATCHES_RESETS) != 0 }
}

/// What the filter asks for.
#[inline(always)]
pub fn asked() -> u32 {
    // SAFETY: as above.
    unsafe { ptr::read_volatile(&raw const ASKED) }
}
