//! The audit: a catalogue of what TCP does, brought about and held against the kernel's own report.
//!
//! - [`behaviour`]: an entry as data: steps, expected paths and facts, reference, known variants
//! - [`need`]: what an entry asks of the host
//! - [`bench`](mod@bench): where the steps play: namespaces, a wire, labelled sockets
//! - [`witness`]: what the kernel has reported so far, for steps that wait for it
//! - [`judge`](fn@judge): what was seen, held against what must be
//! - [`catalogue`]: the entries, a file for each part of a group
//!
//! A new behaviour is one entry in one place, in a file of the catalogue.

pub mod behaviour;
pub mod bench;
pub mod catalogue;
mod judge;
pub mod need;
pub mod witness;

use std::sync::Arc;

pub use behaviour::{Behaviour, Variant};
pub use bench::{Bench, Played};
pub use judge::judge;
pub use need::Need;
pub use witness::{Gate, Witness};

/// Plays a behaviour once, if there is what it needs: blocks until its steps have ended, so give it a thread.
#[must_use]
pub fn play(behaviour: &Behaviour, witness: Arc<Witness>) -> Played {
    let mut bench = Bench::new(witness, behaviour.needs);
    let met = behaviour.needs.iter().try_for_each(|need| need.check());
    let result = met.and_then(|()| (behaviour.steps)(&mut bench));
    bench.end(result)
}
