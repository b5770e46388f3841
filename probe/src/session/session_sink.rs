//! The pipeline as the sink of a source. Each record is processed as it lies in the ring buffer: nothing is queued.
//!
//! A recording gets the records as they came, and between them the inputs that are no records.

use std::{collections::BTreeMap, ops::ControlFlow};

use super::{SessionError, pipeline::Pipeline};
use crate::{
    model::Input,
    source::{RawRecord, RecordSink, SourceError},
};

/// Processes what a source delivers.
pub(super) struct SessionSink<'a> {
    pipeline: &'a mut Pipeline,
    /// Why nothing more is processed.
    error: Option<SessionError>,
}

impl<'a> SessionSink<'a> {
    pub fn new(pipeline: &'a mut Pipeline) -> Self {
        Self { pipeline, error: None }
    }

    /// Flushes what the source delivered, and returns the pipeline's error or the source's.
    pub fn finish<T>(self, delivered: Result<T, SourceError>) -> Result<T, SessionError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        // What was delivered before an error is shown.
        self.pipeline.flush()?;
        Ok(delivered?)
    }

    /// Shows what the renderer holds back, since the source has failed.
    pub fn abort(&mut self) {
        if self.error.is_none() {
            self.error = self.pipeline.emitter.abort().err();
        }
    }

    /// Processes the next item unless the pipeline has failed or has shown enough.
    pub fn next(
        &mut self,
        process: impl FnOnce(&mut Pipeline) -> Result<(), SessionError>,
    ) -> ControlFlow<()> {
        if self.error.is_some() || self.pipeline.selector.is_exhausted() {
            return ControlFlow::Break(());
        }
        self.error = process(self.pipeline).err();
        ControlFlow::Continue(())
    }
}

impl RecordSink for SessionSink<'_> {
    fn input(&mut self, mut input: Input) -> ControlFlow<()> {
        self.next(|pipeline| pipeline.process(&mut input, None))
    }

    fn record(&mut self, record: &RawRecord<'_>) -> ControlFlow<()> {
        self.next(|pipeline| pipeline.process_record(record))
    }

    fn reset_reasons(&mut self, names: &BTreeMap<u32, String>) -> ControlFlow<()> {
        self.next(|pipeline| pipeline.record(|recording| recording.reset_reasons(names)))
    }

    fn follows(&self, record: &RawRecord<'_>) -> bool {
        self.pipeline.follows(record)
    }

    fn tolerates_delay(&self) -> bool {
        self.pipeline.recorded_only.is_some()
    }
}
