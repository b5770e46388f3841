//! Atomic operations on words of maps, in inline assembly, since Rust has none for this target.

use core::arch::asm;

/// Adds to the word.
///
/// # Safety
/// `word` is an aligned word of a map.
#[inline(always)]
pub unsafe fn add(word: *mut u64, value: u64) {
    // SAFETY: the caller's promise.
    unsafe { asm!("lock *(u64 *)({word} + 0) += {value}", word = in(reg) word, value = in(reg) value) };
}

/// Adds to the word, and returns its previous value. Needs Linux 5.12.
///
/// # Safety
/// `word` is an aligned word of a map.
#[inline(always)]
pub unsafe fn fetch_add(word: *mut u64, mut value: u64) -> u64 {
    // SAFETY: the caller's promise.
    unsafe {
        asm!("{value} = atomic_fetch_add((u64 *)({word} + 0), {value})", word = in(reg) word, value = inout(reg) value);
    }
    value
}

/// Stores to the word after all earlier stores. Needs Linux 5.12.
///
/// # Safety
/// `word` is an aligned word of a map.
#[inline(always)]
pub unsafe fn exchange(word: *mut u64, value: u64) {
    // SAFETY: the caller's promise.
    unsafe {
        asm!("{value} = xchg_64({word} + 0, {value})", word = in(reg) word, value = inout(reg) value => _);
    }
}
