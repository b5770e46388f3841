//! Everything that is serialized: the JSON output, recordings and profiles.
//!
//! All serde types of the tool are here, apart from the model, so that the model can change without the output changing by
//! accident. [`Object`] is a line of the JSON output, to which versions only add. [`Writer`] and [`Reader`] are for
//! recordings: the ring records and the events that a replay cannot compute, in frames under checksums (`frame`), with
//! JSON in them where speed does not matter (`payload`). [`profile`] is what an audit saves of a kernel.

#[cfg(test)]
pub(crate) mod arbitrary;
mod frame;
mod named;
mod output;
mod payload;
pub mod peek;
pub mod profile;
mod reader;
mod ring_record;
mod schema;
mod writer;

use std::time::Duration;

pub use output::{Lines, Object, StreamTime};
pub use reader::{Entry, ReadError, Reader, Skipped};
pub use schema::schema;
pub use writer::Writer;

/// Whole nanoseconds, up to 584 years.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
