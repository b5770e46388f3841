//! The audit: a catalogue of what TCP does, brought about and held against the kernel's own report.
//!
//! - [`behaviour`]: an entry as data: steps, expected paths and facts, reference, known variants
//! - [`need`]: what an entry asks of the host
//! - [`harness`](mod@harness): where the steps play: namespaces, a wire, labelled sockets
//! - [`observer`]: what the kernel has reported so far, for steps that wait for it
//! - [`judge`](fn@judge): what was seen, held against what must be
//! - [`catalogue`]: the entries, a file for each part of a group
//!
//! A new behaviour is one entry in one place, in a file of the catalogue.

pub mod behaviour;
pub mod catalogue;
pub mod harness;
mod judge;
pub mod need;
pub mod observer;

use std::sync::Arc;

pub use behaviour::{Behaviour, Variant};
pub use harness::{Harness, RunResult};
pub use judge::judge;
pub use need::Need;
pub use observer::{NetnsFilter, Observed, Observer};

/// Plays a behaviour once, if there is what it needs: blocks until its steps have ended, so give it a thread.
#[must_use]
pub fn play(behaviour: &Behaviour, observer: Arc<Observer>) -> RunResult {
    let mut harness = Harness::new(observer, behaviour.needs);
    let met = behaviour.needs.iter().try_for_each(|need| need.check());
    let result = met.and_then(|()| (behaviour.steps)(&mut harness));
    harness.end(result)
}
