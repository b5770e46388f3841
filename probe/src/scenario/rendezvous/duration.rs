//! Durations in messages.

use std::time::Duration;

use jiff::SignedDuration;

/// Formats a duration as the command line accepts it: to the microsecond, or to the second from one minute on.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    if duration >= Duration::from_secs(60) {
        let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        return format!("{:#}", SignedDuration::from_secs(seconds));
    }
    let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    format!("{:#}", SignedDuration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_precision_depends_on_the_length() {
        assert_eq!(format_duration(Duration::from_micros(2_500_090)), "2s 500ms 90µs");
        let long = Duration::from_secs(60420 * 3600 + 52 * 60 + 30) + Duration::from_micros(416_076);
        assert_eq!(format_duration(long), "60420h 52m 30s");
    }
}
