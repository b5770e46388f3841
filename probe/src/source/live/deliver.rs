//! Delivers the rings' records to a sink, undecoded.

use std::{io, ops::ControlFlow};

use probe_ebpf::RecordHeader;

use super::{
    Live,
    record_stream::{Item, Receiver},
    ring::Poll,
};
use crate::source::{RawRecord, RecordSink, raw_record::Decoder};

impl Live {
    /// Delivers what is in the rings now: a batch at most.
    pub(super) fn deliver_batch(&mut self, sink: &mut impl RecordSink) -> io::Result<Poll> {
        if self.deliver_pending(sink).is_break() {
            return Ok(Poll::default());
        }
        let Self { record_stream, decoder, .. } = self;
        let poll = record_stream.poll(&mut Delivery { sink, decoder });
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
        let drained = record_stream.drain(&mut Delivery { sink, decoder });
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

/// The sink as the receiver of the stream.
struct Delivery<'a, S> {
    sink: &'a mut S,
    decoder: &'a Decoder,
}

impl<S: RecordSink> Receiver for Delivery<'_, S> {
    fn item(&mut self, item: Item<'_>) -> ControlFlow<()> {
        match item {
            Item::Gap(gap) => self.sink.input(gap.into()),
            Item::Record(header, bytes) => self.sink.record(&RawRecord::new(header, bytes, self.decoder)),
        }
    }

    fn follows(&self, header: RecordHeader, record: &[u8]) -> bool {
        self.sink.follows(&RawRecord::new(header, record, self.decoder))
    }
}
