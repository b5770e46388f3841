//! The analysis: tracker and detectors turn inputs into outputs.

use std::{convert::Infallible, sync::Arc};

use crate::{
    audit::Observer,
    detect::{self, Context, Detectors},
    model::{BindFailure, Cgroup, DiagEntry, Finding, Host, Input, Mono, Output, Report, SocketId, Summary},
    track::{Tracked, Tracker},
};

/// Receives the outputs of the analysis, in order.
pub trait OutputSink {
    /// Why the sink rejects an output.
    type Error;

    /// Receives the next output.
    fn push(&mut self, output: Output) -> Result<(), Self::Error>;
}

/// Collects the outputs.
impl OutputSink for Vec<Output> {
    type Error = Infallible;

    fn push(&mut self, output: Output) -> Result<(), Infallible> {
        Self::push(self, output);
        Ok(())
    }
}

/// Passes transitions to the observer of an audit, and drops everything else.
pub struct ObserverSink<'a> {
    pub observer: &'a Arc<Observer>,
    /// Counts the transitions of the namespaces that are observed.
    pub transitions: &'a mut u64,
}

impl OutputSink for ObserverSink<'_> {
    type Error = Infallible;

    fn push(&mut self, output: Output) -> Result<(), Infallible> {
        if let Output::Transition(transition) = output
            && self.observer.observe(transition)
        {
            *self.transitions += 1;
        }
        Ok(())
    }
}

/// The tracker and the detectors of one stream.
pub struct Analysis {
    tracker: Tracker,
    detectors: Detectors,
}

impl Analysis {
    /// An analysis of a stream from this host.
    pub fn new(host: &Host, options: &detect::Options) -> Self {
        Self { tracker: Tracker::new(host), detectors: detect::all(host, options) }
    }

    /// The same without detectors.
    pub fn without_detectors(host: &Host) -> Self {
        Self { tracker: Tracker::new(host), detectors: Detectors::none() }
    }

    /// The number of connections that are open.
    pub fn open_connections(&self) -> u64 {
        self.tracker.open_connections()
    }

    /// Analyzes an input and pushes what follows from it. Inputs that nothing follows from are ignored.
    ///
    /// # Errors
    /// Those of `sink`.
    pub fn analyze<S: OutputSink>(&mut self, input: &mut Input, sink: &mut S) -> Result<(), S::Error> {
        match input {
            Input::Report(report) => self.report(report, sink),
            Input::Summary(summary) => self.summary(summary, sink),
            Input::BindFailed(failure) => self.bind_failed(failure, sink),
            Input::Reset(reset) => sink.push(Output::Reset(self.tracker.reset(reset.clone()))),
            Input::TimeWaitEntry(entry) => sink.push(Output::TimeWaitEntry(entry.clone())),
            Input::Tick(now) => push_findings(self.detectors.tick(*now), sink),
            _ => Ok(()),
        }
    }

    /// Adds the sockets that existed before the stream.
    pub fn existing(&mut self, at: Mono, sockets: &[DiagEntry]) {
        self.tracker.existing(at, sockets);
        self.detectors.existing(at, sockets);
    }

    /// The holders of the port whose descriptor another process has than the one that opened them: cookie, opener and inode
    /// number.
    pub fn openers(&mut self, failure: &BindFailure) -> Vec<(u64, u32, u32)> {
        self.tracker.openers(failure)
    }

    /// Adds the path of a cgroup.
    pub fn cgroup(&mut self, cgroup: &Cgroup) {
        self.tracker.cgroup(cgroup);
    }

    /// Reports were lost.
    pub fn lost(&mut self) {
        self.tracker.lost();
        self.detectors.lost();
    }

    /// Whether a report follows from the last one of its socket, as far as is known.
    pub fn follows(&self, report: &Report) -> bool {
        self.tracker.follows(report)
    }

    /// The `seq` of the first transition of a connection, if it was seen.
    pub fn first_seq(&self, socket: SocketId) -> Option<u64> {
        self.tracker.history(socket)?.1.first_seq()
    }

    /// A report yields a transition, its findings, and the connection that it ends.
    fn report<S: OutputSink>(&mut self, report: &Report, sink: &mut S) -> Result<(), S::Error> {
        let Tracked { transition, previous, ended } = self.tracker.observe(report);
        let (open, history) = self.tracker.history(transition.socket).unzip();
        let findings = self.detectors.observe(&Context {
            transition: &transition,
            previous,
            open: open.flatten(),
            history,
            sockets: &self.tracker,
        });
        sink.push(Output::Transition(transition))?;
        push_findings(findings, sink)?;
        ended.map_or(Ok(()), |connection| sink.push(Output::Connection(*connection)))
    }

    /// A summary yields the findings of a connection, and the connection.
    fn summary<S: OutputSink>(&mut self, summary: &mut Summary, sink: &mut S) -> Result<(), S::Error> {
        let connection = self.tracker.summarize(summary);
        push_findings(self.detectors.ended(&connection), sink)?;
        sink.push(Output::Connection(connection))
    }

    /// A bind(2) that failed yields findings. The tracker adds to the failure what it knows of the port's holders.
    fn bind_failed<S: OutputSink>(
        &mut self,
        failure: &mut BindFailure,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        *failure = self.tracker.bind_failed(failure.clone());
        push_findings(self.detectors.bind_failed(failure), sink)
    }
}

fn push_findings<S: OutputSink>(findings: Vec<Finding>, sink: &mut S) -> Result<(), S::Error> {
    findings.into_iter().try_for_each(|finding| sink.push(Output::Finding(finding)))
}
