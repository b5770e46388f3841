//! Everything that is written as JSON: the output that scripts rely on, and recordings.
//!
//! The only serde types of the tool live here, apart from the model, so that neither can change the
//! other by accident. [`Object`] is the output's: one object a line, additive from version to version.
//! [`Writer`] and [`Reader`] keep recordings, in a format of their own (`format`): what the kernel and
//! the scenarios said, from which everything else is made again. [`profile`] is what an audit keeps of a kernel.

#[cfg(test)]
pub(crate) mod arbitrary;
mod format;
mod named;
mod names;
mod output;
pub mod profile;
mod raw;
mod reader;
mod schema;
mod writer;

use std::time::Duration;

pub use output::{Lines, Object, StreamTime};
pub use reader::{Entry, Position, ReadError, Reader};
pub use schema::schema;
pub use writer::Writer;

/// Whole nanoseconds; 584 years is enough.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
