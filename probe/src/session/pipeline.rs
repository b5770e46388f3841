//! What happens to each event: it is kept, conclusions are drawn from it, and what is selected of them is
//! shown.

use std::convert::Infallible;

use super::{
    Session, SessionError,
    analysis::{Analysis, hand_over},
};
use crate::model::{BindFailure, Connection, Input, Mono, Output, Phase, Report, State, Summary, Transition};

/// Which ticks are kept in a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// Those that show something: a quiet day leaves a short recording. Where nobody looks, any may.
    Findings,
    /// Every one.
    Always,
}

impl Session {
    /// Takes one event from a scenario.
    pub(super) fn feed(&mut self, mut event: Input) -> Result<(), SessionError> {
        self.receive(&mut event)
    }

    /// Takes one event from wherever, with what the host says to it. It stays where it is, since most are large and
    /// there are many.
    pub(super) fn receive(&mut self, event: &mut Input) -> Result<(), SessionError> {
        self.receive_and_keep(event, None)
    }

    /// The same. A recording keeps the record that the event is in, where there is one.
    pub(super) fn receive_and_keep(
        &mut self,
        event: &mut Input,
        record: Option<&[u8]>,
    ) -> Result<(), SessionError> {
        if let Input::Report(report) = event
            && !self.scope.admits(report)
        {
            return Ok(());
        }
        let mut after = None;
        if let Some(companion) = &mut self.companion {
            let cgroup = companion.cgroup_of(event);
            after = companion.accompany(event);
            if let Some(cgroup) = cgroup {
                self.take_in(&mut Input::Cgroup(cgroup), None)?;
            }
        }
        self.take_in(event, record)?;
        if matches!(event, Input::Ready { .. })
            && let Some(filter) = self.about.take()
        {
            self.take_in(&mut Input::Filter(Box::new(filter)), None)?;
        }
        after.map_or(Ok(()), |mut after| self.take_in(&mut after, None))
    }

    fn take_in(&mut self, event: &mut Input, record: Option<&[u8]>) -> Result<(), SessionError> {
        if let Input::Tick(now) = event {
            return self.tick(*now, Keep::Findings);
        }
        match record {
            Some(record) => self.record(|recording| recording.record(record))?,
            None => self.keep(event)?,
        }
        match event {
            Input::Report(report) => self.conclude(report),
            Input::Summary(summary) => self.sum_up(summary),
            Input::BindFailed(failure) => self.bind_failed((**failure).clone()),
            Input::Reset(reset) => {
                self.draw(None, |analysis, out| out.push(Output::Reset(analysis.reset(reset.clone()))))
            }
            Input::TimeWaitEntry(entry) => {
                self.draw(None, |_, out| out.push(Output::TimeWaitEntry(entry.clone())))
            }
            Input::Filter(filter) => {
                self.selector.subject(filter);
                Ok(())
            }
            Input::Existing { at, sockets } => {
                self.selector.expect(sockets);
                self.analysis.iter_mut().for_each(|analysis| analysis.existing(*at, sockets));
                Ok(())
            }
            Input::Cgroup(cgroup) => {
                self.analysis.iter_mut().for_each(|analysis| analysis.cgroup(cgroup));
                Ok(())
            }
            event => {
                self.mark(event);
                event.to_output().map_or(Ok(()), |output| self.show(&output))
            }
        }
    }

    /// What an event that is shown as it is means to the session.
    fn mark(&mut self, event: &Input) {
        match event {
            Input::Ready { host, .. } => {
                self.is_ready = true;
                self.analysis = self.unseen.is_none().then(|| Analysis::new(host, &self.options));
            }
            Input::Lost { count, .. } => {
                self.totals.lost += count;
                self.closing.clear();
                self.selector.lost();
                self.analysis.iter_mut().for_each(Analysis::lost);
            }
            Input::Scenario { name, phase: Phase::Start { .. } } => {
                self.transitions.clear();
                self.playing = Some(name.clone());
            }
            Input::Scenario { phase: Phase::End { verdict }, .. } => {
                self.playing = None;
                self.verdicts.push(verdict.clone());
            }
            Input::Check(check) if check.pass => self.totals.checks_passed += 1,
            Input::Check(_) => self.totals.checks_failed += 1,
            _ => {}
        }
    }

    /// Time passes.
    pub(super) fn tick(&mut self, now: Mono, keep: Keep) -> Result<(), SessionError> {
        let findings = self.analysis.as_mut().map(|analysis| analysis.tick(now)).unwrap_or_default();
        if keep == Keep::Always || self.unseen.is_some() || !findings.is_empty() {
            self.keep(&Input::Tick(now))?;
        }
        findings
            .into_iter()
            .try_for_each(|finding| self.draw(None, |_, out| out.push(Output::Finding(finding))))
    }

    /// Whether all that is concluded is shown, so that it need not be gathered first.
    fn shows_everything(&self) -> bool {
        self.playing.is_none() && self.selector.is_open()
    }

