//! What comes from a source is taken in record by record, as it lies in the ring: nothing is put aside on the way. What is
//! recorded of it are the records as they came, and between them what they do not say.

use std::{collections::BTreeMap, ops::ControlFlow};

use super::{Session, SessionError};
use crate::{
    model::{Input, SocketId, State},
    source::{Flow, RawRecord, RecordSink, Source, SourceError},
};

impl Session {
    /// Waits for the source's next records and events, and takes them in.
    pub(super) async fn take(&mut self, source: &mut impl Source) -> Result<Flow, SessionError> {
        let mut intake = SessionSink::of(self);
        let flow = source.deliver(&mut intake).await;
        intake.finish(flow)
    }

    /// Takes in what the source has now.
    pub(super) fn drain(&mut self, source: &mut impl Source) -> Result<(), SessionError> {
        let mut intake = SessionSink::of(self);
        let drained = source.drain(&mut intake);
        intake.finish(drained)
    }

    /// Keeps a record that nobody looks at now, with what the host alone can say to it, and only now.
    fn keep_unseen(&mut self, record: &RawRecord<'_>) -> Result<(), SessionError> {
        self.unseen.iter_mut().for_each(|count| *count += 1);
        if record.is_bind() {
            return self.feed(record.decode_or_lost());
        }
        if let Some(id) = record.cgroup()
            && let Some(cgroup) = self.companion.as_mut().and_then(|companion| companion.cgroup(id))
        {
            self.keep(&Input::Cgroup(cgroup))?;
        }
        match self.follows_to_the_end.then(|| record.entered()).flatten() {
            Some((number, State::FinWait1 | State::FinWait2 | State::Closing | State::LastAck)) => {
                self.closing.insert(SocketId { number, generation: 0 });
            }
            Some((number, State::Close)) => {
                self.closing.remove(&SocketId { number, generation: 0 });
            }
            _ => {}
        }
        self.record(|recording| recording.record(record.bytes()))
    }
}

/// Takes what comes from a source into a session.
struct SessionSink<'a> {
    session: &'a mut Session,
    /// Why no more is taken in.
    failed: Option<SessionError>,
}

impl<'a> SessionSink<'a> {
    fn of(session: &'a mut Session) -> Self {
        Self { session, failed: None }
    }

    fn finish<T>(self, source: Result<T, SourceError>) -> Result<T, SessionError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        // What the source delivered before an error counts.
        self.session.flush()?;
        Ok(source?)
    }

    /// Takes in the next, if any more is wanted.
    fn next(&mut self, take: impl FnOnce(&mut Session) -> Result<(), SessionError>) -> ControlFlow<()> {
        if self.failed.is_some() || self.session.selector.is_full() {
            return ControlFlow::Break(());
        }
        self.failed = take(self.session).err();
        ControlFlow::Continue(())
    }
}

impl RecordSink for SessionSink<'_> {
    fn input(&mut self, event: Input) -> ControlFlow<()> {
        self.next(|session| session.feed(event))
    }

    fn record(&mut self, record: &RawRecord<'_>) -> ControlFlow<()> {
        self.next(|session| {
            if session.unseen.is_some() {
                return session.keep_unseen(record);
            }
            let mut event = record.decode_or_lost();
            // What the host says to a failed bind is in the event alone, and of a record that makes no sense nothing but
            // the loss is kept.
            let is_whole = !matches!(event, Input::BindFailed(_) | Input::Lost { .. });
            session.receive_and_keep(&mut event, is_whole.then_some(record.bytes()))
        })
    }

    fn tolerates_delay(&self) -> bool {
        self.session.unseen.is_some()
    }

    fn reset_reasons(&mut self, reasons: &BTreeMap<u32, String>) -> ControlFlow<()> {
        self.next(|session| session.record(|recording| recording.reasons(reasons)))
    }
}
