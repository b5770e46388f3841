//! A recording as a source.

mod fit;

use std::{io::Read, ops::ControlFlow};

use self::fit::{Fitted, fit};
use super::{Flow, RecordSink, Source, SourceError, decode::ResetReasons, raw_record::Decoder};
use crate::{
    model::{Backend, Input},
    record::{Entry, ReadError, Reader, Skipped},
};

/// How many inputs a batch has at most: many enough to be fast, few enough to be shown as they come.
const BATCH: usize = 1024;

/// How many bytes of records a batch takes, the last record aside, which may have 1 MiB.
const BATCH_BYTES: usize = 256 << 10;

/// A recording that is being read.
#[derive(Debug)]
pub struct Recording<R> {
    reader: Reader<R>,
    decoder: Decoder,
    /// A ring record that had to be extended.
    buffer: Vec<u8>,
}

impl<R: Read> Recording<R> {
    /// Reads a recording from its start.
    ///
    /// # Errors
    /// [`ReadError`], where this is not a recording.
    pub fn new(input: R) -> Result<Self, ReadError> {
        Ok(Self::of(Reader::new(input)?))
    }

    /// Reads a recording from the first segment that begins at `offset`, where the input is, or after it.
    ///
    /// # Errors
    /// [`ReadError`], where no segment begins there or later.
    pub fn join(input: R, offset: u64) -> Result<Self, ReadError> {
        Ok(Self::of(Reader::join(input, offset)?))
    }

    /// The records that were skipped so far, since this version does not know their kinds.
    pub fn skipped(&self) -> &Skipped {
        self.reader.skipped()
    }

    fn of(reader: Reader<R>) -> Self {
        let decoder = Decoder::new(Backend::TpBtf, ResetReasons::default());
        Self { reader, decoder, buffer: Vec::new() }
    }
}

impl<R: Read> Source for Recording<R> {
    async fn deliver(&mut self, sink: &mut impl RecordSink) -> Result<Flow, SourceError> {
        let mut bytes = 0;
        for _ in 0..BATCH {
            let Some(entry) = self.reader.entry() else { return Ok(Flow::Ended) };
            let delivered = match entry? {
                Entry::Input(input) => {
                    if let Input::Ready { backend, .. } = *input {
                        self.decoder.set_backend(backend);
                    }
                    sink.input(*input)
                }
                Entry::ResetReasons(names) => {
                    self.decoder.set_reasons(names.into());
                    ControlFlow::Continue(())
                }
                // The input goes from the decoder to the sink in one step: each step between copies it.
                Entry::Record(record) => match fit(record, &mut self.buffer) {
                    Fitted::Record(record) => match self.decoder.decode(record) {
                        Ok(input) => sink.input(input),
                        Err(error) => return Err(self.reader.reject(&error.to_string()).into()),
                    },
                    Fitted::UnknownKind(kind) => {
                        self.reader.skip(kind);
                        ControlFlow::Continue(())
                    }
                },
            };
            bytes += self.reader.record_len();
            if delivered.is_break() || bytes >= BATCH_BYTES {
                break;
            }
        }
        Ok(Flow::More)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{array, prelude::*};

    use super::*;
    use crate::record::Writer;

    fn recorded(notes: impl Iterator<Item = String>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes).expect("a Vec accepts every write");
        for note in notes {
            writer.input(&Input::Note(note)).expect("a Vec accepts every write");
        }
        writer.input(&Input::End(Default::default())).expect("a Vec accepts every write");
        bytes
    }

    #[tokio::test]
    async fn a_long_recording_comes_in_batches_and_ends() {
        let bytes = recorded((0..2 * BATCH).map(|number| number.to_string()));
        let mut source = Recording::new(&bytes[..]).expect("a recording");
        let mut events = Vec::new();
        let mut batches = 1;
        while source.deliver(&mut events).await.expect("whole") == Flow::More {
            batches += 1;
        }
        assert_eq!((events.len(), batches), (2 * BATCH + 1, 3));
        assert_eq!(source.deliver(&mut events).await.expect("still over"), Flow::Ended);
    }

    proptest! {
        /// A report that comes from elsewhere than a ring is recorded as the ring would have it.
        #[test]
        fn a_report_is_recorded_as_a_ring_record(
            bytes in array::uniform32(any::<[u8; 7]>()),
            kind in 1..8_u16,
            backend in prop_oneof![Just(Backend::TpBtf), Just(Backend::Tracepoint)],
        ) {
            let mut bytes = bytes.concat();
            let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
            put(0, &kind.to_ne_bytes());
            put(44, &[6_u16, 2].map(u16::to_ne_bytes).concat());
            put(52, &[7, 2]);
            // Of a reset.
            if kind == 6 {
                put(40, &[6_u16, 2].map(u16::to_ne_bytes).concat());
                put(48, &7_u32.to_ne_bytes());
            }
            // A path of three states; no error code is negative.
            put(36, &111_u32.to_ne_bytes());
            put(168, &0x712_u64.to_ne_bytes());
            put(176, &3_u32.to_ne_bytes());
            let decoder = Decoder::new(backend, ResetReasons::default());
            let mut buffer = Vec::new();
            let Fitted::Record(record) = fit(&bytes, &mut buffer) else { panic!("kind {kind}") };
            let Ok(input) = decoder.decode(record) else { return Ok(()) };
            if matches!(input, Input::BindFailed(_)) {
                return Ok(());
            }
            let mut recording = Vec::new();
            let mut writer = Writer::new(&mut recording).expect("a Vec accepts every write");
            let ready = Input::Ready {
                host: crate::model::testing::host(),
                backend,
                unavailable: Vec::new(),
                existing: None,
            };
            writer.input(&ready).expect("a Vec accepts every write");
            writer.input(&input).expect("a Vec accepts every write");
            let end = Input::End(Default::default());
            writer.input(&end).expect("a Vec accepts every write");
            drop(writer);
            let mut source = Recording::new(&recording[..]).expect("a recording");
            let mut inputs = Vec::new();
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            runtime.block_on(source.deliver(&mut inputs)).expect("whole");
            prop_assert_eq!(inputs, [ready, input, end]);
        }
    }

    /// A file whose records are all as long as they may be.
    #[tokio::test]
    async fn a_batch_is_bounded_by_bytes() {
        let long = "x".repeat((1 << 20) - 64);
        let bytes = recorded(std::iter::repeat_n(long, 32));
        let mut source = Recording::new(&bytes[..]).expect("a recording");
        let mut total = 0;
        loop {
            let mut events = Vec::new();
            let flow = source.deliver(&mut events).await.expect("whole");
            assert!(events.len() <= 2, "{} events of 1 MiB in a batch", events.len());
            total += events.len();
            if flow == Flow::Ended {
                break;
            }
        }
        assert_eq!(total, 33);
    }

    #[tokio::test]
    async fn everything_before_an_error_is_delivered() {
        let mut bytes = recorded((0..3).map(|number| number.to_string()));
        let whole = bytes.len();
        bytes.extend(recorded(std::iter::empty()));
        let mut source = Recording::new(&bytes[..]).expect("a recording");
        let mut events = Vec::new();
        let error = source.deliver(&mut events).await.expect_err("something follows the end");
        let SourceError::Recording(ReadError::Corrupted { offset, .. }) = error else { panic!("{error}") };
        assert_eq!((offset, events.len()), (whole as u64, 4));
    }
}
