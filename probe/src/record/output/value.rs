//! The single values of the output that have a form of their own, each with its schema.

use std::{borrow::Cow, fmt, num::NonZeroU32};

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use crate::model::{Clock, Mono, SocketId};

/// What `v` says in every object.
const VERSION: u8 = 1;

/// The version of what the names mean.
#[derive(Clone, Copy, Debug)]
pub struct Version;

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(VERSION)
    }
}

impl JsonSchema for Version {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "version".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "integer",
            "const": VERSION,
            "description": "The version of what the names mean.",
        })
    }
}

/// A 64-bit identity as decimal text, since many readers of JSON keep 53 bits.
#[derive(Clone, Copy, Debug)]
pub struct Decimal(pub u64);

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl JsonSchema for Decimal {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "decimal".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^(0|[1-9][0-9]{0,19})$" })
    }
}

/// Generation 0 is one that was not seen.
pub fn generation(socket: SocketId) -> Option<NonZeroU32> {
    NonZeroU32::new(socket.generation)
}

/// From the monotonic clock to the calendar.
#[derive(Clone, Copy, Debug)]
pub struct Calendar(pub Option<Clock>);

impl Calendar {
    /// The time of day; `None` without a clock, or for a moment that has no date.
    pub fn time(self, at: Mono) -> Option<Time> {
        Timestamp::from_nanosecond(self.0?.unix_ns(at)).ok().map(Time)
    }
}

/// A time of day as RFC 3339 has it: UTC with nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Time(Timestamp);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.9}", self.0)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Time {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_with_all_nine_digits() {
        let time = |offset, at| {
            let calendar = Calendar(Some(Clock { realtime_offset_ns: offset }));
            calendar.time(Mono(at)).map(|time| time.to_string())
        };
        let moment = time(1_700_000_000_000_000_000, 120);
        assert_eq!(moment.as_deref(), Some("2023-11-14T22:13:20.000000120Z"));
        assert_eq!(time(i128::MAX / 2, 1), None);
        assert!(Calendar(None).time(Mono(1)).is_none());
    }
}
