//! What the kernel's type information is good for, without loading anything.

use super::{btf::Btf, btf::BtfError, fields::Fields};

/// What the programs could read with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Types {
    /// Whether it is enough for the BTF tracepoint.
    pub suffice: bool,
    /// What the reports would lack, in plain words.
    pub lacks: Vec<&'static str>,
}

impl Types {
    /// Reads the running kernel's.
    pub(crate) fn of_kernel() -> Result<Self, BtfError> {
        let mut fields = Fields::none();
        fields.add_types(&Btf::of_kernel()?);
        Ok(Self { suffice: fields.suffice(), lacks: fields.lacks() })
    }
}
