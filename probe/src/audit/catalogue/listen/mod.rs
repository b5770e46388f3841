//! Listening and accepting.

mod half_open;
mod listener;
mod options;
mod queue;

use crate::audit::Behaviour;

/// The parts, in the order of the report.
pub const PARTS: &[&[Behaviour]] =
    &[half_open::BEHAVIOURS, queue::BEHAVIOURS, options::BEHAVIOURS, listener::BEHAVIOURS];
