//! The loop that traces, replays, scenarios and audits share: it waits for the source or for an event of the caller's.

use std::future::Future;

use super::{Session, SessionError, session_sink::SessionSink};
use crate::source::{Flow, Source};

/// What happened first.
pub(super) enum Next<T> {
    /// The source delivered a batch, which has been processed.
    Batch(Flow),
    /// The caller's event.
    Event(T),
}

impl Session {
    /// Waits for the source's next batch, which is processed, or for `event`.
    pub(super) async fn next<T>(
        &mut self,
        source: &mut impl Source,
        event: impl Future<Output = T>,
    ) -> Result<Next<T>, SessionError> {
        tokio::select! {
            value = event => Ok(Next::Event(value)),
            flow = self.process_batch(source) => flow.map(Next::Batch),
        }
    }

    /// Waits for the source's next batch and processes it.
    pub(super) async fn process_batch(&mut self, source: &mut impl Source) -> Result<Flow, SessionError> {
        let mut sink = SessionSink::new(self);
        let flow = source.deliver(&mut sink).await;
        sink.finish(flow)
    }

    /// Processes everything that the source has now.
    pub(super) fn drain(&mut self, source: &mut impl Source) -> Result<(), SessionError> {
        let mut sink = SessionSink::new(self);
        let drained = source.drain(&mut sink);
        sink.finish(drained)
    }
}
