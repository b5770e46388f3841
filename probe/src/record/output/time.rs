//! Times of day: from CLOCK_MONOTONIC to RFC 3339, with the schema of the latter.

use std::{
    borrow::Cow,
    time::{SystemTime, UNIX_EPOCH},
};

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use crate::model::{Clock, Connection, Mono, Output};

const NS_PER_S: u64 = 1_000_000_000;

/// The clock of a stream: how CLOCK_MONOTONIC maps to UTC, and the time of the latest event.
///
/// An object without a time of its own has that of the latest event before it. Both come from the stream, so that the
/// replay of a recording gives the same bytes as the live run.
#[derive(Clone, Copy, Debug, Default)]
pub struct StreamTime {
    /// Known from [`Output::Ready`] on. No object has a time before that.
    clock: Option<Clock>,
    ready_at: Mono,
    latest: Mono,
}

impl StreamTime {
    /// A stream with this clock, before its first event.
    #[cfg(test)]
    pub fn with_clock(clock: Option<Clock>) -> Self {
        Self { clock, ..Self::default() }
    }

    /// Takes note of the next event of the stream.
    pub fn observe(&mut self, event: &Output) {
        let at = match event {
            Output::Ready { host, .. } => {
                (self.clock, self.ready_at) = (Some(host.clock), host.ready_at);
                Some(host.ready_at)
            }
            Output::Transition(transition) => Some(transition.at),
            Output::Connection(connection) => last_of(connection),
            Output::Reset(reset) => Some(reset.at),
            Output::TimeWaitEntry(entry) => Some(entry.at),
            Output::Finding(finding) => Some(finding.at),
            Output::End(end) => Some(self.ready_at.after(end.duration)),
            _ => None,
        };
        if let Some(at) = at {
            self.advance(at);
        }
    }

    /// Takes note of the time of an event.
    pub fn advance(&mut self, at: Mono) {
        self.latest = self.latest.max(at);
    }

    /// The time of day at `at`; `None` before the clock is known, or if the date is out of range.
    pub fn of(self, at: Mono) -> Option<Time> {
        Time::of_unix(self.clock?.unix_ns(at))
    }

    /// The time of the latest event.
    pub fn latest(self) -> Option<Time> {
        self.of(self.latest)
    }

    /// The time of the last that is known of a connection.
    pub fn of_connection(self, connection: &Connection) -> Option<Time> {
        self.of(last_of(connection).unwrap_or(self.latest))
    }
}

fn last_of(connection: &Connection) -> Option<Mono> {
    let closed = connection.close.as_ref().map(|close| close.at);
    closed.or(connection.established).or(connection.opened)
}

/// A time of day: RFC 3339, UTC, nanoseconds.
#[derive(Clone, Copy, Debug)]
pub enum Time {
    /// Nanoseconds since 1970, up to the year 2554: the fast path.
    Unix(u64),
    /// Any other date.
    Other(Timestamp),
}

impl Time {
    /// The time `nanoseconds` after 1970; `None` if the date is out of range.
    fn of_unix(nanoseconds: i128) -> Option<Self> {
        match u64::try_from(nanoseconds) {
            Ok(nanoseconds) => Some(Self::Unix(nanoseconds)),
            Err(_) => Timestamp::from_nanosecond(nanoseconds).ok().map(Self::Other),
        }
    }

    /// The same for a reading of the system clock.
    pub fn of_system(time: SystemTime) -> Option<Self> {
        let since_1970 = time.duration_since(UNIX_EPOCH).ok()?;
        Self::of_unix(since_1970.as_nanos().try_into().ok()?)
    }

    /// Passes the text, in quotes, to `write`.
    pub fn with_quoted<T>(self, cache: &mut SecondCache, write: impl FnOnce(&[u8]) -> T) -> T {
        match self {
            Self::Unix(nanoseconds) => write(cache.quoted(nanoseconds)),
            Self::Other(time) => write(format!("\"{time:.9}\"").as_bytes()),
        }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.with_quoted(&mut SecondCache::default(), |text| {
            let text = str::from_utf8(text).unwrap_or_default();
            serializer.serialize_str(text.trim_matches('"'))
        })
    }
}

/// A [`Time::Unix`] as text, in quotes.
type Quoted = [u8; EPOCH.len()];

const EPOCH: &[u8; 32] = br#""1970-01-01T00:00:00.000000000Z""#;

