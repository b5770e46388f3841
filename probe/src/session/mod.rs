//! The one loop: a source's events go through tracker and detectors to a renderer and a recording.
//!
//! `Session::feed` is what happens to each event; [`Session::replay`] and
//! [`perform`](Session::perform) decide where the events come from and when to stop.

mod perform;
mod scope;

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use thiserror::Error;

pub use self::{
    perform::{Performance, Performed},
    scope::Scope,
};
use crate::{
    detect::{self, Context, Detector},
    model::{Connection, End, Event, Finding, Host, Phase, Report, Transition, Verdict},
    record::Writer,
    render::Render,
    source::{Flow, Source, SourceError},
    track::{Tracked, Tracker},
};

/// Why a session cannot go on.
#[derive(Debug, Error)]
pub enum SessionError {
    /// The source has no more to give.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Stdout is closed. Its reader had enough: not a failure.
    #[error("cannot write the output: {0}")]
    Output(io::Error),
    /// The recording cannot be written any more.
    #[error("cannot write the recording: {0}")]
    Recording(io::Error),
}

/// What is made of reports.
struct Analysis {
    tracker: Tracker,
    detectors: Vec<Box<dyn Detector>>,
}

impl Analysis {
    fn of(host: &Host) -> Self {
        Self { tracker: Tracker::new(host), detectors: detect::all(host) }
    }

    fn lost(&mut self) {
        self.tracker.lost();
        self.detectors.iter_mut().for_each(|detector| detector.lost());
    }

    /// A report becomes a transition, which may be the evidence of findings and the end of a connection.
    fn observe(&mut self, report: &Report) -> (Transition, Vec<Finding>, Option<Connection>) {
        let Tracked { transition, previous, ended } = self.tracker.observe(report);
        let context = Context {
            transition: &transition,
            previous,
            connection: self.tracker.connection(transition.socket),
            trail: self.tracker.trail(transition.socket),
        };
        let findings = self.detectors.iter_mut().filter_map(|detector| detector.observe(&context)).collect();
        (transition, findings, ended)
    }
}

/// From events to what is shown of them.
pub struct Session {
    scope: Scope,
    /// From [`Event::Ready`] on, which says what host the reports are of.
    analysis: Option<Analysis>,
    render: Box<dyn Render>,
    out: Box<dyn Write>,
    recording: Option<Writer<Box<dyn Write>>>,
    /// What has been seen since the last scenario began, for its checks.
    transitions: Vec<Transition>,
    /// The scenario that has begun and not ended.
    playing: Option<String>,
    verdicts: Vec<Verdict>,
    totals: End,
    started: Instant,
}

impl Session {
    /// A session that shows what happens in `scope`.
    #[must_use]
    pub fn new(scope: Scope, render: Box<dyn Render>, out: Box<dyn Write>) -> Self {
        Self {
            scope,
            analysis: None,
            render,
            out,
            recording: None,
            transitions: Vec::new(),
            playing: None,
            verdicts: Vec::new(),
            totals: End::default(),
            started: Instant::now(),
        }
    }

    /// Keeps everything that comes from the source and the scenarios in `recording` too.
    #[must_use]
    pub fn recording(mut self, recording: Option<Writer<Box<dyn Write>>>) -> Self {
        self.recording = recording;
        self
    }

    /// Plays a recording, or any other source that ends, to its end, and closes the stream with the
    /// figures that it brings along.
    ///
    /// # Errors
    /// What was read before an error has been shown.
    pub async fn replay(&mut self, source: &mut impl Source) -> Result<End, SessionError> {
        let (mut events, mut end) = (Vec::new(), None);
        loop {
            let flow = source.batch(&mut events).await;
            for event in events.drain(..) {
                match event {
                    // What follows it is the source's to refuse.
                    Event::End(recorded) => end = Some(recorded),
                    event => self.feed(event)?,
                }
            }
            if flow.is_err() {
                self.render.broken_off(&mut self.out).map_err(SessionError::Output)?;
            }
            self.flush()?;
            if flow? == Flow::Ended {
                return match end {
                    Some(End { duration, attach, .. }) => self.end(duration, attach),
                    None => self.finish(None),
                };
            }
        }
    }

