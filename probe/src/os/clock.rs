//! CLOCK_MONOTONIC, by which the kernel timestamps its reports, and CLOCK_REALTIME, on which two hosts can agree.

use std::{fs, hint, io, mem::MaybeUninit, sync::LazyLock, time::Duration};

use nix::{
    errno::Errno,
    libc,
    sys::time::TimeSpec,
    time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep},
};

use crate::model::{Clock, Mono};

const NS_PER_S: i128 = 1_000_000_000;

/// Readings taken to find the offset between the clocks. The tightest one counts; one in ten may be preempted.
const READINGS: usize = 16;

/// How long before its target [`wait_until`] stops sleeping and spins: more than the default timer slack (50 µs,
/// prctl(2)) plus the wake-up latency of an idle CPU.
const SPIN_NS: i128 = 300_000;

/// CLOCK_MONOTONIC now, as the kernel's reports have it: that of the initial time namespace.
#[must_use]
pub fn now() -> Mono {
    Mono(u64::try_from(monotonic()).expect("CLOCK_MONOTONIC counts up from 0"))
}

fn monotonic() -> i128 {
    read(ClockId::CLOCK_MONOTONIC) - *NAMESPACE_OFFSET_NS
}

/// How far this process's CLOCK_MONOTONIC is ahead of the initial time namespace's (time_namespaces(7)).
static NAMESPACE_OFFSET_NS: LazyLock<i128> = LazyLock::new(|| {
    let offsets = fs::read_to_string("/proc/self/timens_offsets");
    offsets.ok().and_then(|offsets| monotonic_offset(&offsets)).unwrap_or(0)
});

/// Parses the lines of /proc/PID/timens_offsets: a clock, seconds, nanoseconds. The file lacks before Linux 5.6.
fn monotonic_offset(offsets: &str) -> Option<i128> {
    let mut fields = offsets.lines().find_map(|line| line.strip_prefix("monotonic"))?.split_whitespace();
    let mut next = || fields.next()?.parse::<i128>().ok();
    Some(next()? * NS_PER_S + next()?)
}

/// CLOCK_REALTIME now, in nanoseconds since 1970.
#[must_use]
pub fn unix_now() -> i128 {
    read(ClockId::CLOCK_REALTIME)
}

/// The current offset of CLOCK_REALTIME from CLOCK_MONOTONIC: the realtime clock read between two readings of the
/// monotonic one, taken as read at their midpoint, in the tightest of several tries.
#[must_use]
pub fn calendar() -> Clock {
    let reading = || {
        let before = monotonic();
        let realtime = read(ClockId::CLOCK_REALTIME);
        let after = monotonic();
        (after - before, realtime - (before + after) / 2)
    };
    let first = reading();
    let (_, realtime_offset_ns) = (1..READINGS).fold(first, |best, _| best.min(reading()));
    Clock { realtime_offset_ns }
}

/// Waits until CLOCK_REALTIME reads at least `unix_ns`, and returns how far past it the clock is then: a few
/// microseconds, or more if the time was in the past. If the clock is set meanwhile, the wait adapts.
#[must_use]
pub fn wait_until(unix_ns: i128) -> Duration {
    let sleep_until = unix_ns - SPIN_NS;
    while unix_now() < sleep_until {
        match clock_nanosleep(
            ClockId::CLOCK_REALTIME,
            ClockNanosleepFlags::TIMER_ABSTIME,
            &timespec(sleep_until),
        ) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => unreachable!("clock_nanosleep(2) rejects only malformed times: {errno}"),
        }
    }
    loop {
        let late = unix_now() - unix_ns;
        if let Ok(late) = u64::try_from(late) {
            return Duration::from_nanos(late);
        }
        hint::spin_loop();
    }
}

