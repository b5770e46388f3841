//! Opening a connection.

mod fast_open;
mod nonblocking;
mod ordinary;
mod refusal;
mod self_connect;
mod simultaneous;
mod syn_recv;

use crate::audit::Behaviour;

/// The parts, in the order of the report.
pub const PARTS: &[&[Behaviour]] = &[
    ordinary::BEHAVIOURS,
    simultaneous::BEHAVIOURS,
    syn_recv::BEHAVIOURS,
    self_connect::BEHAVIOURS,
    fast_open::BEHAVIOURS,
    refusal::BEHAVIOURS,
    nonblocking::BEHAVIOURS,
];
