//! The records of all rings as one stream, with the losses between them.

use std::{
    io,
    ops::ControlFlow,
    time::{Duration, Instant},
};

use super::{
    losses::{Gap, Losses},
    misses::Misses,
    ring::{CorruptRing, Poll, Rings},
};
use crate::{os::clock, source::decode::peek};

/// The maximum number of records in one batch: few enough that what becomes of them stays in the CPU's cache.
pub const BATCH: usize = 1024;

/// How often the kernel's count of skipped events is read while no record arrives.
const IDLE_INTERVAL: Duration = Duration::from_secs(1);

/// How often it is read while full batches follow each other: a read for each would cost as much as some of its records.
const BUSY_INTERVAL: Duration = Duration::from_millis(20);

/// One item of the stream.
pub enum Item<'a> {
    /// A record, in its ring's memory.
    Record(&'a [u8]),
    /// Events or records that were lost here.
    Gap(Gap),
}

/// The rings, and the counts of what is missing in them.
pub struct RecordStream {
    pub rings: Rings,
    losses: Losses,
    misses: Misses,
    /// When the kernel's count of skipped events was last read.
    misses_read: Instant,
    /// Whether the last batch was full, so that the next one follows it immediately.
    was_full: bool,
}

impl RecordStream {
    pub fn new(rings: Rings, misses: Misses) -> Self {
        Self { rings, losses: Losses::default(), misses, misses_read: Instant::now(), was_full: false }
    }

    /// Delivers what the rings hold now, at most one batch.
    ///
    /// # Errors
    /// A ring is corrupt, or the kernel's counts cannot be read.
    pub fn poll(&mut self, each: impl FnMut(Item<'_>) -> ControlFlow<()>) -> io::Result<Poll> {
        let is_due = self.misses_read.elapsed() > IDLE_INTERVAL;
        self.poll_batch(is_due, each)
    }

    /// Delivers everything that was recorded before the call.
    ///
    /// # Errors
    /// As for [`poll`](Self::poll).
    pub fn drain(&mut self, mut each: impl FnMut(Item<'_>) -> ControlFlow<()>) -> io::Result<()> {
        // On a busy host, new records arrive without end.
        let start = clock::now();
        loop {
            let poll = self.poll_batch(true, &mut each)?;
            if poll.is_stopped || poll.next.is_none_or(|next| next > start) {
                return Ok(());
            }
        }
    }

    /// `reads_misses`: whether to read the kernel's count of skipped events even if the rings are empty.
    fn poll_batch(
        &mut self,
        reads_misses: bool,
        mut each: impl FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> io::Result<Poll> {
        let may_read = !self.was_full || self.misses_read.elapsed() > BUSY_INTERVAL;
        if reads_misses || (may_read && !self.rings.is_empty()) {
            self.misses_read = Instant::now();
            // The skipped events were among the records that follow, or before them.
            if let Some(gap) = self.misses.lost(reads_misses)?
                && each(Item::Gap(gap)).is_break()
            {
                return Ok(Poll { is_stopped: true, ..Poll::default() });
            }
        }
        // Records after this one show what is lost from here on.
        let lost = self.rings.lost();
        let losses = &mut self.losses;
        let poll = self.rings.poll(BATCH, |record| {
            if let Some(gap) = peek::header(record).and_then(|header| losses.before(&header)) {
                each(Item::Gap(gap))?;
            }
            each(Item::Record(record))
        });
        let mut poll = poll.map_err(|corrupt: CorruptRing| io::Error::other(corrupt))?;
        self.was_full = poll.delivered == BATCH;
        if poll.next.is_none()
            && !poll.is_stopped
            && let Some(gap) = losses.up_to(lost)
        {
            poll.is_stopped = each(Item::Gap(gap)).is_break();
        }
        Ok(poll)
    }
}
