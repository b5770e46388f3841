//! Times of day: from the kernel's monotonic clock to RFC 3339, and its schema.

use std::borrow::Cow;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use crate::model::{Clock, Mono};

const NS_PER_S: u64 = 1_000_000_000;

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
    /// In nanoseconds since 1970.
    Usual(u64),
    Unusual(Timestamp),
}

impl Time {
    /// Shows the text to `then`, in quotes.
    pub fn with_quoted<T>(self, seconds: &mut Seconds, then: impl FnOnce(&[u8]) -> T) -> T {
        match self {
            Self::Usual(nanoseconds) => then(seconds.quoted(nanoseconds)),
            Self::Unusual(time) => then(format!("\"{time:.9}\"").as_bytes()),
        }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.with_quoted(&mut Seconds::default(), |text| {
            let text = str::from_utf8(text).unwrap_or_default();
            serializer.serialize_str(text.trim_matches('"'))
        })
    }
}

/// As long as [`Time::Usual`] is, in quotes.
type Quoted = [u8; EPOCH.len()];

const EPOCH: &[u8; 32] = br#""1970-01-01T00:00:00.000000000Z""#;

/// The last few seconds that there was a time in, as text. A line has up to three times, to tell the day and the hour of
/// each would be most of what is to be computed for it, and most are of the second that the one before was of.
#[derive(Clone, Copy, Debug)]
pub struct Seconds([(u64, Quoted); 4]);

impl Default for Seconds {
    fn default() -> Self {
        // True in the first place, and what is sought in another is never 0.
        Self([(0, *EPOCH); 4])
    }
}

impl Seconds {
    /// The time so many nanoseconds after 1970, in quotes.
    fn quoted(&mut self, nanoseconds: u64) -> &Quoted {
        let (second, fraction) = (nanoseconds / NS_PER_S, (nanoseconds % NS_PER_S) as u32);
        let (known, text) = &mut self.0[second as usize % 4];
        if *known != second {
            (*known, *text) = (second, begin_of(second));
        }
        let mut pair = |begin: usize, number: u32| {
            text[begin..begin + 2].copy_from_slice(&PAIRS[(number % 100) as usize]);
        };
        pair(21, fraction / 10_000_000);
        pair(23, fraction / 100_000);
        pair(25, fraction / 1_000);
        pair(27, fraction / 10);
        text[29] = b'0' + (fraction % 10) as u8;
        text
    }
}

/// The first moment of a second since 1970: the calendar, by arithmetic alone.
fn begin_of(second: u64) -> Quoted {
    let (days, second) = ((second / 86_400) as u32, (second % 86_400) as u32);
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

    let mut text = *EPOCH;
    let mut pair = |begin: usize, number: u32| {
        text[begin..begin + 2].copy_from_slice(&PAIRS[(number % 100) as usize]);
    };
    pair(1, year / 100);
    pair(3, year);
    pair(6, month);
    pair(9, day);
    pair(12, second / 3600);
    pair(15, second / 60 % 60);
    pair(18, second % 60);
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
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn text(time: Time) -> String {
        let value = serde_json::to_value(time).expect("JSON");
        value.as_str().expect("text").to_owned()
    }

    fn jiffs(nanoseconds: u64) -> String {
        let time = Timestamp::from_nanosecond(nanoseconds.into()).expect("a time");
        format!("{time:.9}")
    }

    fn check(nanoseconds: u64) {
        assert_eq!(text(Time::Usual(nanoseconds)), jiffs(nanoseconds));
    }

    proptest! {
        #[test]
        fn the_calendar_is_jiffs(nanoseconds in any::<u64>()) {
            check(nanoseconds);
        }

        #[test]
        fn what_is_kept_of_other_seconds_makes_no_difference(times in vec(0..20 * NS_PER_S, 1..40)) {
            let mut seconds = Seconds::default();
            for nanoseconds in times {
                let text = Time::Usual(nanoseconds).with_quoted(&mut seconds, <[u8]>::to_vec);
                prop_assert_eq!(text, format!("\"{}\"", jiffs(nanoseconds)).into_bytes());
            }
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
