//! What the programs can read by the kernel's type information, without loading them.

use super::{btf::Btf, btf::BtfError, fields::Fields};

/// What the kernel's type information allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TypeCheck {
    /// Whether it is sufficient for the BTF tracepoint.
    pub suffices: bool,
    /// What the reports would lack, as phrases for the user.
    pub missing: Vec<&'static str>,
}

impl TypeCheck {
    /// Checks the running kernel.
    ///
    /// # Errors
    /// [`BtfError`]: the kernel has no type information, or it is corrupt.
    pub(crate) fn of_kernel() -> Result<Self, BtfError> {
        let mut fields = Fields::none();
        fields.add_types(&Btf::of_kernel()?);
        Ok(Self { suffices: fields.suffice(), missing: fields.missing() })
    }
}
