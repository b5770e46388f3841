//! The offset table, which the reader fills in before it loads the programs.

use probe_ebpf::{Field, UNKNOWN_U32};

/// Read-only once loaded: the verifier knows every entry as a constant.
#[unsafe(no_mangle)]
static FIELD_OFFSETS: [u32; Field::COUNT] = [UNKNOWN_U32; Field::COUNT];

/// The field's offset in bytes, or `None` on a kernel that lacks the field.
#[inline(always)]
pub fn offset(field: Field) -> Option<usize> {
    // SAFETY: in bounds by the enum. Volatile, or the compiler would use the initial value as a constant.
    let offset = unsafe { FIELD_OFFSETS.as_ptr().add(field as usize).read_volatile() };
    (offset != UNKNOWN_U32).then_some(offset as usize)
}
