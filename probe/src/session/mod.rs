//! The session: inputs from a source and from scenarios go through the analysis to a renderer and a recording.
//!
//! `pipeline` is what happens to each input: it is dispatched, analyzed, and its outputs are emitted. A [`Session`] waits for
//! the source or for an event of the caller, whichever comes first. A trace ([`follow`]), a replay ([`replay`]), a scenario
//! ([`run_scenario`]) and an audit ([`Auditor`]) are its loops.

mod analysis;
mod audit;
mod block_writer;
mod emitter;
mod filter;
mod follow;
mod host_queries;
mod live_host;
mod pipeline;
mod replay;
mod scenario_run;
mod scope;
mod selection;
mod session_sink;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::{
    future::Future,
    io::{self, Write},
    sync::Arc,
    time::{Duration, Instant},
};

use thiserror::Error;

pub use self::{
    audit::Auditor,
    block_writer::BLOCK_SIZE,
    follow::{StopReason, follow, settle_closing},
    host_queries::HostQueries,
    live_host::LiveHost,
    replay::{TickMode, replay},
    scenario_run::{ScenarioResult, run_scenario},
    scope::Scope,
    selection::Selection,
};
use self::{host_queries::Enricher, pipeline::Pipeline, selection::Selector, session_sink::SessionSink};
use crate::{
    audit::Observer,
    detect,
    model::{End, Filter, FindingKind, Input, Verdict},
    record::Writer,
    render::Render,
    source::{Flow, Source, SourceError},
};

/// Why a session cannot continue.
#[derive(Debug, Error)]
pub enum SessionError {
    /// The source failed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The output cannot be written. If its reader closed it, that is not a failure.
    #[error("cannot write the output: {0}")]
    Output(io::Error),
    /// The recording cannot be written.
    #[error("cannot write the recording: {0}")]
    Recording(io::Error),
}

/// What happened first.
enum Next<T> {
    /// The source delivered a batch, which has been processed.
    Batch(Flow),
    /// The caller's event.
    Event(T),
}

/// A stream from a source to a renderer and a recording.
pub struct Session {
    pipeline: Pipeline,
    started: Instant,
}

impl Session {
    /// A session that shows the reports in `scope` with `render` and writes the text to `out`, in large blocks.
    #[must_use]
    pub fn new(scope: Scope, render: Box<dyn Render>, out: Box<dyn Write>) -> Self {
        Self { pipeline: Pipeline::new(scope, render, out), started: Instant::now() }
    }

    /// Writes all inputs to `recording`, too.
    #[must_use]
    pub fn recording(mut self, recording: Option<Writer<Box<dyn Write>>>) -> Self {
        self.pipeline.recording = recording;
        self
    }

    /// Writes records to the recording without decoding them: a replay analyzes them.
    #[must_use]
    pub fn record_only(mut self) -> Self {
        self.pipeline.recorded_only = Some(0);
        self
    }

    /// Limits the stream to these sockets. The source may deliver more; only the recording has it.
    #[must_use]
    pub fn stream_filter(mut self, filter: Filter) -> Self {
        // The descendants are a command's processes: its connections may outlive it for a moment.
        self.pipeline.emitter.tracks_closing = filter.descendants;
        self.pipeline.stream_filter = Some(filter).filter(|filter| !filter.is_empty());
        self
    }

    /// Shows this part of the stream only.
    #[must_use]
    pub fn selection(mut self, selection: Selection) -> Self {
        self.pipeline.selector = Selector::new(selection);
        self
    }

    /// Configures the detectors.
    #[must_use]
    pub fn detector_options(mut self, options: detect::Options) -> Self {
        self.pipeline.detector_options = options;
        self
    }

    /// Queries this host for what the kernel's reports do not contain.
    #[must_use]
    pub fn host_queries(mut self, host: Box<dyn HostQueries>) -> Self {
        self.pipeline.emitter.host = Some(Enricher::new(host));
        self
    }

    /// Passes transitions to `observer` instead of the renderer, without detectors.
    fn observer(mut self, observer: Arc<Observer>) -> Self {
        self.pipeline.observer = Some(observer);
        self
    }

    /// Waits until the source is ready: from then on, the stream is complete.
    ///
    /// # Errors
    /// The source failed, or the output or the recording cannot be written.
    pub async fn ready(&mut self, source: &mut impl Source) -> Result<(), SessionError> {
        while self.pipeline.origin.is_none() {
            self.process_batch(source).await?;
        }
        Ok(())
    }

    /// Adds an explanation to the stream.
    ///
    /// # Errors
    /// The output or the recording cannot be written.
    pub fn note(&mut self, text: impl Into<String>) -> Result<(), SessionError> {
        self.pipeline.process(&mut Input::Note(text.into()), None)
    }

    /// The verdicts of the scenarios that have ended.
    #[must_use]
    pub fn verdicts(&self) -> &[Verdict] {
        &self.pipeline.verdicts
    }

    /// Whether a finding of one of these kinds was shown.
    #[must_use]
    pub fn has_found(&self, kinds: &[FindingKind]) -> bool {
        kinds.iter().any(|kind| self.pipeline.emitter.found.contains(kind))
    }

    /// Ends the stream now. A scenario that is still running counts as interrupted.
    ///
    /// # Errors
    /// The output or the recording cannot be written.
    pub fn finish(&mut self, attach: Option<Duration>) -> Result<End, SessionError> {
        self.pipeline.finish(self.started.elapsed(), attach)
    }

    /// Waits for the source's next batch, which is processed, or for `event`.
    async fn next<T>(
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
    async fn process_batch(&mut self, source: &mut impl Source) -> Result<Flow, SessionError> {
        let mut sink = SessionSink::new(&mut self.pipeline);
        let flow = source.deliver(&mut sink).await;
        sink.finish(flow)
    }

    /// Processes everything that the source has now.
    fn drain(&mut self, source: &mut impl Source) -> Result<(), SessionError> {
        let mut sink = SessionSink::new(&mut self.pipeline);
        let drained = source.drain(&mut sink);
        sink.finish(drained)
    }
}
