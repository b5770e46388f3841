//! How accurate this host's clock is: the hosts meet only if the window covers the difference of their clocks.

use std::{io, time::Duration};

use super::duration::format_duration;
use crate::os::clock::Discipline;

/// The clock's accuracy, and a warning with its remedy if it may not suffice for `window`.
#[must_use]
pub fn report(discipline: &io::Result<Discipline>, window: Duration) -> Vec<String> {
    match discipline {
        Err(error) => vec![format!(
            "the accuracy of this host's clock is unknown (adjtimex: {error}): make sure that an NTP client keeps it"
        )],
        Ok(Discipline { synchronised: false, maximum_error, .. }) => vec![
            format!(
                "this host's clock is not synchronised, so its error is unbounded (the kernel's maxerror is {})",
                format_duration(*maximum_error)
            ),
            "warning: hosts whose clocks differ by more than --window never meet: synchronise both clocks with an NTP \
             client such as chrony or systemd-timesyncd, or make --window longer than the difference"
                .to_owned(),
        ],
        Ok(Discipline { estimated_error, maximum_error, .. }) => {
            let accuracy = format!(
                "this host's clock is synchronised: its error is at most {}, estimated {}",
                format_duration(*maximum_error),
                format_duration(*estimated_error)
            );
            [accuracy].into_iter().chain(window_warning(window, *maximum_error)).collect()
        }
    }
}

/// A warning if two clocks with this error, one fast and one slow, may differ by more than `window`.
fn window_warning(window: Duration, maximum_error: Duration) -> Option<String> {
    let difference = maximum_error * 2;
    (difference > window).then(|| {
        format!(
            "warning: two such clocks may differ by {}, which is more than --window: use a window of at least that on both \
             hosts",
            format_duration(difference)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn discipline(synchronised: bool, maximum_error: Duration) -> io::Result<Discipline> {
        let estimated_error = Duration::from_micros(90);
        Ok(Discipline { synchronised, offset_ns: 0, estimated_error, maximum_error })
    }

    #[test]
    fn an_accurate_clock_needs_no_warning() {
        let notes = report(&discipline(true, Duration::from_micros(1_200)), Duration::from_secs(2));
        assert_eq!(
            notes,
            ["this host's clock is synchronised: its error is at most 1ms 200µs, estimated 90µs"]
        );
    }

    #[test]
    fn an_inaccurate_clock_requires_a_longer_window() {
        let notes = report(&discipline(true, Duration::from_millis(1_100)), Duration::from_secs(2));
        assert!(notes[1].contains("may differ by 2s 200ms"), "{notes:?}");
    }

    #[test]
    fn an_unsynchronised_clock_is_warned_about_with_its_remedy() {
        let notes = report(&discipline(false, Duration::from_secs(16)), Duration::from_secs(2));
        assert!(notes[0].contains("not synchronised") && notes[0].contains("16s"), "{notes:?}");
        assert!(notes[1].contains("chrony"), "{notes:?}");
    }

    #[test]
    fn an_unreadable_clock_state_is_reported_with_its_error() {
        let notes = report(&Err(io::Error::from_raw_os_error(1)), Duration::from_secs(2));
        assert!(notes[0].contains("Operation not permitted"), "{notes:?}");
    }
}
