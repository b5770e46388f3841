//! Delivers the rings' records to a sink, undecoded.

use std::{io, ops::ControlFlow};

use super::{Live, record_stream::Item, ring::Poll};
use crate::source::{RawRecord, RecordSink, raw_record::Decoder};

impl Live {
    /// Delivers what is in the rings now: a batch at most.
    pub(super) fn deliver_batch(&mut self, sink: &mut impl RecordSink) -> io::Result<Poll> {
        if self.deliver_pending(sink).is_break() {
            return Ok(Poll::default());
        }
        let Self { record_stream, decoder, .. } = self;
        let poll = record_stream.poll(|item| deliver(item, sink, decoder));
        self.flush_log();
        poll
    }

    /// Delivers everything that has been recorded by now.
    pub(super) fn drain_all(&mut self, sink: &mut impl RecordSink) -> io::Result<()> {
        if self.deliver_pending(sink).is_break() {
            return Ok(());
        }
        self.drain_rings(sink)
    }

    /// Delivers every record in the rings.
    pub(super) fn drain_rings(&mut self, sink: &mut impl RecordSink) -> io::Result<()> {
        let Self { record_stream, decoder, .. } = self;
        let drained = record_stream.drain(|item| deliver(item, sink, decoder));
        self.flush_log();
        drained
    }

    /// Delivers what precedes the first record.
    fn deliver_pending(&mut self, sink: &mut impl RecordSink) -> ControlFlow<()> {
        if self.pending.is_empty() {
            return ControlFlow::Continue(());
        }
        self.pending.drain(..).try_for_each(|input| sink.input(input))?;
        sink.reset_reasons(self.decoder.reasons())
    }
}

fn deliver(item: Item<'_>, sink: &mut impl RecordSink, decoder: &Decoder) -> ControlFlow<()> {
    match item {
        Item::Gap(gap) => sink.input(gap.into()),
        Item::Record(header, bytes) => sink.record(&RawRecord::new(header, bytes, decoder)),
    }
}
