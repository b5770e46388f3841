//! The rings' records in order, with each loss between the records where it happened.

use std::{
    collections::VecDeque,
    io,
    ops::ControlFlow,
    time::{Duration, Instant},
};

use probe_ebpf::RecordHeader;

use super::{
    losses::{Gap, Losses},
    misses::Misses,
    ring::{CorruptRing, Poll, Rings},
    skips::Skips,
};
use crate::{
    model::{LossStage, Mono},
    os::clock,
    record::peek,
};

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

/// Receives the stream.
pub trait Receiver {
    /// Receives the next item.
    fn item(&mut self, item: Item<'_>) -> ControlFlow<()>;

    /// Whether the record of a transition follows from what was received of its socket before this batch.
    fn follows(&self, header: RecordHeader, record: &[u8]) -> bool;
}

/// The rings, and what was lost of their records.
pub struct RecordStream {
    pub rings: Rings,
    losses: Losses,
    misses: Misses,
    /// When the kernel's count of skipped program runs was last read.
    misses_read: Instant,
    /// The time of that: later records wait, since a loss that is not counted yet may precede them.
    until: Mono,
    /// How many events were lost among the records up to this time, without being reported yet.
    unreported: (u64, Mono),
    /// Whether the last batch was full, so that the next one follows at once.
    is_busy: bool,
}

impl RecordStream {
    /// A stream of these rings. `misses` reads how many program runs the kernel skipped.
    pub fn new(rings: Rings, misses: Misses) -> Self {
        Self {
            rings,
            losses: Losses::default(),
            misses,
            misses_read: Instant::now(),
            until: Mono(0),
            unreported: (0, Mono(0)),
            is_busy: false,
        }
    }

    /// Reads what is available now, at most one batch.
    ///
    /// # Errors
    /// A ring is corrupt, or the kernel's count cannot be read.
    pub fn poll(&mut self, receiver: &mut impl Receiver) -> io::Result<Poll> {
        let is_due = self.misses_read.elapsed() > IDLE_READ_INTERVAL;
        self.read(is_due, receiver)
    }

    /// Reads everything that was recorded before the call.
    ///
    /// # Errors
    /// The same as [`poll`](Self::poll).
    pub fn drain(&mut self, receiver: &mut impl Receiver) -> io::Result<()> {
        // A busy host keeps adding records: stop at those that are younger than this.
        let start = clock::now();
        loop {
            let poll = self.read(true, receiver)?;
            if poll.is_stopped {
                return Ok(());
            }
            if poll.next.is_none_or(|next| next > start) {
                // The receiver stops what follows.
                let _ = self.report_skips(receiver);
                return Ok(());
            }
        }
    }

    /// Reads a batch. `read_misses` reads the kernel's count of skipped program runs even if no record is available.
    fn read(&mut self, read_misses: bool, receiver: &mut impl Receiver) -> io::Result<Poll> {
        let may_read = !self.is_busy || self.misses_read.elapsed() > BUSY_READ_INTERVAL;
        if read_misses || (may_read && !self.rings.is_empty()) {
            self.misses_read = Instant::now();
            // In this order: the count has what was lost up to that time.
            self.until = self.rings.complete_until();
            let skipped = self.misses.lost()?;
            if skipped > 0 {
                self.unreported = (self.unreported.0 + skipped, self.until);
            }
        }
        let mut skips = self.skips(receiver).map_err(io::Error::other)?;
        // The headers of later records count the losses after this one.
        let lost = self.rings.lost();
        let (losses, unreported) = (&mut self.losses, &mut self.unreported.0);
        let mut index = 0;
        let poll = self.rings.poll(self.until, BATCH, |header, record| {
            if skips.front() == Some(&index) {
                skips.pop_front();
                *unreported -= 1;
                receiver.item(Item::Gap(Gap { count: 1, stage: LossStage::Kernel }))?;
            }
            index += 1;
            if let Some(gap) = losses.before(&header) {
                receiver.item(Item::Gap(gap))?;
            }
            receiver.item(Item::Record(header, record))
        });
        let mut poll = poll.map_err(io::Error::other)?;
        self.is_busy = poll.delivered == BATCH;
        if poll.is_stopped {
            return Ok(poll);
        }
        if poll.next.is_none_or(|next| next > self.unreported.1) {
            poll.is_stopped = self.report_skips(receiver).is_break();
        }
        if poll.next.is_none()
            && !poll.is_stopped
            && let Some(gap) = self.losses.up_to(lost)
        {
            poll.is_stopped = receiver.item(Item::Gap(gap)).is_break();
        }
        Ok(poll)
    }

    /// The records of the next batch, by index, right before which the kernel skipped an event that is not reported yet.
    fn skips(&mut self, receiver: &impl Receiver) -> Result<VecDeque<usize>, CorruptRing> {
        let (mut found, mut skips, mut index) = (VecDeque::new(), Skips::default(), 0);
        let (unreported, _) = self.unreported;
        if unreported == 0 {
            return Ok(found);
        }
        self.rings.peek(self.until, BATCH, |header, record| {
            if let Some(change) = peek::change(&header, record)
                && skips.precede(change, || receiver.follows(header, record))
                && (found.len() as u64) < unreported
            {
                found.push_back(index);
            }
            index += 1;
        })?;
        Ok(found)
    }

    /// Reports the skipped events that no record shows: those after the last record of their socket, and whole connections.
    fn report_skips(&mut self, receiver: &mut impl Receiver) -> ControlFlow<()> {
        match std::mem::take(&mut self.unreported.0) {
            0 => ControlFlow::Continue(()),
            count => receiver.item(Item::Gap(Gap { count, stage: LossStage::Kernel })),
        }
    }
}
