//! When to poll the rings.

use std::time::Duration;

use super::{record_stream::BATCH, ring::Poll};

/// How long a record may wait in its ring while others arrive. No program wakes the reader before a ring is a quarter
/// full, since each wake-up costs the traced host an interrupt; fifty polls a second cost next to nothing.
pub const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The same for summaries. There is one for five transitions, so that a ring lasts longer, and the connection is over
/// anyway. Each poll takes CPU time from the traced host.
pub const SUMMARY_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The same for a sink that tolerates delay.
pub const DELAYED_POLL_INTERVAL: Duration = Duration::from_millis(100);

/// When to poll again after the first poll without a record: a program that wrote one while the reader enabled wake-ups
/// may not have seen that, and does not wake it.
const MISSED_WAKEUP_INTERVAL: Duration = Duration::from_millis(50);

/// When to poll again while no records arrive: losses without a record after them must be reported, too.
const IDLE_INTERVAL: Duration = Duration::from_secs(1);

/// The fraction of a ring that is full at [`WakeUp::FilledRing`].
pub const WAKE_FRACTION: u64 = 4;

/// Which record wakes the reader before the next poll is due.
#[derive(Clone, Copy, Debug)]
pub enum WakeUp {
    /// The next one.
    AnyRecord,
    /// One that leaves its ring a quarter full.
    FilledRing,
}

/// When to poll the rings again.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// At a wake-up: no record arrived at two or more polls.
    Idle,
    /// At a wake-up, with a check for a missed one: no record arrived at the last poll.
    JustIdle,
    /// After the poll interval: the last poll delivered all records.
    Active,
    /// At once: there are more records.
    Behind,
}

impl Pace {
    /// The pace after a poll.
    pub fn after(self, poll: Poll) -> Self {
        match (self, poll) {
            // The next record is too recent to be delivered in order.
            (_, Poll { delivered: 0, next: Some(_), .. } | Poll { delivered: BATCH.., .. }) => Self::Behind,
            (Self::JustIdle | Self::Idle, Poll { delivered: 0, .. }) => Self::Idle,
            (_, Poll { delivered: 0, .. }) => Self::JustIdle,
            _ => Self::Active,
        }
    }

    /// What wakes the reader, and when to poll if nothing does; `None` for at once. `interval` is how long a record may wait
    /// while others arrive.
    pub fn next_poll(self, interval: Duration) -> Option<(WakeUp, Duration)> {
        match self {
            Self::Behind => None,
            Self::Active => Some((WakeUp::FilledRing, interval)),
            Self::JustIdle => Some((WakeUp::AnyRecord, MISSED_WAKEUP_INTERVAL)),
            Self::Idle => Some((WakeUp::AnyRecord, IDLE_INTERVAL)),
        }
    }
}
