//! Interrupts, held off for the time of a program where the kernel has functions for that.
//!
//! While a program runs on a CPU, the kernel does not run it again there (`__bpf_trace_run`). So an event in a softirq that comes
//! in between would be passed over. To hold interrupts off for a fraction of a microsecond costs less than a second program
//! that stands in: that one is begun and ended for each event.

use core::{arch::asm, mem::MaybeUninit};

use probe_ebpf::kfuncs::{IRQ_RESTORE, IRQ_SAVE};

/// Where the kernel keeps what it was like before: on the program's stack, as the verifier asks for.
pub type Flags = MaybeUninit<u64>;

/// From here on none comes, where the call is put in.
#[inline(always)]
pub fn hold(flags: &mut Flags) {
    call::<{ IRQ_SAVE.place }>(flags);
}

/// They may come again.
#[inline(always)]
pub fn release(flags: &mut Flags) {
    call::<{ IRQ_RESTORE.place }>(flags);
}

/// The place of a call (see [`probe_ebpf::kfuncs`]).
#[inline(always)]
fn call<const PLACE: i32>(flags: &mut Flags) {
    // SAFETY: loads a number, or calls a function that writes or reads the flags and takes nothing else. A call leaves
    // nothing in the registers up to the fifth.
    unsafe {
        asm!(
            "r0 = {place}",
            place = const PLACE,
            inlateout("r1") flags.as_mut_ptr() => _,
            lateout("r0") _,
            lateout("r2") _,
            lateout("r3") _,
            lateout("r4") _,
            lateout("r5") _,
        );
    }
}
