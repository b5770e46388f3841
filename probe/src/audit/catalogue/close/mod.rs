//! Closing a connection.

mod challenge;
mod destroyed;
mod half_close;
mod ordinary;
mod orphan;
mod reset;
mod simultaneous;
mod time_wait;
mod timers;

use crate::audit::Behaviour;

/// The parts, in the order of the report.
pub const PARTS: &[&[Behaviour]] = &[
    ordinary::BEHAVIOURS,
    simultaneous::BEHAVIOURS,
    half_close::BEHAVIOURS,
    orphan::BEHAVIOURS,
    reset::BEHAVIOURS,
    timers::BEHAVIOURS,
    challenge::BEHAVIOURS,
    time_wait::BEHAVIOURS,
    destroyed::BEHAVIOURS,
];