    /// Draws the conclusions from a report.
    fn conclude(&mut self, report: &Report) -> Result<(), SessionError> {
        if !self.shows_everything() {
            return self.draw(report.owner_matches, |analysis, out| {
                let tracked = analysis.report(report);
                let findings = analysis.findings(&tracked);
                let Ok(()) = hand_over(tracked, findings, |event| -> Result<(), Infallible> {
                    out.push(event);
                    Ok(())
                });
            });
        }
        let Some(analysis) = &mut self.analysis else { return Ok(()) };
        let tracked = analysis.report(report);
        let findings = analysis.findings(&tracked);
        hand_over(tracked, findings, |event| self.tell(&event))
    }

    /// Draws the conclusions from a connection in one record. What it shows is told before it.
    fn sum_up(&mut self, summary: &mut Summary) -> Result<(), SessionError> {
        if !self.shows_everything() {
            return self.draw(summary.end.owner_matches, |analysis, out| {
                let connection = analysis.summary(summary);
                out.extend(analysis.shown_by(&connection).into_iter().map(Output::Finding));
                out.push(Output::Connection(connection));
            });
        }
        let Some(analysis) = &mut self.analysis else { return Ok(()) };
        let connection = analysis.summary(summary);
        let findings = analysis.shown_by(&connection);
        findings.into_iter().try_for_each(|finding| self.tell(&Output::Finding(finding)))?;
        self.tell(&Output::Connection(connection))
    }

    /// Draws the conclusions from a bind(2) that failed: findings, which are selected by what is known of the failure.
    fn bind_failed(&mut self, failure: BindFailure) -> Result<(), SessionError> {
        let Some(analysis) = &mut self.analysis else { return Ok(()) };
        let (failure, findings) = analysis.bind_failed(failure);
        let mut outputs: Vec<Output> = findings.into_iter().map(Output::Finding).collect();
        if self.playing.is_some() {
            outputs.retain(|output| !is_failure(output));
        }
        self.selector.admit_bind_failure(&failure, &mut outputs);
        outputs.iter().try_for_each(|output| self.tell(output))
    }

    /// Draws the conclusions from a raw event, and shows those that are selected. Before the stream has said
    /// of what host it is, there are none.
    fn draw(
        &mut self,
        owner_fits: Option<bool>,
        conclude: impl FnOnce(&mut Analysis, &mut Vec<Output>),
    ) -> Result<(), SessionError> {
        let Some(analysis) = &mut self.analysis else { return Ok(()) };
        let mut events = std::mem::take(&mut self.conclusions);
        conclude(analysis, &mut events);
        if self.playing.is_some() {
            events.retain(|event| !is_failure(event));
        }
        self.selector.admit(&mut events, |event| first_seq(analysis, event), owner_fits);
        let told = events.iter().try_for_each(|event| self.tell(event));
        events.clear();
        self.conclusions = events;
        told
    }

    /// Counts and shows a conclusion.
    fn tell(&mut self, event: &Output) -> Result<(), SessionError> {
        match event {
            Output::Transition(transition) => {
                self.totals.transitions += 1;
                if self.follows_to_the_end {
                    self.follow_to_its_end(transition);
                }
                // For the checks of a scenario; nothing else asks for them again.
                if self.playing.is_some() {
                    self.transitions.push(transition.clone());
                }
            }
            Output::Finding(finding) => {
                self.totals.findings += 1;
                self.found.insert(finding.kind);
            }
            Output::Connection(_) => self.totals.connections += 1,
            _ => {}
        }
        self.show(event)?;
        match event {
            Output::Connection(connection) if may_leave_something(connection) => self.ask_after(connection),
            _ => Ok(()),
        }
    }

    fn follow_to_its_end(&mut self, transition: &Transition) {
        match transition.new {
            State::FinWait1 | State::FinWait2 | State::Closing | State::LastAck => {
                self.closing.insert(transition.socket);
            }
            _ => {
                self.closing.remove(&transition.socket);
            }
        }
    }

    /// Asks what stayed of a connection.
    fn ask_after(&mut self, connection: &Connection) -> Result<(), SessionError> {
        let remains = self.companion.as_mut().and_then(|companion| companion.remains(connection));
        remains.map_or(Ok(()), |remains| self.feed(Input::TimeWaitEntry(remains)))
    }
}

/// What fails in a scenario is meant to, mostly: its checks judge that.
fn is_failure(event: &Output) -> bool {
    matches!(event, Output::Finding(finding) if finding.kind.is_failure())
}

/// The `seq` of the first transition of the connection that this is about.
fn first_seq(analysis: &Analysis, event: &Output) -> Option<u64> {
    match event {
        // A child that is reported before it has a name is in nobody's trail yet.
        Output::Transition(transition) => {
            Some(analysis.first_seq(transition.socket).unwrap_or(transition.seq))
        }
        Output::Finding(finding) => analysis.first_seq(finding.socket?),
        Output::Reset(reset) => analysis.first_seq(reset.socket),
        Output::TimeWaitEntry(remains) => analysis.first_seq(remains.socket),
        _ => None,
    }
}

/// Whether a mini-socket may have taken the connection's place: where this end closed first
/// (`tcp_time_wait`).
fn may_leave_something(connection: &Connection) -> bool {
    let last = connection.path.last_edge();
    matches!(last, Some((State::FinWait1 | State::FinWait2 | State::Closing, State::Close)))
}
