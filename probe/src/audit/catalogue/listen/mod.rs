//! Listening and accepting.

use crate::audit::Behaviour;

/// The parts, in the order of the report.
pub const PARTS: &[&[Behaviour]] = &[];
