//! How connections come to be, or do not.

mod ordinary;

use crate::audit::Behaviour;

/// The parts, in the order of the report.
pub const PARTS: &[&[Behaviour]] = &[ordinary::BEHAVIOURS];
