//! What is made of raw events: tracker and detectors, asked in the right order.

use crate::{
    detect::{self, Context, Detectors},
    model::{
        BindFailure, Cgroup, Connection, DiagEntry, Finding, Host, Mono, Output, Report, Reset, SocketId,
        Summary,
    },
    track::{Tracked, Tracker},
};

/// The tracker and the detectors of one stream.
pub struct Analysis {
    tracker: Tracker,
    detectors: Detectors,
}

impl Analysis {
    /// For a stream that was taken on this host.
    pub fn new(host: &Host, options: &detect::Options) -> Self {
        Self { tracker: Tracker::new(host), detectors: detect::all(host, options) }
    }

    /// A report becomes a transition, which may be the end of a connection.
    pub fn report(&mut self, report: &Report) -> Tracked {
        self.tracker.observe(report)
    }

    /// What the latest transition shows.
    pub fn findings(&mut self, Tracked { transition, previous, .. }: &Tracked) -> Vec<Finding> {
        let (open, history) = self.tracker.history(transition.socket).unzip();
        self.detectors.observe(&Context {
            transition,
            previous: *previous,
            open: open.flatten(),
            history,
            sockets: &self.tracker,
        })
    }

    /// A summary becomes a connection of which nothing else was reported.
    pub fn summary(&mut self, summary: &mut Summary) -> Connection {
        self.tracker.summarize(summary)
    }

    /// What such a connection shows.
    pub fn shown_by(&mut self, connection: &Connection) -> Vec<Finding> {
        self.detectors.ended(connection)
    }

    /// A bind(2) that failed, and what it shows.
    pub fn bind_failed(&mut self, failure: BindFailure) -> (BindFailure, Vec<Finding>) {
        let failure = self.tracker.bind_failed(failure);
        let findings = self.detectors.bind_failed(&failure);
        (failure, findings)
    }

    /// An RST, with whose it was.
    pub fn reset(&mut self, reset: Reset) -> Reset {
        self.tracker.reset(reset)
    }

    /// Sockets that were there before the stream.
    pub fn existing(&mut self, at: Mono, sockets: &[DiagEntry]) {
        self.tracker.existing(at, sockets);
        self.detectors.existing(at, sockets);
    }

    /// The path of a cgroup.
    pub fn cgroup(&mut self, cgroup: &Cgroup) {
        self.tracker.cgroup(cgroup);
    }

    /// Time passes.
    pub fn tick(&mut self, now: Mono) -> Vec<Finding> {
        self.detectors.tick(now)
    }

    /// Reports were lost.
    pub fn lost(&mut self) {
        self.tracker.lost();
        self.detectors.lost();
    }

    /// The `seq` of the first transition of that connection, as far as seen.
    pub fn first_seq(&self, socket: SocketId) -> Option<u64> {
        self.tracker.history(socket)?.1.first_seq()
    }
}

/// Hands over what a report comes to, in the order in which it is told, until one is refused.
pub fn hand_over<E>(
    tracked: Tracked,
    findings: Vec<Finding>,
    mut take: impl FnMut(Output) -> Result<(), E>,
) -> Result<(), E> {
    take(Output::Transition(tracked.transition))?;
    findings.into_iter().map(Output::Finding).try_for_each(&mut take)?;
    tracked.ended.map_or(Ok(()), |ended| take(Output::Connection(*ended)))
}
