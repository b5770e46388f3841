//! What a recording looks like from outside.
//!
//! JSON Lines: a header that names the format and its version; a line for each event that came from
//! the kernel, a scenario or the passing of time, the `ready` event with the facts of the host first; and
//! a last line that says that the recording is whole, and how many lines there were. Derived events
//! (transitions, connections, findings) are not kept: a replay makes them again from the reports, as the
//! version that replays would have. Fields that are unknown are left out, so that one that is new can be
//! missing from recordings that are older.

use serde::{Deserialize, Serialize};

/// The format's name: what tells a recording from any other file.
pub const FORMAT: &str = "probe-recording";

/// The version that this code writes, and the only one that it reads.
pub const VERSION: u32 = 1;

/// The first line.
#[derive(Debug, Deserialize, Serialize)]
pub struct Header {
    /// [`FORMAT`]
    pub format: String,
    /// [`VERSION`]
    pub version: u32,
}

impl Header {
    /// What this version writes.
    pub fn current() -> Self {
        Self { format: FORMAT.to_owned(), version: VERSION }
    }
}
