//! What a recording looks like from outside.
//!
//! A first line of JSON names the format and its version. After it come entries, in the order in which things
//! happened:
//!
//! - a line of JSON for each event that the ring did not bring: the `ready` event with the facts of the host first,
//!   what the host was asked, what a scenario said, the passing of time;
//! - the ring's records as they came out of it, many in a frame: the byte [`FRAME`], then, in little-endian order, the
//!   payload's length and its CRC-32 (four bytes each), and the payload, in which each record has its length before it
//!   (two bytes);
//! - a last line that says that the recording is whole, and how many entries there were: lines, and records.
//!
//! Derived events (transitions, connections, findings) are not kept: a replay makes them again, as the version that
//! replays would have. Fields of a line that are unknown are left out, so that one that is new can be missing from
//! recordings that are older.
//!
//! Version 1 had no frames: there, reports were lines too. It is still read.

use serde::{Deserialize, Serialize};

/// The format's name: what tells a recording from any other file.
pub const FORMAT: &str = "probe-recording";

/// The version that this code writes.
pub const VERSION: u32 = 2;

/// The last version of lines alone.
pub const LINES: u32 = 1;

/// What a frame begins with, and no line does: ASCII's record separator.
pub const FRAME: u8 = 0x1e;

/// The bytes of a frame before its payload.
pub const FRAME_HEADER: usize = 1 + 4 + 4;

/// The bytes before each record.
pub const RECORD_HEADER: usize = 2;

/// The longest payload that is read.
pub const LONGEST_FRAME: usize = 1 << 20;

/// The first line.
#[derive(Debug, Deserialize, Serialize)]
pub struct Header {
    /// [`FORMAT`]
    pub format: String,
    /// [`VERSION`]
    pub version: u32,
    /// Of which layout the records are; version 1 has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<Layout>,
}

/// How the records are to be read.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Layout {
    /// [`probe_ebpf::LAYOUT`]
    pub layout: u32,
    /// The byte order of the host: `little` or `big`.
    pub order: String,
}

impl Layout {
    /// That of the records of this version, on this machine.
    pub fn current() -> Self {
        let order = if cfg!(target_endian = "little") { "little" } else { "big" };
        Self { layout: probe_ebpf::LAYOUT, order: order.to_owned() }
    }
}

impl Header {
    /// What the version of lines alone wrote.
    pub fn of_lines() -> Self {
        Self { format: FORMAT.to_owned(), version: LINES, records: None }
    }

    /// What this version writes.
    pub fn current() -> Self {
        Self { format: FORMAT.to_owned(), version: VERSION, records: Some(Layout::current()) }
    }
}
