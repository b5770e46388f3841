//! Records for which the ring had no room, told where they are missing.
//!
//! The kernel side counts them, and every record says how many there had been before it. So the loss is told right
//! before the first record after it: between two reports that follow each other in the stream, none is missing.

use std::{
    io,
    time::{Duration, Instant},
};

use aya::maps::{Array, MapData};
use probe_ebpf::RecordHeader;

use crate::model::Event;

/// How long a loss behind the last record may wait to be told.
const PAUSE: Duration = Duration::from_secs(1);

/// What has been told of the kernel side's count.
pub struct Losses {
    counter: Array<MapData, u64>,
    /// When it was asked last.
    asked: Instant,
    told: Told,
}

impl Losses {
    /// Of the kernel side's counter.
    pub fn of(counter: Array<MapData, u64>) -> Self {
        Self { counter, asked: Instant::now(), told: Told(0) }
    }

    /// Whether it is time to ask for what is missing behind the last record. Seldom: while a map is asked, the kernel
    /// passes over classic programs on that CPU (`bpf_disable_instrumentation`).
    pub fn is_due(&self) -> bool {
        self.asked.elapsed() > PAUSE
    }

    /// How many there have been, by now.
    pub fn counted(&mut self) -> io::Result<u32> {
        self.asked = Instant::now();
        // It wraps in the records, and so it does here.
        self.counter.get(&0, 0).map(|count| count as u32).map_err(io::Error::other)
    }

    /// What is missing before this record.
    pub fn before(&mut self, record: &RecordHeader) -> Option<Event> {
        self.told.up_to(record.lost)
    }

    /// What is missing at the end of the ring: it was empty, after so many had been counted.
    pub fn at_the_end(&mut self, counted: u32) -> Option<Event> {
        self.told.up_to(counted)
    }
}

/// A count that wraps, as far as it has been told.
struct Told(u32);

impl Told {
    /// What is new. A record that waited for its place while others were lost has an older count than the one before.
    fn up_to(&mut self, count: u32) -> Option<Event> {
        let new = count.wrapping_sub(self.0);
        if new == 0 || new > u32::MAX / 2 {
            return None;
        }
        self.0 = count;
        Some(Event::Lost { count: new.into(), place: "ring".into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_loss_is_told_once() {
        let mut told = Told(0);
        let mut new = |count: u32| match told.up_to(count) {
            Some(Event::Lost { count, .. }) => count,
            _ => 0,
        };
        assert_eq!(
            [0, 3, 3, 2, 10, u32::MAX / 2].map(&mut new),
            [0, 3, 0, 0, 7, u64::from(u32::MAX / 2) - 10]
        );
        assert_eq!([u32::MAX - 1, 1].map(&mut new), [u64::from(u32::MAX / 2), 3]);
    }
}
