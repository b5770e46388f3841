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
    ring::{Look, Ring},
};
use crate::os::clock;

/// How many records are read at once: whoever waits for a batch gets one, and what becomes of it is small enough to
/// stay in the processor's cache.
pub const BATCH: usize = 1024;

/// How often the kernel is asked for the program runs that it missed while no records arrive.
const IDLE_QUERY_INTERVAL: Duration = Duration::from_secs(1);

/// How often it is asked while batch follows batch: once a batch would cost as much as some of its records.
const BUSY_QUERY_INTERVAL: Duration = Duration::from_millis(20);

/// An item of the stream.
pub enum Item<'a> {
    /// A record, as it lies in its ring, with its header.
    Record(RecordHeader, &'a [u8]),
    /// Records were lost here.
    Gap(Gap),
}

/// The rings, and what was lost of their records.
pub struct RecordStream {
    pub ring: Ring,
    losses: Losses,
    misses: Misses,
    /// When the kernel was last asked for missed program runs.
    last_query: Instant,
    /// Whether the last batch was full, so that the next one follows right behind it.
    is_busy: bool,
}

impl RecordStream {
    /// A stream of these rings. `misses` asks the kernel for the program runs that it missed.
    pub fn new(ring: Ring, misses: Misses) -> Self {
        Self { ring, losses: Losses::default(), misses, last_query: Instant::now(), is_busy: false }
    }

    /// Reads what is available now: a batch at most.
    pub fn poll(&mut self, each: impl FnMut(Item<'_>) -> ControlFlow<()>) -> io::Result<Look> {
        let is_due = self.last_query.elapsed() > IDLE_QUERY_INTERVAL;
        self.read(is_due, each)
    }

    /// Reads everything that has been recorded by now.
    pub fn drain(&mut self, mut each: impl FnMut(Item<'_>) -> ControlFlow<()>) -> io::Result<()> {
        // A busy host keeps adding records: stop at those that are younger than this.
        let start = clock::now();
        loop {
            let look = self.read(true, &mut each)?;
            if look.is_enough || look.next.is_none_or(|next| next > start) {
                return Ok(());
            }
        }
    }

    /// Reads a batch. `query_misses` asks the kernel for missed program runs even if no record is available.
    fn read(
        &mut self,
        query_misses: bool,
        mut each: impl FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> io::Result<Look> {
        let may_query = !self.is_busy || self.last_query.elapsed() > BUSY_QUERY_INTERVAL;
        if query_misses || (may_query && !self.ring.is_empty()) {
            self.last_query = Instant::now();
            // The loss happened somewhere among the records of this batch, or before it.
            if let Some(gap) = self.misses.lost(query_misses)?
                && each(Item::Gap(gap)).is_break()
            {
                return Ok(Look { is_enough: true, ..Look::default() });
            }
        }
        // The headers of later records have the losses after this.
        let lost = self.ring.lost();
        let losses = &mut self.losses;
        let mut look = self.ring.take(BATCH, |header, record| {
            if let Some(gap) = losses.before(&header) {
                each(Item::Gap(gap))?;
            }
            each(Item::Record(header, record))
        });
        self.is_busy = look.number == BATCH;
        if look.next.is_none()
            && !look.is_enough
            && let Some(gap) = losses.up_to(lost)
        {
            look.is_enough = each(Item::Gap(gap)).is_break();
        }
        Ok(look)
    }
}
