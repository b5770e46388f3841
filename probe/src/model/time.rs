//! Times: the kernel's monotonic clock, and how it is shown.

use std::{fmt, time::Duration};

/// A moment on CLOCK_MONOTONIC, in nanoseconds since boot (`bpf_ktime_get_ns`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub u64);

impl Mono {
    /// The time from `earlier` to here; zero where the order is the other way.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanoseconds_since(earlier))
    }

    /// The same in nanoseconds.
    #[must_use]
    pub fn nanoseconds_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment so long before, at the earliest the boot.
    #[must_use]
    pub fn before(self, time: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// The moment so long after, as far as there is one.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Mono {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

/// How CLOCK_MONOTONIC maps to the calendar: read once at the start and kept in recordings, so that
/// a replay shows the times of the day it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// CLOCK_REALTIME minus CLOCK_MONOTONIC, in nanoseconds.
    pub realtime_offset_ns: i128,
}

impl Clock {
    /// The calendar time of a moment, in nanoseconds since 1970.
    #[must_use]
    pub fn unix_ns(self, at: Mono) -> i128 {
        self.realtime_offset_ns.saturating_add(at.0.into())
    }
}
