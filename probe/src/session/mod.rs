//! The session: inputs from a source and from scenarios go through the analysis to a renderer and a recording.
//!
//! `pipeline` is what happens to each input: it is dispatched, analyzed, and its outputs are emitted. `event_loop` waits
//! for the source or for an event of the caller, whichever comes first. A trace ([`Session::follow`]), a replay
//! ([`Session::replay`]), a scenario ([`Session::run_scenario`]) and an audit ([`Auditor`]) use it.

mod analysis;
mod audit;
mod block_writer;
mod emitter;
mod event_loop;
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
    io::{self, Write},
    sync::Arc,
    time::{Duration, Instant},
};

use thiserror::Error;

use self::{analysis::Analysis, emitter::Emitter, host_queries::Enricher, selection::Selector};
pub use self::{
    audit::Auditor, block_writer::BLOCK_SIZE, follow::StopReason, host_queries::HostQueries,
    live_host::LiveHost, replay::TickMode, scenario_run::ScenarioResult, scope::Scope, selection::Selection,
};
use crate::{
    audit::Observer,
    detect,
    model::{Backend, End, Filter, FindingKind, Host, Input, Mono, Output, Phase, Verdict},
    record::Writer,
    render::Render,
    source::{Source, SourceError},
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

/// The pipeline from inputs to a renderer and a recording.
pub struct Session {
    scope: Scope,
    detector_options: detect::Options,
    /// The host and the backend of the reports, once [`Input::Ready`] has named them.
    origin: Option<(Host, Backend)>,
    /// Created at [`Input::Ready`], since it depends on the host; `None` also if records are only recorded.
    analysis: Option<Analysis>,
    /// Which sockets the stream covers, until [`Input::Ready`] has come.
    stream_filter: Option<Filter>,
    selector: Selector,
    /// Receives the transitions of an audit, instead of the renderer.
    observer: Option<Arc<Observer>>,
    emitter: Emitter,
    recording: Option<Writer<Box<dyn Write>>>,
    /// The number of records that were recorded without being decoded; `None` if records are decoded.
    recorded_only: Option<u64>,
    /// Whether the kernel reports connections at their end, instead of each transition.
    has_summaries: bool,
    /// The time of the latest report.
    latest: Mono,
    verdicts: Vec<Verdict>,
    started: Instant,
    /// The buffer for the outputs of one input.
    outputs: Vec<Output>,
}

impl Session {
    /// A session that shows the reports in `scope` with `render` and writes the text to `out`, in large blocks.
    #[must_use]
    pub fn new(scope: Scope, render: Box<dyn Render>, out: Box<dyn Write>) -> Self {
        Self {
            scope,
            detector_options: detect::Options::default(),
            origin: None,
            analysis: None,
            stream_filter: None,
            selector: Selector::new(Selection::default()),
            observer: None,
            emitter: Emitter::new(render, out),
            recording: None,
            recorded_only: None,
            has_summaries: false,
            latest: Mono::default(),
            verdicts: Vec::new(),
            started: Instant::now(),
            outputs: Vec::new(),
        }
    }

    /// Writes all inputs to `recording`, too.
    #[must_use]
    pub fn recording(mut self, recording: Option<Writer<Box<dyn Write>>>) -> Self {
        self.recording = recording;
        self
    }

    /// Writes records to the recording without decoding them: a replay analyzes them.
    #[must_use]
    pub fn record_only(mut self) -> Self {
        self.recorded_only = Some(0);
        self
    }

    /// Limits the stream to these sockets. The source may deliver more; only the recording has it.
    #[must_use]
    pub fn stream_filter(mut self, filter: Filter) -> Self {
        // The descendants are a command's processes: its connections may outlive it for a moment.
        self.emitter.tracks_closing = filter.descendants;
        self.stream_filter = Some(filter).filter(|filter| !filter.is_empty());
        self
    }

    /// Shows this part of the stream only.
    #[must_use]
    pub fn selection(mut self, selection: Selection) -> Self {
        self.selector = Selector::new(selection);
        self
    }

    /// Configures the detectors.
    #[must_use]
    pub fn detector_options(mut self, options: detect::Options) -> Self {
        self.detector_options = options;
        self
    }

    /// Queries this host for what the kernel's reports do not contain.
    #[must_use]
    pub fn host_queries(mut self, host: Box<dyn HostQueries>) -> Self {
        self.emitter.host = Some(Enricher::new(host));
        self
    }

    /// Passes transitions to `observer` instead of the renderer, without detectors.
    fn observer(mut self, observer: Arc<Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Waits until the source is ready: from then on, the stream is complete.
    ///
    /// # Errors
    /// The source failed, or the output or the recording cannot be written.
    pub async fn ready(&mut self, source: &mut impl Source) -> Result<(), SessionError> {
        while self.origin.is_none() {
            self.process_batch(source).await?;
        }
        Ok(())
    }

    /// Adds an explanation to the stream.
    ///
    /// # Errors
    /// The output or the recording cannot be written.
    pub fn note(&mut self, text: impl Into<String>) -> Result<(), SessionError> {
        self.process(&mut Input::Note(text.into()), None)
    }

    /// The verdicts of the scenarios that have ended.
    #[must_use]
    pub fn verdicts(&self) -> &[Verdict] {
        &self.verdicts
    }

    /// Whether a finding of one of these kinds was shown.
    #[must_use]
    pub fn has_found(&self, kinds: &[FindingKind]) -> bool {
        kinds.iter().any(|kind| self.emitter.found.contains(kind))
    }

    /// Ends the stream now. A scenario that is still running counts as interrupted.
    ///
    /// # Errors
    /// The output or the recording cannot be written.
    pub fn finish(&mut self, attach: Option<Duration>) -> Result<End, SessionError> {
        if let Some(scenario) = self.emitter.scenario.take() {
            let phase = Phase::End { verdict: Verdict::Interrupted };
            self.process(&mut Input::Scenario { name: scenario.name, phase }, None)?;
        }
        self.end(self.started.elapsed(), attach)
    }

    /// The number of connections that are open; `None` if it is unknown.
    fn open_connections(&self) -> Option<u64> {
        let is_known = !self.has_summaries
            && self.observer.is_none()
            && self.emitter.totals.lost == 0
            && !self.selector.filters_sockets();
        self.analysis.as_ref().filter(|_| is_known).map(Analysis::open_connections)
    }

    fn end(&mut self, duration: Duration, attach: Option<Duration>) -> Result<End, SessionError> {
        let recorded = self.recorded_only;
        let open = self.open_connections();
        let end = End { duration, attach, open, recorded, ..self.emitter.totals.clone() };
        self.record(|recording| recording.input(&Input::End(end.clone())))?;
        self.emitter.show_at(self.latest, &Output::End(end.clone()))?;
        self.flush()?;
        Ok(end)
    }

    /// Writes to the recording, if there is one. After an error there is none, so that the rest of the output is still
    /// written.
    fn record(
        &mut self,
        write: impl FnOnce(&mut Writer<Box<dyn Write>>) -> io::Result<()>,
    ) -> Result<(), SessionError> {
        let Some(recording) = &mut self.recording else { return Ok(()) };
        write(recording).map_err(|error| {
            self.recording = None;
            SessionError::Recording(error)
        })
    }

    fn flush(&mut self) -> Result<(), SessionError> {
        // The recording first: a replay shows again what was shown.
        self.record(Writer::flush)?;
        self.emitter.flush()
    }
}
