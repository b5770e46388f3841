//! What is recorded: the ring's records as they came, and between them what they do not say.

use std::{collections::BTreeMap, ops::ControlFlow};

use super::{Session, SessionError};
use crate::{
    model::{Event, SocketId, State},
    source::{Flow, Source, SourceError, Taker, Undecoded},
};

impl Session {
    /// Waits for the source's next records and events, and takes them in.
    pub(super) async fn take_and_keep(&mut self, source: &mut impl Source) -> Result<Flow, SessionError> {
        let mut keeper = Keeper::of(self);
        let flow = source.hand_over(&mut keeper).await;
        keeper.finish(flow)
    }

    /// Takes in what the source has now.
    pub(super) fn drain_and_keep(&mut self, source: &mut impl Source) -> Result<(), SessionError> {
        let mut keeper = Keeper::of(self);
        let drained = source.hand_over_rest(&mut keeper);
        keeper.finish(drained)
    }

    /// Keeps a record that nobody looks at now, with what the host alone can say to it, and only now.
    fn keep_unseen(&mut self, record: &Undecoded<'_>) -> Result<(), SessionError> {
        self.unseen.iter_mut().for_each(|count| *count += 1);
        if record.is_bind() {
            return self.feed(record.decode());
        }
        if let Some(id) = record.cgroup()
            && let Some(cgroup) = self.companion.as_mut().and_then(|companion| companion.cgroup(id))
        {
            self.keep(&Event::Cgroup(cgroup))?;
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

/// Takes what comes from a source into a session that is recorded.
struct Keeper<'a> {
    session: &'a mut Session,
    /// Why no more is taken in.
    failed: Option<SessionError>,
}

impl<'a> Keeper<'a> {
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

    fn go_on(&mut self, done: Result<(), SessionError>) -> ControlFlow<()> {
        self.failed = done.err();
        if self.failed.is_some() || self.session.selector.is_full() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

impl Taker for Keeper<'_> {
    fn event(&mut self, event: Event) -> ControlFlow<()> {
        let done = self.session.feed(event);
        self.go_on(done)
    }

    fn record(&mut self, record: &Undecoded<'_>) -> ControlFlow<()> {
        let done = if self.session.unseen.is_some() {
            self.session.keep_unseen(record)
        } else {
            let mut event = record.decode();
            // What the host says to a failed bind is in the event alone, and of a record that makes no sense nothing but
            // the loss is kept.
            let is_whole = !matches!(event, Event::BindFailed(_) | Event::Lost { .. });
            self.session.receive_and_keep(&mut event, is_whole.then_some(record.bytes()))
        };
        self.go_on(done)
    }

    fn has_time(&self) -> bool {
        self.session.unseen.is_some()
    }

    fn reasons(&mut self, reasons: &BTreeMap<u32, String>) -> ControlFlow<()> {
        let done = self.session.record(|recording| recording.reasons(reasons));
        self.go_on(done)
    }
}
