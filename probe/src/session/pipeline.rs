//! What happens to each input: it is recorded and dispatched, the analysis derives outputs from it, and those that are
//! selected are emitted.

use std::{
    io::{self, Write},
    sync::Arc,
    time::Duration,
};

use super::{
    SessionError,
    analysis::{Analysis, ObserverSink},
    emitter::{Emitter, RunningScenario},
    scope::Scope,
    selection::{Selection, Selector},
};
use crate::{
    audit::Observer,
    detect,
    model::{Backend, End, Filter, Host, Input, Mono, Output, Phase, SocketId, Verdict},
    record::Writer,
    render::Render,
    source::RawRecord,
};

/// Which ticks are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordTick {
    /// Those that lead to findings, so that a quiet day leaves a short recording. Without an analysis (`--quiet`), every
    /// tick.
    IfUseful,
    /// Every tick.
    Always,
}

/// The pipeline from inputs to a renderer and a recording.
pub struct Pipeline {
    scope: Scope,
    pub detector_options: detect::Options,
    /// The host and the backend of the reports, once [`Input::Ready`] has named them.
    pub origin: Option<(Host, Backend)>,
    /// Created at [`Input::Ready`], since it depends on the host; `None` also if records are only recorded.
    analysis: Option<Analysis>,
    /// Which sockets the stream covers, until [`Input::Ready`] has come.
    pub stream_filter: Option<Filter>,
    pub selector: Selector,
    /// Receives the transitions of an audit, instead of the renderer.
    pub observer: Option<Arc<Observer>>,
    pub emitter: Emitter,
    pub recording: Option<Writer<Box<dyn Write>>>,
    /// The number of records that were recorded without being decoded; `None` if records are decoded.
    pub recorded_only: Option<u64>,
    /// Whether the kernel reports connections at their end, instead of each transition.
    has_summaries: bool,
    /// The time of the latest report.
    latest: Mono,
    pub verdicts: Vec<Verdict>,
    /// The buffer for the outputs of one input.
    outputs: Vec<Output>,
}

