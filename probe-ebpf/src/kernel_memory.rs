//! Two ways to read kernel memory: by a plain load where the verifier knows the type, and by a helper where it does
//! not. And kernel addresses as numbers.

use core::{arch::asm, mem::MaybeUninit};

use aya_ebpf::helpers::generated::{bpf_get_current_task, bpf_get_current_task_btf, bpf_probe_read_kernel};
use probe_ebpf::Field;

use crate::offsets;

/// A way to read kernel memory.
pub trait Access {
    /// Whether a read is a plain load, and so cheaper than a helper that returns the same.
    const IS_CHEAP: bool;

    /// The current `struct task_struct`, as a pointer that this way can read.
    fn current_task() -> *const u8;

    /// The same task as a pointer that helpers accept.
    fn typed_task(current: *const u8) -> *const u8;

    /// Reads a `T` at `base + offset`, or `None` where the memory is not mapped.
    ///
    /// # Safety
    /// `base` is an object of the type that `offset` was looked up in.
    unsafe fn at<T: Copy>(base: *const u8, offset: usize) -> Option<T>;

    /// Reads a field of the object at `base`, or `None` where this kernel lacks the field.
    ///
    /// # Safety
    /// `base` is an object of the type that `field` belongs to.
    #[inline(always)]
    unsafe fn field<T: Copy>(base: *const u8, field: Field) -> Option<T> {
        let offset = offsets::offset(field)?;
        // SAFETY: the caller's promise.
        unsafe { Self::at(base, offset) }
    }

    /// Reads 16 bytes as four words: a plain load may not be wider than the array's elements.
    ///
    /// # Safety
    /// As for [`at`](Self::at).
    #[inline(always)]
    unsafe fn address_v6(base: *const u8, offset: usize) -> Option<[u32; 4]> {
        // SAFETY: the caller's promise, for each word.
        unsafe {
            Some([
                Self::at(base, offset)?,
                Self::at(base, offset + 4)?,
                Self::at(base, offset + 8)?,
                Self::at(base, offset + 12)?,
            ])
        }
    }
}

/// Reads a bit field of the object at `base`, without shifting it; `None` where this kernel lacks the field. `byte` is its
/// byte and `mask` the mask of its bits.
///
/// # Safety
/// `base` is an object of the type that the fields belong to.
#[inline(always)]
pub unsafe fn bits<A: Access>(base: *const u8, byte: Field, mask: Field) -> Option<u8> {
    let mask = offsets::offset(mask)?;
    // SAFETY: the caller's promise.
    Some(unsafe { A::field::<u8>(base, byte)? } & mask as u8)
}

/// Plain loads through a pointer whose BTF type the verifier tracks. A load that faults returns zero.
pub struct Direct;

impl Access for Direct {
    const IS_CHEAP: bool = true;

    #[inline(always)]
    fn current_task() -> *const u8 {
        // SAFETY: the helper takes no argument. It needs Linux 5.11, and the program on the BTF tracepoint 5.12.
        unsafe { bpf_get_current_task_btf().cast() }
    }

    #[inline(always)]
    fn typed_task(current: *const u8) -> *const u8 {
        current
    }

    #[inline(always)]
    unsafe fn at<T: Copy>(base: *const u8, offset: usize) -> Option<T> {
        // SAFETY: the verifier checks the access against the pointer's type. Volatile, so that the compiler does not
        // merge two loads into one that crosses fields.
        Some(unsafe { base.add(offset).cast::<T>().read_volatile() })
    }
}

/// Reads by `bpf_probe_read_kernel`, for pointers whose type the verifier does not know.
pub struct Probed;

impl Access for Probed {
    const IS_CHEAP: bool = false;

    #[inline(always)]
    fn current_task() -> *const u8 {
        // SAFETY: the helper takes no argument.
        unsafe { bpf_get_current_task() as *const u8 }
    }

    #[inline(always)]
    fn typed_task(_: *const u8) -> *const u8 {
        Direct::current_task()
    }

    #[inline(always)]
    unsafe fn at<T: Copy>(base: *const u8, offset: usize) -> Option<T> {
        let mut value = MaybeUninit::<T>::uninit();
        // SAFETY: the helper fills the value or returns an error, whatever the address is.
        let status = unsafe {
            bpf_probe_read_kernel(
                value.as_mut_ptr().cast(),
                size_of::<T>() as u32,
                base.wrapping_add(offset).cast(),
            )
        };
        // SAFETY: the helper filled it, since it returned 0.
        (status == 0).then(|| unsafe { value.assume_init() })
    }
}

/// An address as a number. The verifier treats a pointer that was negated as a scalar.
#[inline(always)]
pub fn number(address: *const u8) -> u64 {
    let mut number = address as u64;
    // SAFETY: negates a register twice.
    unsafe { asm!("{0} = -{0}", "{0} = -{0}", inout(reg) number) };
    number
}
