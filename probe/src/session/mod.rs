//! The one loop: a source's events go through tracker and detectors to a renderer and a recording.
//!
//! `feed` is what happens to each event. [`Session::follow`], [`replay`](Session::replay) and
//! [`perform`](Session::perform) decide where the events come from and when to stop.

mod analysis;
mod audit;
mod block_writer;
mod filter;
mod follow;
mod host_queries;
mod live_host;
mod perform;
mod pipeline;
mod replay;
mod scope;
mod selection;
mod session_sink;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    io::{self, Write},
    time::{Duration, Instant},
};

use foldhash::HashSet;
use thiserror::Error;

use self::{analysis::Analysis, host_queries::Enricher, selection::Selector};
pub use self::{
    audit::Auditor,
    block_writer::{BLOCK_SIZE, BlockWriter},
    follow::Ending,
    host_queries::HostQueries,
    live_host::LiveHost,
    perform::{Performance, Performed},
    replay::Ticks,
    scope::Scope,
    selection::Selection,
};
use crate::{
    detect,
    model::{End, Filter, FindingKind, Input, Output, Phase, SocketId, Transition, Verdict},
    record::Writer,
    render::Render,
    source::{Source, SourceError},
};

/// Why a session cannot go on.
#[derive(Debug, Error)]
pub enum SessionError {
    /// The source has no more to give.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The output is closed. Its reader had enough: not a failure.
    #[error("cannot write the output: {0}")]
    Output(io::Error),
    /// The recording cannot be written any more.
    #[error("cannot write the recording: {0}")]
    Recording(io::Error),
}

/// From events to what is shown of them.
pub struct Session {
    scope: Scope,
    options: detect::Options,
    /// Whether [`Input::Ready`] has come.
    is_ready: bool,
    /// From then on, since it says what host the reports are of; none where nobody looks at them.
    analysis: Option<Analysis>,
    /// Until the stream has said so: which sockets it is about, where not all.
    about: Option<Filter>,
    selector: Selector,
    /// Where the host is the one that the reports are of, and can be asked.
    companion: Option<Enricher>,
    render: Box<dyn Render>,
    shown: BlockWriter,
    recording: Option<Writer<Box<dyn Write>>>,
    /// Where reports go into the recording and nowhere else: how many of them there were.
    unseen: Option<u64>,
    /// What has been seen since the last scenario began, for its checks.
    transitions: Vec<Transition>,
    /// The scenario that has begun and not ended.
    playing: Option<String>,
    /// Whether connections are followed to their ends, as a command's are.
    follows_to_the_end: bool,
    /// The connections that are on their way to CLOSE by their owner's will.
    closing: HashSet<SocketId>,
    verdicts: Vec<Verdict>,
    found: BTreeSet<FindingKind>,
    totals: End,
    started: Instant,
    /// Room for what is concluded from one event.
    conclusions: Vec<Output>,
}

impl Session {
    /// A session that shows what happens in `scope`. It writes to `out` in large pieces.
    #[must_use]
    pub fn new(scope: Scope, render: Box<dyn Render>, out: Box<dyn Write>) -> Self {
        Self {
            scope,
            options: detect::Options::default(),
            is_ready: false,
            analysis: None,
            about: None,
            selector: Selector::new(Selection::default()),
            companion: None,
            render,
            shown: BlockWriter::new(out),
            recording: None,
            unseen: None,
            transitions: Vec::new(),
            playing: None,
            follows_to_the_end: false,
            closing: HashSet::default(),
            verdicts: Vec::new(),
            found: BTreeSet::new(),
            totals: End::default(),
            started: Instant::now(),
            conclusions: Vec::new(),
        }
    }

    /// Keeps everything that comes from the source and the scenarios in `recording` too.
    #[must_use]
    pub fn recording(mut self, recording: Option<Writer<Box<dyn Write>>>) -> Self {
        self.recording = recording;
        self
    }

    /// Lets reports go into the recording and nowhere else: nobody looks at them before they are replayed.
    #[must_use]
    pub fn unseen(mut self) -> Self {
        self.unseen = Some(0);
        self
    }

    /// Lets the stream be about these sockets. What comes from the source may be more; of that, only the
    /// recording has it.
    #[must_use]
    pub fn about(mut self, filter: Filter) -> Self {
        // A command's: its connections may outlive it for a moment.
        self.follows_to_the_end = filter.descendants;
        self.about = Some(filter).filter(|filter| !filter.is_empty());
        self
    }

    /// Shows this of the stream, and no more.
    #[must_use]
    pub fn selecting(mut self, selection: Selection) -> Self {
        self.selector = Selector::new(selection);
        self
    }

    /// Lets the detectors look so.
    #[must_use]
    pub fn detecting(mut self, options: detect::Options) -> Self {
        self.options = options;
        self
    }

    /// Asks the host what its reports do not say.
    #[must_use]
    pub fn asking(mut self, companion: Box<dyn HostQueries>) -> Self {
        self.companion = Some(Enricher::by(companion));
        self
    }

    /// Waits until the source is ready: what happens from then on is seen whole.
    ///
    /// # Errors
    /// The source gave out, or the output cannot be written.
    pub async fn ready(&mut self, source: &mut impl Source) -> Result<(), SessionError> {
        while !self.is_ready {
            self.take(source).await?;
        }
        Ok(())
    }

    /// Adds a line of explanation.
    ///
    /// # Errors
    /// The output or the recording cannot be written.
    pub fn note(&mut self, text: impl Into<String>) -> Result<(), SessionError> {
        self.feed(Input::Note(text.into()))
    }

    /// How the scenarios ended, so far.
    #[must_use]
    pub fn verdicts(&self) -> &[Verdict] {
        &self.verdicts
    }

    /// Whether a finding of one of these kinds was shown, so far.
    #[must_use]
    pub fn has_found(&self, kinds: &[FindingKind]) -> bool {
        kinds.iter().any(|kind| self.found.contains(kind))
    }

    /// Closes the stream now. A scenario that has not come to its end was interrupted.
    ///
    /// # Errors
    /// The output or the recording cannot be written.
    pub fn finish(&mut self, attach: Option<Duration>) -> Result<End, SessionError> {
        if let Some(name) = self.playing.take() {
            self.feed(Input::Scenario { name, phase: Phase::End { verdict: Verdict::Interrupted } })?;
        }
        self.end(self.started.elapsed(), attach)
    }

    fn end(&mut self, duration: Duration, attach: Option<Duration>) -> Result<End, SessionError> {
        let end = End { duration, attach, recorded: self.unseen, ..self.totals.clone() };
        self.keep(&Input::End(end.clone()))?;
        self.show(&Output::End(end.clone()))?;
        self.flush()?;
        Ok(end)
    }

    /// A recording that cannot be written is given up, so that the rest of the output still comes.
    fn keep(&mut self, event: &Input) -> Result<(), SessionError> {
        self.record(|recording| recording.event(event))
    }

    /// A recording that cannot be written is given up, so that the rest of the output still comes.
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

    fn show(&mut self, event: &Output) -> Result<(), SessionError> {
        let Self { render, shown, .. } = self;
        shown.add(|text| render.render(event, text)).map_err(SessionError::Output)
    }

    fn flush(&mut self) -> Result<(), SessionError> {
        // First the recording: whatever was shown can be shown again.
        self.record(Writer::flush)?;
        self.shown.flush().map_err(SessionError::Output)
    }
}