    /// Waits until the source is ready: what happens from then on is seen whole.
    ///
    /// # Errors
    /// The source gave out, or the output cannot be written.
    pub async fn ready(&mut self, source: &mut impl Source) -> Result<(), SessionError> {
        while self.analysis.is_none() {
            self.take(source).await?;
        }
        Ok(())
    }

    /// Adds a line of explanation.
    ///
    /// # Errors
    /// The output or the recording cannot be written.
    pub fn note(&mut self, text: impl Into<String>) -> Result<(), SessionError> {
        self.feed(Event::Note(text.into()))
    }

    /// How the scenarios ended, so far.
    #[must_use]
    pub fn verdicts(&self) -> &[Verdict] {
        &self.verdicts
    }

    /// Closes the stream now. A scenario that has not come to its end was interrupted.
    ///
    /// # Errors
    /// The output or the recording cannot be written.
    pub fn finish(&mut self, attach: Option<Duration>) -> Result<End, SessionError> {
        if let Some(name) = self.playing.take() {
            self.feed(Event::Scenario { name, phase: Phase::End { verdict: Verdict::Interrupted } })?;
        }
        self.end(self.started.elapsed(), attach)
    }

    fn end(&mut self, duration: Duration, attach: Option<Duration>) -> Result<End, SessionError> {
        let end = End { duration, attach, ..self.totals.clone() };
        self.keep(&Event::End(end.clone()))?;
        self.show(&Event::End(end.clone()))?;
        self.flush()?;
        Ok(end)
    }

    /// Waits for the source's next events and takes them in.
    async fn take(&mut self, source: &mut impl Source) -> Result<Flow, SessionError> {
        // What the source delivered before an error counts.
        let mut events = Vec::new();
        let flow = source.batch(&mut events).await;
        for event in events {
            self.feed(event)?;
        }
        self.flush()?;
        Ok(flow?)
    }

    /// Takes one event from a source or a scenario: keeps it, draws the conclusions, shows them.
    fn feed(&mut self, event: Event) -> Result<(), SessionError> {
        if let Event::Report(report) = &event
            && !self.scope.admits(report)
        {
            return Ok(());
        }
        self.keep(&event)?;
        match &event {
            Event::Report(report) => return self.report(report),
            Event::Ready { host, .. } => self.analysis = Some(Analysis::of(host)),
            Event::Lost { count, .. } => {
                self.totals.lost += count;
                if let Some(analysis) = &mut self.analysis {
                    analysis.lost();
                }
            }
            Event::Scenario { name, phase: Phase::Start { .. } } => {
                self.transitions.clear();
                self.playing = Some(name.clone());
            }
            Event::Scenario { phase: Phase::End { verdict }, .. } => {
                self.playing = None;
                self.verdicts.push(verdict.clone());
            }
            Event::Check(check) if check.pass => self.totals.checks_passed += 1,
            Event::Check(_) => self.totals.checks_failed += 1,
            _ => {}
        }
        self.show(&event)
    }

    fn report(&mut self, report: &Report) -> Result<(), SessionError> {
        let Some(analysis) = &mut self.analysis else { return Ok(()) };
        let (transition, findings, ended) = analysis.observe(report);
        // For the checks of a scenario; nothing else asks for them again.
        if self.playing.is_some() {
            self.transitions.push(transition.clone());
        }
        self.totals.transitions += 1;
        self.totals.findings += findings.len() as u64;
        self.totals.connections += u64::from(ended.is_some());
        let shown = [Event::Transition(transition)]
            .into_iter()
            .chain(findings.into_iter().map(Event::Finding))
            .chain(ended.map(Event::Connection));
        for event in shown {
            self.show(&event)?;
        }
        Ok(())
    }

    /// A recording that cannot be written is given up, so that the rest of the output still comes.
    fn keep(&mut self, event: &Event) -> Result<(), SessionError> {
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

    fn show(&mut self, event: &Event) -> Result<(), SessionError> {
        self.render.event(event, &mut self.out).map_err(SessionError::Output)
    }

    fn flush(&mut self) -> Result<(), SessionError> {
        // First the recording: whatever was shown can be shown again.
        self.record(Writer::flush)?;
        self.out.flush().map_err(SessionError::Output)
    }
}
