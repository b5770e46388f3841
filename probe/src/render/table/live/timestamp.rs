//! The time of a line, in the chosen format.

use jiff::Timestamp;

use super::super::{super::view::TimeFormat, cell_writer::CellWriter};
use crate::model::{Clock, Mono};

/// The width of milliseconds up to a quarter of an hour.
const MILLISECONDS_WIDTH: usize = 10;

/// The width of `14:10:22.123456`.
const TIME_OF_DAY_WIDTH: usize = 15;

/// A second in microseconds.
const SECOND: u64 = 1_000_000;

/// A day in nanoseconds.
const DAY: i128 = 86_400 * 1_000_000_000;

/// Formats the times of consecutive lines.
#[derive(Debug)]
pub struct Timestamps {
    format: TimeFormat,
    /// Unknown before [`Output::Ready`](crate::model::Output::Ready): absolute times are shown as elapsed ones until then.
    clock: Option<Clock>,
    first: Option<Mono>,
    previous: Option<Mono>,
    /// The date of the last line, in days since 1970.
    day: Option<i128>,
}

impl Timestamps {
    pub fn new(format: TimeFormat) -> Self {
        Self { format, clock: None, first: None, previous: None, day: None }
    }

    /// Sets the clock of the stream.
    pub fn set_clock(&mut self, clock: Clock) {
        self.clock = Some(clock);
    }

    /// The usual width of a time.
    pub fn width(&self) -> usize {
        match self.format {
            TimeFormat::Elapsed | TimeFormat::Delta => MILLISECONDS_WIDTH,
            TimeFormat::Absolute => TIME_OF_DAY_WIDTH,
        }
    }

    /// The heading of the column.
    pub fn heading(&self) -> &'static str {
        match (self.format, self.clock) {
            (TimeFormat::Absolute, Some(_)) => "UTC",
            (TimeFormat::Elapsed | TimeFormat::Absolute, _) => "ms",
            (TimeFormat::Delta, _) => "+ms",
        }
    }

    /// Writes the time of the next line.
    pub fn write(&mut self, at: Mono, cell: &mut CellWriter) {
        let first = *self.first.get_or_insert(at);
        let previous = self.previous.replace(at).unwrap_or(at);
        match (self.format, self.clock) {
            (TimeFormat::Absolute, Some(clock)) => cell.time_of_day(time_of_day(clock, at)),
            (TimeFormat::Elapsed | TimeFormat::Absolute, _) => cell.milliseconds(first, at),
            (TimeFormat::Delta, _) => cell.milliseconds(previous, at),
        }
    }

    /// When a mini-socket expires, listed at `at`.
    pub fn expiry(&self, at: Mono, until: Mono) -> String {
        CellWriter::text_of(|cell| match (self.format, self.clock) {
            (TimeFormat::Absolute, Some(clock)) => {
                cell.escaped("expires ");
                cell.seconds_of_day(time_of_day(clock, until) / SECOND);
            }
            _ => {
                cell.escaped("expires in ");
                cell.duration(until.since(at));
            }
        })
    }

    /// The date of the next line, if lines show the time of day and the line before has another date.
    pub fn new_date(&mut self, at: Mono) -> Option<String> {
        let clock = self.clock.filter(|_| self.format == TimeFormat::Absolute)?;
        let now = clock.unix_ns(at);
        let day = now.div_euclid(DAY);
        if self.day.replace(day) == Some(day) {
            return None;
        }
        let moment = Timestamp::from_nanosecond(now).ok()?;
        Some(moment.strftime("%F (UTC)").to_string())
    }
}

/// The time of day in microseconds since midnight.
fn time_of_day(clock: Clock, at: Mono) -> u64 {
    // A day has fewer microseconds than u64::MAX.
    (clock.unix_ns(at).rem_euclid(DAY) / 1_000) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timestamps(format: TimeFormat) -> Timestamps {
        let mut timestamps = Timestamps::new(format);
        // A second before midnight.
        timestamps.set_clock(Clock { realtime_offset_ns: 1_795_305_599_000_000_000 });
        timestamps
    }

    fn written(timestamps: &mut Timestamps, at: Mono) -> String {
        CellWriter::text_of(|cell| timestamps.write(at, cell))
    }

    const TIMES: [Mono; 3] = [Mono(1_000), Mono(500_001_000), Mono(1_500_002_000)];

    #[test]
    fn each_format_has_its_own_reference() {
        let second = |format, at| {
            let mut timestamps = timestamps(format);
            written(&mut timestamps, TIMES[0]);
            written(&mut timestamps, at)
        };
        let shown = |format| TIMES.map(|at| second(format, at)).to_vec();
        assert_eq!(shown(TimeFormat::Elapsed), ["0.000", "500.000", "1500.001"]);
        assert_eq!(shown(TimeFormat::Absolute), ["23:59:59.000001", "23:59:59.500001", "00:00:00.500002"]);
        let mut deltas = timestamps(TimeFormat::Delta);
        assert_eq!(TIMES.map(|at| written(&mut deltas, at)), ["0.000", "500.000", "1000.001"]);
    }

    #[test]
    fn an_expiry_is_shown_in_the_format_of_the_times() {
        let expiry = |format| timestamps(format).expiry(TIMES[0], Mono(60_000_001_000));
        assert_eq!(expiry(TimeFormat::Absolute), "expires 00:00:59");
        assert_eq!(expiry(TimeFormat::Elapsed), "expires in 1m00s");
    }

    #[test]
    fn the_first_line_of_a_day_has_its_date() {
        let mut absolute = timestamps(TimeFormat::Absolute);
        assert_eq!(
            TIMES.map(|at| absolute.new_date(at)),
            [Some("2026-11-21 (UTC)".to_owned()), None, Some("2026-11-22 (UTC)".to_owned())]
        );
        assert_eq!(timestamps(TimeFormat::Elapsed).new_date(TIMES[0]), None);
    }

    #[test]
    fn without_a_clock_there_is_no_time_of_day() {
        let mut timestamps = Timestamps::new(TimeFormat::Absolute);
        assert_eq!((written(&mut timestamps, TIMES[1]), timestamps.heading()), ("0.000".to_owned(), "ms"));
        assert_eq!(timestamps.new_date(TIMES[1]), None);
    }
}
