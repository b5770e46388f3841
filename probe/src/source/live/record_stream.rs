//! What comes from the kernel side: the rings' records, and between them what is missing.

use std::{
    io,
    ops::ControlFlow,
    time::{Duration, Instant},
};

use super::{
    losses::{Gap, Losses},
    misses::Misses,
    ring::{Look, Ring},
};
use crate::{os::clock, source::decode::peek};

/// How many reports are taken at once: whoever waits for a batch gets one, and what becomes of them is small enough to
/// stay in the processor's cache.
pub const BATCH: usize = 1024;

/// How long a miss may wait to be told where nothing else comes.
const PAUSE: Duration = Duration::from_secs(1);

/// How long it may where batch follows upon batch: to ask for each would cost as much as some of its records.
const SHORT: Duration = Duration::from_millis(20);

/// One thing that comes.
pub enum Item<'a> {
    /// A record, as it lies in its ring.
    Record(&'a [u8]),
    /// What is missing here.
    Gap(Gap),
}

/// The rings, and what is known of what they lack.
pub struct RecordStream {
    pub ring: Ring,
    losses: Losses,
    misses: Misses,
    /// When the kernel was asked last what it has passed over.
    asked: Instant,
    /// Whether the last batch left something, so that the next goes on right behind it.
    goes_on: bool,
}

impl RecordStream {
    pub fn of(ring: Ring, misses: Misses) -> Self {
        Self { ring, losses: Losses::default(), misses, asked: Instant::now(), goes_on: false }
    }

    /// Takes what is there now, a batch at most.
    pub fn look(&mut self, each: impl FnMut(Item<'_>) -> ControlFlow<()>) -> io::Result<Look> {
        let is_due = self.asked.elapsed() > PAUSE;
        self.look_and_ask(is_due, each)
    }

    /// Takes all that has come by now.
    pub fn look_to_the_end(&mut self, mut each: impl FnMut(Item<'_>) -> ControlFlow<()>) -> io::Result<()> {
        // On a busy host there is no end of what comes meanwhile.
        let begun = clock::now();
        loop {
            let look = self.look_and_ask(true, &mut each)?;
            if look.is_enough || look.next.is_none_or(|next| next > begun) {
                return Ok(());
            }
        }
    }

    /// `asks`: whether the kernel is asked what it has passed over, although nothing has come.
    fn look_and_ask(
        &mut self,
        asks: bool,
        mut each: impl FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> io::Result<Look> {
        let is_time = !self.goes_on || self.asked.elapsed() > SHORT;
        if asks || (is_time && !self.ring.is_empty()) {
            self.asked = Instant::now();
            // Somewhere among what comes now, or before it.
            if let Some(gap) = self.misses.lost(asks)?
                && each(Item::Gap(gap)).is_break()
            {
                return Ok(Look { is_enough: true, ..Look::default() });
            }
        }
        // What is lost after this is told by the records that come after it.
        let counted = self.ring.lost();
        let losses = &mut self.losses;
        let mut look = self.ring.take(BATCH, |record| {
            if let Some(gap) = peek::header(record).and_then(|header| losses.before(&header)) {
                each(Item::Gap(gap))?;
            }
            each(Item::Record(record))
        });
        self.goes_on = look.number == BATCH;
        if look.next.is_none()
            && !look.is_enough
            && let Some(gap) = losses.up_to(counted)
        {
            look.is_enough = each(Item::Gap(gap)).is_break();
        }
        Ok(look)
    }
}