impl Pipeline {
    /// A pipeline that shows the reports in `scope` with `render` and writes the text to `out`, in large blocks.
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
            outputs: Vec::new(),
        }
    }

    /// Processes an input together with what the host adds to it. `record` is the record that it was decoded from, if
    /// the recording is to have that.
    ///
    /// By reference, since inputs are large and there are millions of them. The analysis may change the input.
    pub fn process(&mut self, input: &mut Input, record: Option<&[u8]>) -> Result<(), SessionError> {
        if let Input::Report(report) = input
            && !self.scope.includes(report)
        {
            return Ok(());
        }
        let mut addition = None;
        if let Some(host) = &mut self.emitter.host {
            let cgroup = host.new_cgroup(input);
            addition = host.enrich(input);
            if let (Input::BindFailed(failure), Some(analysis)) = (&mut *input, &mut self.analysis) {
                let openers = analysis.openers(failure);
                host.add_opener_fates(failure, &openers);
            }
            if let Some(cgroup) = cgroup {
                self.dispatch(&mut Input::Cgroup(cgroup), None)?;
            }
        }
        self.dispatch(input, record)?;
        if matches!(input, Input::Ready { .. })
            && let Some(filter) = self.stream_filter.take()
        {
            self.dispatch(&mut Input::Filter(Box::new(filter)), None)?;
        }
        addition.map_or(Ok(()), |mut addition| self.dispatch(&mut addition, None))
    }

    /// Records an input and passes it to the part of the session that processes it.
    fn dispatch(&mut self, input: &mut Input, record: Option<&[u8]>) -> Result<(), SessionError> {
        if let Input::Tick(now) = input {
            return self.tick(*now, RecordTick::IfUseful);
        }
        self.record(|recording| match record {
            Some(record) => recording.record(record),
            None => recording.input(input),
        })?;
        match input {
            Input::Report(report) => {
                self.latest = self.latest.max(report.at);
                self.analyze(input)
            }
            Input::Summary(summary) => {
                self.has_summaries = true;
                self.latest = self.latest.max(summary.end.at);
                self.analyze(input)
            }
            Input::BindFailed(_) | Input::Reset(_) | Input::TimeWaitEntry(_) => self.analyze(input),
            _ => self.apply(input),
        }
    }

    /// Updates the session by an input that is not analyzed, and shows it.
    #[inline(never)] // Inlined, it would take registers from the reports.
    fn apply(&mut self, input: &mut Input) -> Result<(), SessionError> {
        match input {
            Input::Filter(filter) => self.selector.set_stream_filter(filter),
            Input::Existing { at, sockets } => {
                self.selector.retain_covered(sockets);
                self.analysis.iter_mut().for_each(|analysis| analysis.existing(*at, sockets));
            }
            Input::Cgroup(cgroup) => self.analysis.iter_mut().for_each(|analysis| analysis.cgroup(cgroup)),
            Input::Ready { host, backend, .. } => {
                self.origin = Some((host.clone(), *backend));
                self.analysis = match (self.recorded_only, &self.observer) {
                    (Some(_), _) => None,
                    (None, Some(_)) => Some(Analysis::without_detectors(host)),
                    (None, None) => Some(Analysis::new(host, &self.detector_options)),
                };
            }
            Input::Lost { count, .. } => {
                self.emitter.totals.lost += *count;
                self.emitter.closing.clear();
                self.selector.lost();
                self.analysis.iter_mut().for_each(Analysis::lost);
            }
            Input::Scenario { name, phase: Phase::Start { .. } } => {
                let scenario = RunningScenario { name: name.clone(), transitions: Vec::new() };
                self.emitter.scenario = Some(scenario);
            }
            Input::Scenario { phase: Phase::End { verdict }, .. } => {
                self.emitter.scenario = None;
                self.verdicts.push(verdict.clone());
            }
            Input::Check(check) if check.pass => self.emitter.totals.checks_passed += 1,
            Input::Check(_) => self.emitter.totals.checks_failed += 1,
            _ => {}
        }
        input.to_output().map_or(Ok(()), |output| self.emitter.show_at(self.latest, &output))
    }

    /// Passes the time to the detectors, and records it.
    pub fn tick(&mut self, now: Mono, recording: RecordTick) -> Result<(), SessionError> {
        let mut input = Input::Tick(now);
        let findings = self.gather(&mut input);
        if recording == RecordTick::Always || self.recorded_only.is_some() || !findings.is_empty() {
            self.record(|recording| recording.input(&input))?;
        }
        if findings.is_empty() {
            self.outputs = findings;
            return Ok(());
        }
        // Each may be about another socket.
        findings.into_iter().try_for_each(|finding| self.emit_selected(&mut input, vec![finding]))
    }

    /// Analyzes an input and emits the outputs that are selected. Before [`Input::Ready`] there are none.
    fn analyze(&mut self, input: &mut Input) -> Result<(), SessionError> {
        if self.shows_everything() {
            if let Some(analysis) = &mut self.analysis {
                analysis.analyze(input, &mut self.emitter)?;
            }
        } else {
            let outputs = self.gather(input);
            self.emit_selected(input, outputs)?;
        }
        match self.emitter.take_time_wait() {
            Some(entry) => self.process(&mut Input::TimeWaitEntry(entry), None),
            None => Ok(()),
        }
    }

    /// Whether all outputs are shown, so that they can be emitted as they come.
    fn shows_everything(&self) -> bool {
        self.emitter.scenario.is_none() && self.selector.selects_everything() && self.observer.is_none()
    }

    /// Analyzes an input and gathers the outputs, in the session's buffer.
    fn gather(&mut self, input: &mut Input) -> Vec<Output> {
        let mut outputs = std::mem::take(&mut self.outputs);
        let Some(analysis) = &mut self.analysis else { return outputs };
        let Ok(()) = match &self.observer {
            Some(observer) => {
                let transitions = &mut self.emitter.totals.transitions;
                analysis.analyze(input, &mut ObserverSink { observer, transitions })
            }
            None => analysis.analyze(input, &mut outputs),
        };
        outputs
    }

    /// Emits those of the gathered outputs that are selected, and returns the buffer to the session.
    fn emit_selected(&mut self, input: &mut Input, mut outputs: Vec<Output>) -> Result<(), SessionError> {
        let Some(analysis) = &mut self.analysis else { return Ok(()) };
        if self.emitter.scenario.is_some() {
            outputs.retain(|output| !is_failure(output));
        }
        let owner_matches = match input {
            Input::Report(report) => report.owner_matches,
            Input::Summary(summary) => summary.end.owner_matches,
            _ => None,
        };
        match input {
            Input::BindFailed(failure) => self.selector.select_bind_failure(failure, &mut outputs),
            _ => self.selector.select(&mut outputs, |output| first_seq(analysis, output), owner_matches),
        }
        let emitted = outputs.iter().try_for_each(|output| self.emitter.emit(output));
        outputs.clear();
        self.outputs = outputs;
        emitted
    }

    /// Whether the transition in a record follows from the last one of its socket, as far as is known.
    pub fn follows(&self, record: &RawRecord<'_>) -> bool {
        match (&self.analysis, record.decode_or_lost()) {
            (Some(analysis), Input::Report(report)) => analysis.follows(&report),
            _ => true,
        }
    }

    /// Processes a record: decodes it, or only records it.
    pub fn process_record(&mut self, record: &RawRecord<'_>) -> Result<(), SessionError> {
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

    /// Ends the stream now. A scenario that is still running counts as interrupted.
    pub fn finish(&mut self, duration: Duration, attach: Option<Duration>) -> Result<End, SessionError> {
        if let Some(scenario) = self.emitter.scenario.take() {
            let phase = Phase::End { verdict: Verdict::Interrupted };
            self.process(&mut Input::Scenario { name: scenario.name, phase }, None)?;
        }
        self.end(duration, attach)
    }

    /// Closes the stream with these durations.
    pub fn end(&mut self, duration: Duration, attach: Option<Duration>) -> Result<End, SessionError> {
        let recorded = self.recorded_only;
        let open = self.open_connections();
        let end = End { duration, attach, open, recorded, ..self.emitter.totals.clone() };
        self.record(|recording| recording.input(&Input::End(end.clone())))?;
        self.emitter.show_at(self.latest, &Output::End(end.clone()))?;
        self.flush()?;
        Ok(end)
    }

    /// The number of connections that are open; `None` if it is unknown.
    fn open_connections(&self) -> Option<u64> {
        let is_known = !self.has_summaries
            && self.observer.is_none()
            && self.emitter.totals.lost == 0
            && !self.selector.filters_sockets();
        self.analysis.as_ref().filter(|_| is_known).map(Analysis::open_connections)
    }

    /// Writes to the recording, if there is one. After an error there is none, so that the rest of the output is still
    /// written.
    pub fn record(
        &mut self,
        write: impl FnOnce(&mut Writer<Box<dyn Write>>) -> io::Result<()>,
    ) -> Result<(), SessionError> {
        let Some(recording) = &mut self.recording else { return Ok(()) };
        write(recording).map_err(|error| {
            self.recording = None;
            SessionError::Recording(error)
        })
    }

    /// Writes everything that was shown or recorded so far.
    pub fn flush(&mut self) -> Result<(), SessionError> {
        // The recording first: a replay shows again what was shown.
        self.record(Writer::flush)?;
        self.emitter.flush()
    }
}

/// Whether the output is a finding about a failure. Scenarios provoke failures; their checks judge them.
fn is_failure(output: &Output) -> bool {
    matches!(output, Output::Finding(finding) if finding.kind.is_failure())
}

/// The `seq` of the first transition of the connection that an output is about, if it was seen.
fn first_seq(analysis: &Analysis, output: &Output) -> Option<u64> {
    match output {
        // The tracker has no history yet of an accepted socket whose first transition has its listener's identity.
        Output::Transition(transition) => {
            Some(analysis.first_seq(transition.socket).unwrap_or(transition.seq))
        }
        Output::Finding(finding) => analysis.first_seq(finding.socket?),
        Output::Reset(reset) => analysis.first_seq(reset.socket),
        Output::TimeWaitEntry(entry) => analysis.first_seq(entry.socket),
        _ => None,
    }
}