/// Recently formatted seconds. A line has up to four times, most of them in the same second as the one before, and
/// computing date and hour is most of the cost of formatting one.
#[derive(Clone, Copy, Debug)]
pub struct SecondCache([(u64, Quoted); 4]);

impl Default for SecondCache {
    fn default() -> Self {
        // Second 0 belongs to slot 0, where the entry is correct; no lookup in another slot is for second 0.
        Self([(0, *EPOCH); 4])
    }
}

impl SecondCache {
    /// The time `nanoseconds` after 1970, in quotes.
    fn quoted(&mut self, nanoseconds: u64) -> &Quoted {
        let (second, fraction) = (nanoseconds / NS_PER_S, (nanoseconds % NS_PER_S) as u32);
        let (cached, text) = &mut self.0[second as usize % 4];
        if *cached != second {
            (*cached, *text) = (second, format_second(second));
        }
        let mut pair = |start: usize, number: u32| {
            text[start..start + 2].copy_from_slice(&PAIRS[(number % 100) as usize]);
        };
        pair(21, fraction / 10_000_000);
        pair(23, fraction / 100_000);
        pair(25, fraction / 1_000);
        pair(27, fraction / 10);
        text[29] = b'0' + (fraction % 10) as u8;
        text
    }
}

/// Formats the start of a second since 1970, by integer arithmetic alone.
fn format_second(second: u64) -> Quoted {
    let (days, second) = ((second / 86_400) as u32, (second % 86_400) as u32);
    // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days: years start in March, so that the
    // leap day is the last day of the year, and an era is 400 years.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = 400 * era + year + u32::from(month <= 2);

    let mut text = *EPOCH;
    let mut pair = |start: usize, number: u32| {
        text[start..start + 2].copy_from_slice(&PAIRS[(number % 100) as usize]);
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

/// The numbers below 100 as two digits.
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

    fn formatted_by_jiff(nanoseconds: u64) -> String {
        let time = Timestamp::from_nanosecond(nanoseconds.into()).expect("a time");
        format!("{time:.9}")
    }

    fn check(nanoseconds: u64) {
        assert_eq!(text(Time::Unix(nanoseconds)), formatted_by_jiff(nanoseconds));
    }

    proptest! {
        #[test]
        fn every_time_is_formatted_as_by_jiff(nanoseconds in any::<u64>()) {
            check(nanoseconds);
        }

        #[test]
        fn cached_seconds_do_not_change_the_text(times in vec(0..20 * NS_PER_S, 1..40)) {
            let mut cache = SecondCache::default();
            for nanoseconds in times {
                let text = Time::Unix(nanoseconds).with_quoted(&mut cache, <[u8]>::to_vec);
                prop_assert_eq!(text, format!("\"{}\"", formatted_by_jiff(nanoseconds)).into_bytes());
            }
        }
    }

    #[test]
    fn leap_days_are_formatted_as_by_jiff() {
        const DAY: u64 = 86_400_000_000_000;
        // Around the end of February in 1972, 2000, 2024, 2100 and 2400, and the limits of the range.
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
            let time = StreamTime::with_clock(Some(Clock { realtime_offset_ns: offset }));
            time.of(Mono(at)).map(text)
        };
        let moment = time(1_700_000_000_000_000_000, 120);
        assert_eq!(moment.as_deref(), Some("2023-11-14T22:13:20.000000120Z"));
        assert_eq!(time(i128::MAX / 2, 1), None);
        assert!(StreamTime::default().of(Mono(1)).is_none());
    }

    #[test]
    fn an_object_without_a_time_has_that_of_the_latest_event() {
        let mut host = crate::model::testing::host();
        host.ready_at = Mono(7);
        let backend = crate::model::Backend::TpBtf;
        let ready = Output::Ready { host, backend, unavailable: Vec::new(), existing: None };
        let mut time = StreamTime::default();
        time.observe(&Output::Note("before ready".to_owned()));
        assert!(time.latest().is_none());
        time.observe(&ready);
        let latest = |time: StreamTime| time.latest().map(text);
        assert_eq!(latest(time).as_deref(), Some("1970-01-01T00:00:00.000000007Z"));
        time.observe(&Output::Note("after ready".to_owned()));
        assert_eq!(latest(time).as_deref(), Some("1970-01-01T00:00:00.000000007Z"));
        let duration = std::time::Duration::from_nanos(5);
        time.observe(&Output::End(crate::model::End { duration, ..Default::default() }));
        assert_eq!(latest(time).as_deref(), Some("1970-01-01T00:00:00.000000012Z"));
    }
}
