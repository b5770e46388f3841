//! Where reports are lost.

/// The stage at which reports are lost on their way from the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossStage {
    /// The ring buffer was full.
    Ring,
    /// The reader could not decode a record.
    Reader,
    /// The kernel did not run the program, because it was running on that CPU already.
    Kernel,
}

impl LossStage {
    /// The name in output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ring => "ring",
            Self::Reader => "reader",
            Self::Kernel => "kernel",
        }
    }
}
