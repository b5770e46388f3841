//! The ring's records to those who want them undecoded.

use std::ops::ControlFlow;

use super::{BATCH, Live, Pace, decode::peek};
use crate::{
    model::{Event, Mono},
    net::clock,
    source::{SourceError, Taker, Undecoded},
};

/// What came of a look into the ring.
#[derive(Default)]
struct Given {
    /// How many records and losses were handed over.
    number: usize,
    /// When the last of them was.
    last: Option<Mono>,
    /// Whether the taker has had enough.
    is_enough: bool,
}

impl Live {
    /// Hands over what is in the ring now. Where it is empty, `asks` is whether the kernel side is asked what it has lost
    /// since. Returns how much it was.
    pub(super) fn give(&mut self, taker: &mut impl Taker, asks: bool) -> Result<usize, SourceError> {
        self.give_and_tell(taker, asks).map(|given| given.number)
    }

    /// Hands over all that has come by now.
    pub(super) fn give_rest(&mut self, taker: &mut impl Taker) -> Result<(), SourceError> {
        // On a busy host there is no end of what comes meanwhile.
        let begun = clock::now();
        loop {
            let given = self.give_and_tell(taker, true)?;
            if given.number == 0 || given.is_enough || given.last.is_some_and(|last| last > begun) {
                return Ok(());
            }
        }
    }

    fn give_and_tell(&mut self, taker: &mut impl Taker, asks: bool) -> Result<Given, SourceError> {
        let mut given = Given::default();
        if self.give_first(taker, &mut given, asks)?.is_continue()
            && self.pass_on(taker, &mut given).is_continue()
            && asks
            && given.number == 0
        {
            let counted = self.losses.counted()?;
            // What has come in between has the count with it.
            if self.pass_on(taker, &mut given).is_continue() && given.number == 0 {
                let lost = self.losses.at_the_end(counted);
                let _ = lost.into_iter().try_for_each(|lost| given.event(taker, lost));
            }
        }
        if let Some(log) = &mut self.log {
            log.flush();
        }
        Ok(given)
    }

    /// What is told before the records.
    fn give_first(
        &mut self,
        taker: &mut impl Taker,
        given: &mut Given,
        asks: bool,
    ) -> Result<ControlFlow<()>, SourceError> {
        // Somewhere among what comes now, or before it.
        let looks = asks || !matches!(self.pace, Pace::Idle);
        let missed = if looks { self.misses.lost(asks).map_err(SourceError::Live)? } else { None };
        let is_first = !self.pending.is_empty();
        let mut told = self.pending.drain(..).chain(missed);
        let mut flow = told.try_for_each(|event| given.event(taker, event));
        if is_first && flow.is_continue() {
            flow = taker.reasons(self.decoder.reasons());
        }
        Ok(flow)
    }

    fn pass_on(&mut self, taker: &mut impl Taker, given: &mut Given) -> ControlFlow<()> {
        let Self { ring, losses, decoder, .. } = self;
        let ring = ring.get_mut();
        for _ in 0..BATCH {
            let Some(record) = ring.next() else { break };
            let header = peek::header(&record);
            if let Some(lost) = header.and_then(|header| losses.before(&header)) {
                given.event(taker, lost)?;
            }
            given.number += 1;
            given.last = header.as_ref().map(peek::at);
            let kind = header.map_or(0, |header| header.kind);
            let flow = taker.record(&Undecoded::new(&record, kind, decoder));
            given.is_enough = flow.is_break();
            flow?;
        }
        ControlFlow::Continue(())
    }
}

impl Given {
    fn event(&mut self, taker: &mut impl Taker, event: Event) -> ControlFlow<()> {
        self.number += 1;
        let flow = taker.event(event);
        self.is_enough = flow.is_break();
        flow
    }
}
