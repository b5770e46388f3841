//! Which function an address on the kernel's stack belongs to.

/// How many ranges the table has; a power of two.
pub const STACK_RANGES: usize = 256;

/// The code of a function at which the search ends.
pub const STACK_BOUNDARY: u8 = u8::MAX;

/// The kernel's code in ranges, in the order of addresses, which the reader fills in from /proc/kallsyms. A range ends where
/// the next one starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct StackTable {
    /// The first address of each range: 0 for the first one, `u64::MAX` for those that are not used.
    pub starts: [u64; STACK_RANGES],
    /// What is in each range: a [`StackFunction`](crate::StackFunction), [`STACK_BOUNDARY`], or 0 for other code.
    pub codes: [u8; STACK_RANGES],
}

impl StackTable {
    /// A table without functions.
    pub const EMPTY: Self = {
        let mut starts = [u64::MAX; STACK_RANGES];
        starts[0] = 0;
        Self { starts, codes: [0; STACK_RANGES] }
    };
}
