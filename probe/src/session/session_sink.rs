//! The session as the sink of a source. Each record is processed as it lies in the ring buffer: nothing is queued.
//!
//! A recording gets the records as they came, and between them the inputs that are no records.

use std::{collections::BTreeMap, ops::ControlFlow};

use super::{Session, SessionError};
use crate::{
    model::{Input, SocketId},
    source::{RawRecord, RecordSink, SourceError},
};

/// Processes what a source delivers in a session.
pub(super) struct SessionSink<'a> {
    session: &'a mut Session,
    /// Why nothing more is processed.
    error: Option<SessionError>,
}

impl<'a> SessionSink<'a> {
    pub fn new(session: &'a mut Session) -> Self {
        Self { session, error: None }
    }

    /// Flushes what the source delivered, and returns the session's error or the source's.
    pub fn finish<T>(self, delivered: Result<T, SourceError>) -> Result<T, SessionError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        // What was delivered before an error is shown.
        self.session.flush()?;
        Ok(delivered?)
    }

    /// Shows what the renderer holds back, since the source has failed.
    pub fn abort(&mut self) {
        if self.error.is_none() {
            self.error = self.session.emitter.abort().err();
        }
    }

    /// Processes the next item unless the session has failed or has shown enough.
    pub fn next(
        &mut self,
        process: impl FnOnce(&mut Session) -> Result<(), SessionError>,
    ) -> ControlFlow<()> {
        if self.error.is_some() || self.session.selector.is_exhausted() {
            return ControlFlow::Break(());
        }
        self.error = process(self.session).err();
        ControlFlow::Continue(())
    }
}

impl RecordSink for SessionSink<'_> {
    fn input(&mut self, mut input: Input) -> ControlFlow<()> {
        self.next(|session| session.process(&mut input, None))
    }

    fn record(&mut self, record: &RawRecord<'_>) -> ControlFlow<()> {
        self.next(|session| session.process_record(record))
    }

    fn reset_reasons(&mut self, names: &BTreeMap<u32, String>) -> ControlFlow<()> {
        self.next(|session| session.record(|recording| recording.reset_reasons(names)))
    }

    fn follows(&self, record: &RawRecord<'_>) -> bool {
        match (&self.session.analysis, record.decode_or_lost()) {
            (Some(analysis), Input::Report(report)) => analysis.follows(&report),
            _ => true,
        }
    }

    fn tolerates_delay(&self) -> bool {
        self.session.recorded_only.is_some()
    }
}

impl Session {
    fn process_record(&mut self, record: &RawRecord<'_>) -> Result<(), SessionError> {
        if let Some(count) = &mut self.recorded_only {
            *count += 1;
            return self.record_only_this(record);
        }
        let mut input = record.decode_or_lost();
        // The answers of the host to a failed bind are in the input, not in the record; of a malformed record, the
        // recording gets the loss.
        let is_complete = !matches!(input, Input::BindFailed(_) | Input::Lost { .. });
        self.process(&mut input, is_complete.then_some(record.bytes()))
    }

    /// Records a record without decoding it, and what only the host can add to it, and only now.
    fn record_only_this(&mut self, record: &RawRecord<'_>) -> Result<(), SessionError> {
        if record.is_bind() {
            return self.process(&mut record.decode_or_lost(), None);
        }
        if let Some(id) = record.cgroup()
            && let Some(cgroup) = self.emitter.host.as_mut().and_then(|host| host.cgroup_if_new(id))
        {
            self.record(|recording| recording.input(&Input::Cgroup(cgroup)))?;
        }
        if self.emitter.tracks_closing
            && let Some((number, entered)) = record.entered()
        {
            self.emitter.track_closing(SocketId { number, generation: 0 }, entered);
        }
        self.record(|recording| recording.record(record.bytes()))
    }
}
