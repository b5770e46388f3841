//! The time of a line, in the format that was asked for.

use jiff::Timestamp;

use super::super::{super::view::TimeFormat, pen::Pen};
use crate::model::{Clock, Mono};

/// Up to a quarter of an hour, in milliseconds.
const MILLISECONDS: usize = 10;

/// `14:10:22.123456`
const TIME_OF_DAY: usize = 15;

/// In microseconds.
const SECOND: u64 = 1_000_000;

const DAY: i128 = 86_400 * 1_000_000_000;

/// Tells the times of lines that come one after the other.
#[derive(Debug)]
pub struct Stamps {
    format: TimeFormat,
    /// Unknown before [`Output::Ready`](crate::model::Output::Ready); without it there is no time of day, and the time
    /// that has passed takes its place.
    clock: Option<Clock>,
    first: Option<Mono>,
    previous: Option<Mono>,
    /// The last line's, in days since 1970.
    day: Option<i128>,
}

impl Stamps {
    pub fn new(format: TimeFormat) -> Self {
        Self { format, clock: None, first: None, previous: None, day: None }
    }

    /// From now on the calendar is known.
    pub fn set(&mut self, clock: Clock) {
        self.clock = Some(clock);
    }

    /// The room that a time takes, as a rule.
    pub fn width(&self) -> usize {
        match self.format {
            TimeFormat::Elapsed | TimeFormat::Delta => MILLISECONDS,
            TimeFormat::Absolute => TIME_OF_DAY,
        }
    }

    /// The column's name.
    pub fn name(&self) -> &'static str {
        match (self.format, self.clock) {
            (TimeFormat::Absolute, Some(_)) => "UTC",
            (TimeFormat::Elapsed | TimeFormat::Absolute, _) => "ms",
            (TimeFormat::Delta, _) => "+ms",
        }
    }

    /// Writes the time of the next line.
    pub fn stamp(&mut self, at: Mono, pen: &mut Pen) {
        let first = *self.first.get_or_insert(at);
        let previous = self.previous.replace(at).unwrap_or(at);
        match (self.format, self.clock) {
            (TimeFormat::Absolute, Some(clock)) => pen.time_of_day(time_of_day(clock, at)),
            (TimeFormat::Elapsed | TimeFormat::Absolute, _) => pen.milliseconds(first, at),
            (TimeFormat::Delta, _) => pen.milliseconds(previous, at),
        }
    }

    /// How long something stays that was seen at one moment and will be gone at the other.
    pub fn until(&self, at: Mono, gone: Mono) -> String {
        Pen::text_of(|pen| match (self.format, self.clock) {
            (TimeFormat::Absolute, Some(clock)) => {
                pen.word("until ");
                pen.seconds_of_day(time_of_day(clock, gone) / SECOND);
            }
            _ => {
                pen.word("for ");
                pen.lasted(gone.since(at));
                pen.word(" more");
            }
        })
    }

    /// Where lines show the time of day: the date, if that line has another than the one before.
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

/// A moment as a line shows it: in microseconds since midnight.
fn time_of_day(clock: Clock, at: Mono) -> u64 {
    // As long as a day there are not many.
    (clock.unix_ns(at).rem_euclid(DAY) / 1_000) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamps(format: TimeFormat) -> Stamps {
        let mut stamps = Stamps::new(format);
        // A second before midnight.
        stamps.set(Clock { realtime_offset_ns: 1_795_305_599_000_000_000 });
        stamps
    }

    fn stamped(stamps: &mut Stamps, at: Mono) -> String {
        Pen::text_of(|pen| stamps.stamp(at, pen))
    }

    const TIMES: [Mono; 3] = [Mono(1_000), Mono(500_001_000), Mono(1_500_002_000)];

    #[test]
    fn each_format_counts_from_its_own_beginning() {
        let shown = |format| TIMES.map(|at| stamps_of(&mut stamps(format), at)).to_vec();
        fn stamps_of(stamps: &mut Stamps, at: Mono) -> String {
            stamped(stamps, TIMES[0]);
            stamped(stamps, at)
        }
        assert_eq!(shown(TimeFormat::Elapsed), ["0.000", "500.000", "1500.001"]);
        assert_eq!(shown(TimeFormat::Absolute), ["23:59:59.000001", "23:59:59.500001", "00:00:00.500002"]);
        let mut deltas = stamps(TimeFormat::Delta);
        assert_eq!(TIMES.map(|at| stamped(&mut deltas, at)), ["0.000", "500.000", "1000.001"]);
    }

    #[test]
    fn what_stays_has_its_end() {
        let until = |format| stamps(format).until(TIMES[0], Mono(60_000_001_000));
        assert_eq!(until(TimeFormat::Absolute), "until 00:00:59");
        assert_eq!(until(TimeFormat::Elapsed), "for 1m00s more");
    }

    #[test]
    fn a_new_day_is_told() {
        let mut absolute = stamps(TimeFormat::Absolute);
        assert_eq!(
            TIMES.map(|at| absolute.new_date(at)),
            [Some("2026-11-21 (UTC)".to_owned()), None, Some("2026-11-22 (UTC)".to_owned())]
        );
        assert_eq!(stamps(TimeFormat::Elapsed).new_date(TIMES[0]), None);
    }

    #[test]
    fn without_a_clock_there_is_no_time_of_day() {
        let mut stamps = Stamps::new(TimeFormat::Absolute);
        assert_eq!((stamped(&mut stamps, TIMES[1]), stamps.name()), ("0.000".to_owned(), "ms"));
        assert_eq!(stamps.new_date(TIMES[1]), None);
    }
}
