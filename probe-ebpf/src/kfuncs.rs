//! Functions of the kernel's own that the kernel side calls where there are any (kfuncs).
//!
//! Their numbers are each kernel's own, and nothing links such a call. So in its place stands an instruction that does
//! nothing but load a number which occurs nowhere else; whoever loads the programs puts the call there.

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kfunc {
    /// What the kernel calls it.
    pub name: &'static str,
    /// The number that is loaded where it is to be called.
    pub place: i32,
}

/// Holds interrupts off, and remembers whether they were: Linux 6.14.
pub const IRQ_SAVE: Kfunc = Kfunc { name: "bpf_local_irq_save", place: 0x1d1e_0001 };

/// Undoes that.
pub const IRQ_RESTORE: Kfunc = Kfunc { name: "bpf_local_irq_restore", place: 0x1d1e_0002 };
