//! Binding, sharing, choosing and exhausting ports.

mod binding;
mod choice;
mod sharing;
mod time_wait;

use crate::audit::Behaviour;

/// The parts, in the order of the report.
pub const PARTS: &[&[Behaviour]] =
    &[binding::BEHAVIOURS, sharing::BEHAVIOURS, time_wait::BEHAVIOURS, choice::BEHAVIOURS];
