//! The offset table, filled in by the reader before the programs are loaded.

use probe_ebpf::{Field, UNKNOWN_U32};

/// Read-only once loaded: the verifier knows every entry as a constant.
#[unsafe(no_mangle)]
static FIELDS: [u32; Field::COUNT] = [UNKNOWN_U32; Field::COUNT];

/// The field's offset, or `None` on a kernel that lacks it.
#[inline(always)]
pub fn offset(field: Field) -> Option<usize> {
    // SAFETY: in bounds by the enum. Volatile, or the compiler would take the initial value for good.
    let offset = unsafe { FIELDS.as_ptr().add(field as usize).read_volatile() };
    (offset != UNKNOWN_U32).then_some(offset as usize)
}
