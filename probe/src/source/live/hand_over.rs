//! The rings' records to those who want them raw_record.

use std::ops::ControlFlow;

use super::{Live, record_stream::Item, ring::Look};
use crate::source::{RawRecord, RecordSink, SourceError, decode::peek, raw_record::Decoder};

impl Live {
    /// Hands over what is in the rings now.
    pub(super) fn give(&mut self, taker: &mut impl RecordSink) -> Result<Look, SourceError> {
        if self.give_first(taker).is_break() {
            return Ok(Look::default());
        }
        let Self { record_stream, decoder, .. } = self;
        let look = record_stream.look(|item| pass_on(item, taker, decoder))?;
        self.flush_log();
        Ok(look)
    }

    /// Hands over all that has come by now.
    pub(super) fn give_rest(&mut self, taker: &mut impl RecordSink) -> Result<(), SourceError> {
        if self.give_first(taker).is_continue() {
            let Self { record_stream, decoder, .. } = self;
            record_stream.look_to_the_end(|item| pass_on(item, taker, decoder))?;
            self.flush_log();
        }
        Ok(())
    }

    /// What is told before the first record.
    fn give_first(&mut self, taker: &mut impl RecordSink) -> ControlFlow<()> {
        if self.pending.is_empty() {
            return ControlFlow::Continue(());
        }
        self.pending.drain(..).try_for_each(|event| taker.event(event))?;
        taker.reasons(self.decoder.reasons())
    }
}

fn pass_on(item: Item<'_>, taker: &mut impl RecordSink, decoder: &Decoder) -> ControlFlow<()> {
    match item {
        Item::Gap(gap) => taker.event(gap.into()),
        Item::Record(record) => {
            let kind = peek::header(record).map_or(0, |header| header.kind);
            taker.record(&RawRecord::new(record, kind, decoder))
        }
    }
}
