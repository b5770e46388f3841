//! The audit: a catalogue of TCP behaviours, each triggered on this kernel and compared with the kernel's reports.
//!
//! - [`behaviour`]: an entry as data: steps, expected paths and facts, reference, known variants
//! - [`requirement`]: what a behaviour requires of the host
//! - [`harness`](mod@harness): what the steps use: network namespaces, a wire, labelled sockets
//! - [`observer`]: what the kernel has reported so far, for steps that wait for it
//! - [`run`](fn@run): runs a behaviour once
//! - [`evaluate`](fn@evaluate): compares what was observed with what is expected
//! - [`catalogue`]: the entries, a file for each part of a group
//!
//! A new behaviour is one entry in a file of the catalogue.

pub mod behaviour;
pub mod catalogue;
mod evaluate;
pub mod harness;
pub mod observer;
pub mod requirement;

use std::sync::Arc;

pub use behaviour::{Behaviour, Variant};
pub use evaluate::evaluate;
pub use harness::{Harness, RunResult};
pub use observer::{NetnsFilter, Observed, Observer};
pub use requirement::Requirement;

/// Runs a behaviour once, if the host meets its requirements. Blocks until its steps have returned, so call it on a
/// thread of its own.
#[must_use]
pub fn run(behaviour: &Behaviour, observer: Arc<Observer>) -> RunResult {
    let mut harness = Harness::new(observer, behaviour.needs);
    let met = behaviour.needs.iter().try_for_each(|requirement| requirement.check());
    let result = met.and_then(|()| (behaviour.steps)(&mut harness));
    harness.finish(result)
}
