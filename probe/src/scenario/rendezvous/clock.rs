//! How far this host's clock can be trusted: two hosts meet only as closely as their clocks agree.

use std::{io, time::Duration};

use super::friendly;
use crate::os::clock::Discipline;

/// What is to be said of the clock: how it is kept, and where that may not do for `window`, what would.
#[must_use]
pub fn report(discipline: &io::Result<Discipline>, window: Duration) -> Vec<String> {
    match discipline {
        Err(error) => vec![format!(
            "this host does not tell how well its clock is kept (adjtimex: {error}): see that something keeps it"
        )],
        Ok(Discipline { synchronised: false, maximum_error, .. }) => vec![
            format!(
                "this host's clock is not synchronised: it may be off by any amount (the kernel's bound for its error \
                 is {})",
                friendly(*maximum_error)
            ),
            "warning: hosts whose clocks differ by more than --window never meet: let an NTP client such as chrony or \
             systemd-timesyncd keep the clocks of both, or make --window longer than they differ"
                .to_owned(),
        ],
        Ok(Discipline { estimated_error, maximum_error, .. }) => {
            let kept = format!(
                "this host's clock is synchronised: it is off by at most {}, probably by {}",
                friendly(*maximum_error),
                friendly(*estimated_error)
            );
            [kept].into_iter().chain(too_short(window, *maximum_error)).collect()
        }
    }
}

/// Two clocks that are off by as much, to different sides, may be too far apart.
fn too_short(window: Duration, maximum_error: Duration) -> Option<String> {
    let apart = maximum_error * 2;
    (apart > window).then(|| {
        format!(
            "warning: two such clocks may differ by {}, which is more than --window: make that as long at both ends",
            friendly(apart)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(synchronised: bool, maximum_error: Duration) -> io::Result<Discipline> {
        let estimated_error = Duration::from_micros(90);
        Ok(Discipline { synchronised, offset_ns: 0, estimated_error, maximum_error })
    }

    #[test]
    fn a_good_clock_needs_one_line() {
        let said = report(&kept(true, Duration::from_micros(1_200)), Duration::from_secs(2));
        assert_eq!(
            said,
            ["this host's clock is synchronised: it is off by at most 1ms 200µs, probably by 90µs"]
        );
    }

    #[test]
    fn a_loose_clock_needs_a_longer_window() {
        let said = report(&kept(true, Duration::from_millis(1_100)), Duration::from_secs(2));
        assert!(said[1].contains("may differ by 2s 200ms"), "{said:?}");
    }

    #[test]
    fn a_clock_that_nobody_keeps_comes_with_its_cure() {
        let said = report(&kept(false, Duration::from_secs(16)), Duration::from_secs(2));
        assert!(said[0].contains("not synchronised") && said[0].contains("16s"), "{said:?}");
        assert!(said[1].contains("chrony"), "{said:?}");
    }

    #[test]
    fn a_sandbox_that_does_not_tell_is_said_so() {
        let said = report(&Err(io::Error::from_raw_os_error(1)), Duration::from_secs(2));
        assert!(said[0].contains("Operation not permitted"), "{said:?}");
    }
}