/// How well CLOCK_REALTIME is synchronised, as the NTP or PTP daemon has told the kernel (adjtimex(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discipline {
    /// Whether a daemon synchronises the clock (STA_UNSYNC is clear).
    pub synchronised: bool,
    /// The correction still to be applied, in nanoseconds; positive if the clock is behind.
    pub offset_ns: i64,
    /// The estimated error.
    pub estimated_error: Duration,
    /// The error bound, which grows by 500 µs per second since the last correction (RFC 5905's root distance).
    pub maximum_error: Duration,
}

impl Discipline {
    /// Reads the current state, which needs no privilege.
    ///
    /// # Errors
    /// EPERM in a sandbox that forbids adjtimex(2) even for reading.
    pub fn read() -> io::Result<Self> {
        let timex = adjtimex()?;
        let micros = |count| Duration::from_micros(u64::try_from(count).unwrap_or(0));
        let nanoseconds = timex.status & libc::STA_NANO != 0;
        Ok(Self {
            synchronised: timex.status & libc::STA_UNSYNC == 0,
            offset_ns: if nanoseconds { timex.offset } else { timex.offset * 1000 },
            estimated_error: micros(timex.esterror),
            maximum_error: micros(timex.maxerror),
        })
    }
}

#[expect(unsafe_code, reason = "nix has no adjtimex")]
fn adjtimex() -> io::Result<libc::timex> {
    let mut timex = MaybeUninit::<libc::timex>::zeroed();
    // SAFETY: the pointer is to a whole timex. Its `modes` is 0, so the kernel changes nothing and fills
    // in the rest; all bits zero is a valid timex, so it is initialised either way.
    let (state, timex) = unsafe { (libc::adjtimex(timex.as_mut_ptr()), timex.assume_init()) };
    // The other values announce leap seconds or repeat STA_UNSYNC.
    if state == -1 { Err(io::Error::last_os_error()) } else { Ok(timex) }
}

fn read(clock: ClockId) -> i128 {
    let time = clock_gettime(clock).expect("Linux always has these two clocks");
    i128::from(time.tv_sec()) * NS_PER_S + i128::from(time.tv_nsec())
}

fn timespec(ns: i128) -> TimeSpec {
    let part = |value: i128| i64::try_from(value).unwrap_or(i64::MAX);
    TimeSpec::new(part(ns.div_euclid(NS_PER_S)), part(ns.rem_euclid(NS_PER_S)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_maps_monotonic_to_realtime() {
        let clock = calendar();
        let (before, at, after) = (unix_now(), now(), unix_now());
        // Half a millisecond is far above the error of a reading and far below a wrong offset.
        assert!(clock.unix_ns(at) >= before - 500_000, "{} {before}", clock.unix_ns(at));
        assert!(clock.unix_ns(at) <= after + 500_000, "{} {after}", clock.unix_ns(at));
    }

    #[test]
    fn the_offset_of_a_time_namespace_may_be_negative() {
        // The kernel keeps nanoseconds positive: -1.5 s is -2 s and 500,000,000 ns.
        let text = "monotonic          -2 500000000\nboottime       7         0\n";
        assert_eq!(monotonic_offset(text), Some(-1_500_000_000));
        assert_eq!(monotonic_offset("boottime 7 0"), None);
    }

    #[test]
    fn a_wait_never_ends_early() {
        let target = unix_now() + 5_000_000;
        let late = wait_until(target);
        let after = unix_now();
        assert!(after >= target);
        assert!(late <= Duration::from_nanos(u64::try_from(after - target).unwrap()));
    }

    #[test]
    fn a_time_in_the_past_returns_how_late_it_is() {
        assert!(wait_until(unix_now() - NS_PER_S) >= Duration::from_secs(1));
        assert!(wait_until(-NS_PER_S) > Duration::from_secs(1_000_000));
    }

    #[test]
    fn the_discipline_can_be_read() {
        let discipline = Discipline::read().unwrap();
        assert!(discipline.estimated_error <= discipline.maximum_error || !discipline.synchronised);
    }
}
