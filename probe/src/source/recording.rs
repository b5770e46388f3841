//! A recording as a source: everything downstream of the kernel again.

use std::io::BufRead;

use super::{Flow, RecordSink, Source, SourceError, decode::ResetReasons, raw_record::Decoder};
use crate::{
    model::{Backend, Input},
    record::{Entry, ReadError, Reader},
};

/// How many events are read at once: enough to be quick, few enough to be shown as they come.
const BATCH: usize = 1024;

/// A recording that is being read.
#[derive(Debug)]
pub struct Recording<R> {
    reader: Reader<R>,
    decoder: Decoder,
}

impl<R: BufRead> Recording<R> {
    /// Reads the first line of a recording.
    ///
    /// # Errors
    /// [`ReadError`], where this is no recording that this version reads.
    pub fn new(input: R) -> Result<Self, ReadError> {
        let decoder = Decoder::new(Backend::TpBtf, ResetReasons::default());
        Ok(Self { reader: Reader::new(input)?, decoder })
    }

    /// The next event; `None` where there is no more.
    fn next(&mut self) -> Result<Option<Input>, ReadError> {
        loop {
            let Some(entry) = self.reader.entry() else { return Ok(None) };
            match entry? {
                Entry::Input(event) => {
                    if let Input::Ready { backend, .. } = *event {
                        self.decoder.set_backend(backend);
                    }
                    return Ok(Some(*event));
                }
                Entry::Reasons(reasons) => self.decoder.set_reasons(reasons.into()),
                Entry::Record(record) => {
                    let decoded = self.decoder.decode(record);
                    return decoded.map(Some).map_err(|error| self.reader.refuse(&error.to_string()));
                }
            }
        }
    }
}

impl<R: BufRead> Source for Recording<R> {
    async fn deliver(&mut self, sink: &mut impl RecordSink) -> Result<Flow, SourceError> {
        for _ in 0..BATCH {
            let Some(input) = self.next()? else { return Ok(Flow::Ended) };
            if sink.input(input).is_break() {
                break;
            }
        }
        Ok(Flow::More)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Position, Writer};

    fn recorded(notes: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes).expect("memory takes everything");
        for number in 0..notes {
            writer.event(&Input::Note(number.to_string())).expect("memory takes everything");
        }
        writer.event(&Input::End(Default::default())).expect("memory takes everything");
        bytes
    }

    #[tokio::test]
    async fn a_long_recording_comes_in_batches_and_ends() {
        let bytes = recorded(2 * BATCH);
        let mut source = Recording::new(&bytes[..]).expect("a recording");
        let mut events = Vec::new();
        let mut batches = 1;
        while source.deliver(&mut events).await.expect("whole") == Flow::More {
            batches += 1;
        }
        assert_eq!((events.len(), batches), (2 * BATCH + 1, 3));
        assert_eq!(source.deliver(&mut events).await.expect("still over"), Flow::Ended);
    }

    #[tokio::test]
    async fn what_was_readable_comes_before_the_error() {
        let bytes = recorded(3);
        let cut = &bytes[..bytes.len() - 5];
        let mut source = Recording::new(cut).expect("a recording");
        let mut events = Vec::new();
        let error = source.deliver(&mut events).await.expect_err("cut off");
        // Where the line begins that has lost its end. Lines are not counted: frames may stand between them.
        let last = cut.iter().rposition(|byte| *byte == b'\n').expect("a line before it") + 1;
        let SourceError::Recording(ReadError::Truncated { place }) = error else { panic!("{error}") };
        assert_eq!(place, Position::Byte(last as u64));
        assert_eq!(events.len(), 3);
    }
}
