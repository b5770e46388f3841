//! What is made of raw events: tracker and detectors, asked in the right order.

use crate::{
    detect::{self, Context, Detector},
    model::{BindFailure, Cgroup, Event, Finding, Host, Listed, Mono, Report, Reset, SocketId, Summary},
    track::{Tracked, Tracker},
};

/// The tracker and the detectors of one stream.
pub struct Analysis {
    tracker: Tracker,
    detectors: Vec<Box<dyn Detector>>,
}

impl Analysis {
    /// For a stream that was taken on this host.
    pub fn new(host: &Host, options: &detect::Options) -> Self {
        Self { tracker: Tracker::new(host), detectors: detect::all(host, options) }
    }

    /// A report becomes a transition, which may be the evidence of findings and the end of a connection.
    pub fn report(&mut self, report: &Report, out: &mut Vec<Event>) {
        let Tracked { transition, previous, ended } = self.tracker.observe(report);
        let (open, course) = self.tracker.so_far(transition.socket).unzip();
        let context = Context {
            transition: &transition,
            previous,
            open: open.flatten(),
            course,
            others: &self.tracker,
        };
        let findings: Vec<Finding> =
            self.detectors.iter_mut().filter_map(|detector| detector.observe(&context)).collect();
        out.push(Event::Transition(transition));
        out.extend(findings.into_iter().map(Event::Finding));
        // Most do not end here, and an absent one would be moved about like any other.
        if let Some(ended) = ended {
            out.push(Event::Connection(ended));
        }
    }

    /// A connection of which nothing else was reported, and what it shows.
    pub fn summary(&mut self, summary: &mut Summary, out: &mut Vec<Event>) {
        let connection = self.tracker.summarize(summary);
        let findings = self.findings(|detector| detector.ended(&connection));
        out.extend(findings);
        out.push(Event::Connection(connection));
    }

    /// A bind(2) that failed, and what it shows.
    pub fn bind_failed(&mut self, failure: BindFailure, out: &mut Vec<Event>) {
        let failure = self.tracker.bind_failed(failure);
        let findings = self.findings(|detector| detector.bind_failed(&failure));
        out.push(Event::BindFailed(Box::new(failure)));
        out.extend(findings);
    }

    /// An RST, with whose it was.
    pub fn reset(&mut self, reset: Reset) -> Reset {
        self.tracker.reset(reset)
    }

    /// Sockets that were there before the stream.
    pub fn existing(&mut self, at: Mono, sockets: &[Listed]) {
        self.tracker.existing(at, sockets);
        self.detectors.iter_mut().for_each(|detector| detector.existing(at, sockets));
    }

    /// The path of a cgroup.
    pub fn cgroup(&mut self, cgroup: &Cgroup) {
        self.tracker.cgroup(cgroup);
    }

    /// Time passes.
    pub fn tick(&mut self, now: Mono) -> Vec<Finding> {
        self.detectors.iter_mut().flat_map(|detector| detector.tick(now)).collect()
    }

    /// Reports were lost.
    pub fn lost(&mut self) {
        self.tracker.lost();
        self.detectors.iter_mut().for_each(|detector| detector.lost());
    }

    /// The `seq` of the first transition of that connection, as far as seen.
    pub fn first_seq(&self, socket: SocketId) -> Option<u64> {
        self.tracker.so_far(socket)?.1.first()
    }

    fn findings(&mut self, look: impl Fn(&mut dyn Detector) -> Option<Finding>) -> Vec<Event> {
        self.detectors.iter_mut().filter_map(|detector| look(&mut **detector)).map(Event::Finding).collect()
    }
}
