//! The rings' records in order, with each loss between the records where it happened.

use std::{
    io,
    ops::ControlFlow,
    time::{Duration, Instant},
};

use probe_ebpf::RecordHeader;

use super::{
    losses::{Gap, Losses},
    misses::Misses,
    ring::{Poll, Rings},
};
use crate::os::clock;

/// The maximum number of records in a batch: few enough that what is decoded from them remains in the CPU's cache.
pub const BATCH: usize = 1024;

/// How often the kernel's count of skipped program runs is read while no records arrive.
const IDLE_READ_INTERVAL: Duration = Duration::from_secs(1);

/// How often it is read while batch follows batch: once a batch would cost as much as some of its records.
const BUSY_READ_INTERVAL: Duration = Duration::from_millis(20);

/// An item of the stream.
pub enum Item<'a> {
    /// A record in its ring's memory, with its header.
    Record(RecordHeader, &'a [u8]),
    /// Records or events were lost here.
    Gap(Gap),
}

/// The rings, and what was lost of their records.
pub struct RecordStream {
    pub rings: Rings,
    losses: Losses,
    misses: Misses,
    /// When the kernel's count of skipped program runs was last read.
    misses_read: Instant,
    /// Whether the last batch was full, so that the next one follows at once.
    is_busy: bool,
}

impl RecordStream {
    /// A stream of these rings. `misses` reads how many program runs the kernel skipped.
    pub fn new(rings: Rings, misses: Misses) -> Self {
        Self { rings, losses: Losses::default(), misses, misses_read: Instant::now(), is_busy: false }
    }

    /// Reads what is available now, at most one batch.
    ///
    /// # Errors
    /// A ring is corrupt, or the kernel's count cannot be read.
    pub fn poll(&mut self, each: impl FnMut(Item<'_>) -> ControlFlow<()>) -> io::Result<Poll> {
        let is_due = self.misses_read.elapsed() > IDLE_READ_INTERVAL;
        self.read(is_due, each)
    }

    /// Reads everything that was recorded before the call.
    ///
    /// # Errors
    /// The same as [`poll`](Self::poll).
    pub fn drain(&mut self, mut each: impl FnMut(Item<'_>) -> ControlFlow<()>) -> io::Result<()> {
        // A busy host keeps adding records: stop at those that are younger than this.
        let start = clock::now();
        loop {
            let poll = self.read(true, &mut each)?;
            if poll.is_stopped || poll.next.is_none_or(|next| next > start) {
                return Ok(());
            }
        }
    }

    /// Reads a batch. `read_misses` reads the kernel's count of skipped program runs even if no record is available.
    fn read(
        &mut self,
        read_misses: bool,
        mut each: impl FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> io::Result<Poll> {
        let may_read = !self.is_busy || self.misses_read.elapsed() > BUSY_READ_INTERVAL;
        if read_misses || (may_read && !self.rings.is_empty()) {
            self.misses_read = Instant::now();
            // The loss happened somewhere among the records of this batch, or before it.
            if let Some(gap) = self.misses.lost(read_misses)?
                && each(Item::Gap(gap)).is_break()
            {
                return Ok(Poll { is_stopped: true, ..Poll::default() });
            }
        }
        // The headers of later records count the losses after this one.
        let lost = self.rings.lost();
        let losses = &mut self.losses;
        let poll = self.rings.poll(BATCH, |header, record| {
            if let Some(gap) = losses.before(&header) {
                each(Item::Gap(gap))?;
            }
            each(Item::Record(header, record))
        });
        let mut poll = poll.map_err(io::Error::other)?;
        self.is_busy = poll.delivered == BATCH;
        if poll.next.is_none()
            && !poll.is_stopped
            && let Some(gap) = losses.up_to(lost)
        {
            poll.is_stopped = each(Item::Gap(gap)).is_break();
        }
        Ok(poll)
    }
}
