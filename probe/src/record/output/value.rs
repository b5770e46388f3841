//! The single values of the output that have a form of their own, each with its schema.

use std::{borrow::Cow, num::NonZeroU32};

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
        let nanoseconds = self.0?.unix_ns(at);
        match u64::try_from(nanoseconds) {
            // Before the year 2554: most times there will ever be.
            Ok(nanoseconds) => Some(Time::Usual(nanoseconds)),
            Err(_) => Timestamp::from_nanosecond(nanoseconds).ok().map(Time::Unusual),
        }
    }
}

/// A time of day as RFC 3339 has it: UTC with nanoseconds.
#[derive(Clone, Copy, Debug)]
pub enum Time {
    /// In nanoseconds since 1970. A line has up to three of these, and they are most of what is to be computed for it.
    Usual(u64),
    Unusual(Timestamp),
}

/// As long as [`Time::Usual`] is.
type Text = [u8; "1970-01-01T00:00:00.000000000Z".len()];

impl Time {
    /// Shows the text to `then`.
    pub fn with_text<T>(self, then: impl FnOnce(&[u8]) -> T) -> T {
        match self {
            Self::Usual(nanoseconds) => then(&rfc_3339(nanoseconds)),
            Self::Unusual(time) => then(format!("{time:.9}").as_bytes()),
        }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.with_text(|text| serializer.serialize_str(str::from_utf8(text).unwrap_or_default()))
    }
}

/// The calendar, by arithmetic alone.
fn rfc_3339(nanoseconds: u64) -> Text {
    let (seconds, nanoseconds) = (nanoseconds / 1_000_000_000, (nanoseconds % 1_000_000_000) as u32);
    let (days, second) = ((seconds / 86_400) as u32, (seconds % 86_400) as u32);
    // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days: the year begins in March here, so
    // that the day that some years lack comes last, and 400 years are an era.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = 400 * era + year + u32::from(month <= 2);

    let mut text = *b"0000-00-00T00:00:00.000000000Z";
    let mut pair = |begin: usize, number: u32| {
        text[begin..begin + 2].copy_from_slice(&PAIRS[(number % 100) as usize]);
    };
    pair(0, year / 100);
    pair(2, year);
    pair(5, month);
    pair(8, day);
    pair(11, second / 3600);
    pair(14, second / 60 % 60);
    pair(17, second % 60);
    pair(20, nanoseconds / 10_000_000);
    pair(22, nanoseconds / 100_000);
    pair(24, nanoseconds / 1_000);
    pair(26, nanoseconds / 10);
    text[28] = b'0' + (nanoseconds % 10) as u8;
    text
}

/// The numbers below 100 in two digits.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

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
    use proptest::prelude::*;

    use super::*;

    fn text(time: Time) -> String {
        let value = serde_json::to_value(time).expect("JSON");
        value.as_str().expect("text").to_owned()
    }

    fn check(nanoseconds: u64) {
        let time = Timestamp::from_nanosecond(nanoseconds.into()).expect("a time");
        assert_eq!(text(Time::Usual(nanoseconds)), format!("{time:.9}"));
    }

    proptest! {
        #[test]
        fn the_calendar_is_jiffs(nanoseconds in any::<u64>()) {
            check(nanoseconds);
        }
    }

    #[test]
    fn the_days_that_only_some_years_have() {
        const DAY: u64 = 86_400_000_000_000;
        // Around the ends of February of 1972, 2000, 2024, 2100 and 2400, and the ends of what can be.
        for day in [789, 11_016, 19_782, 47_540, 157_112].into_iter().flat_map(|day| day - 2..day + 3) {
            check(day * DAY);
            check(day * DAY - 1);
        }
        check(0);
        check(u64::MAX);
    }

    #[test]
    fn times_are_utc_with_all_nine_digits() {
        let time = |offset, at| {
            let calendar = Calendar(Some(Clock { realtime_offset_ns: offset }));
            calendar.time(Mono(at)).map(text)
        };
        let moment = time(1_700_000_000_000_000_000, 120);
        assert_eq!(moment.as_deref(), Some("2023-11-14T22:13:20.000000120Z"));
        assert_eq!(time(i128::MAX / 2, 1), None);
        assert!(Calendar(None).time(Mono(1)).is_none());
    }
}
