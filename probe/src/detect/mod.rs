//! What is worth an engineer's attention: one detector a file, all behind one trait.
//!
//! Pure: transitions in, findings out, and time as it is told. A detector says only what is certain; what it cannot know it
//! leaves out. A new one is a file here, and a line in [`all`].

mod bind_failed;
mod connect_failed;
mod detectors;
mod illegal_transition;
mod port_sharing;
mod self_connect;
mod simultaneous_close;
mod simultaneous_open;
mod socket_multimap;
mod stuck;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tuples;

use std::time::Duration;

pub use self::detectors::Detectors;
use self::{
    bind_failed::BindFailed, connect_failed::ConnectFailed, illegal_transition::IllegalTransition,
    port_sharing::PortSharing, self_connect::SelfConnect, simultaneous_close::SimultaneousClose,
    simultaneous_open::SimultaneousOpen, stuck::Stuck,
};
use crate::model::{
    BindFailure, Connection, DiagEntry, Edge, Finding, FindingKind, Host, Mono, Open, Owner, SocketTable,
    State, StateHistory, Transition,
};

/// Something that looks at transitions, and says what they show.
pub trait Detector {
    /// Whether it has to see the transitions that take this edge. One that does not follow from the socket's last is seen
    /// by every detector.
    fn watches(&self, edge: Edge) -> bool;

    /// Takes the next transition, and says what it shows.
    fn observe(&mut self, context: &Context<'_>) -> Option<Finding>;

    /// Takes the sockets that were there before the stream began.
    fn existing(&mut self, _at: Mono, _sockets: &[DiagEntry]) {}

    /// Whether a connection that took this edge may show something by its end alone.
    fn heeds(&self, _edge: Edge) -> bool {
        false
    }

    /// Takes a connection of which nothing but its end was reported, and says what that alone shows. Asked where it took
    /// an edge that the detector heeds.
    fn ended(&mut self, _connection: &Connection) -> Option<Finding> {
        None
    }

    /// Takes a bind(2) that was refused.
    fn bind_failed(&mut self, _failure: &BindFailure) -> Option<Finding> {
        None
    }

    /// So late is it now: the only way in which time passes by itself here.
    fn tick(&mut self, _now: Mono) -> Vec<Finding> {
        Vec::new()
    }

    /// Reports were lost: what was remembered of other sockets may be out of date.
    fn lost(&mut self) {}
}

/// What can be asked of the detectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long a socket may stay in SYN_SENT, CLOSE_WAIT or FIN_WAIT2 before it counts as stuck.
    pub stuck_after: Duration,
    /// Whether the stream has whole connections in place of their transitions: then what was there before need not be
    /// remembered for what only a transition can show.
    pub summaries: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { stuck_after: Duration::from_secs(60), summaries: false }
    }
}

/// Every detector, in the order in which their findings are told.
#[must_use]
pub fn all(host: &Host, options: &Options) -> Detectors {
    Detectors::of(vec![
        Box::new(SelfConnect::new(host)),
        Box::new(SimultaneousOpen),
        Box::new(SimultaneousClose),
        Box::new(PortSharing::new(!options.summaries)),
        Box::new(ConnectFailed::new(host, !options.summaries)),
        Box::new(BindFailed::new(host)),
        Box::new(IllegalTransition),
        Box::new(Stuck::new(options.stuck_after)),
    ])
}

/// A transition, and what is known of its socket by then.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The transition.
    pub transition: &'a Transition,
    /// The state in which the report before this one left the socket; `None` where that was not
    /// seen, or where reports may be missing between the two.
    pub previous: Option<State>,
    /// How the socket's connection came to be, this transition included; `None` for a listener.
    pub open: Option<Open>,
    /// The course of that connection so far, this transition its last; `None` where it is not known yet whose it is.
    pub course: Option<&'a StateHistory>,
    /// All the others, this one among them.
    pub others: &'a dyn SocketTable,
}

impl Context<'_> {
    /// Whether the transition begins where the socket's last one is known to have left it.
    fn is_in_order(&self) -> bool {
        self.previous == Some(self.transition.old)
    }

    /// A finding about this socket, with its whole course as evidence.
    fn finding(&self, kind: FindingKind, message: String) -> Finding {
        Finding {
            kind,
            at: self.transition.at,
            socket: Some(self.transition.socket),
            netns: self.transition.netns,
            ends: self.transition.ends,
            owner: self.transition.owner.clone(),
            message,
            remedy: None,
            evidence: self.evidence(),
        }
    }

    /// The whole course as evidence, or this transition where there is none.
    fn evidence(&self) -> Vec<u64> {
        self.course.map_or_else(|| vec![self.transition.seq], StateHistory::seqs)
    }

    /// The whole course, or this transition where there is none.
    fn course(&self) -> StateHistory {
        self.course.cloned().unwrap_or_else(|| {
            let mut course = StateHistory::default();
            course.pass(self.transition.seq);
            course
        })
    }
}

/// A finding about a connection of which nothing but its end was reported: no transition shows it.
fn finding_of(connection: &Connection, kind: FindingKind, message: String) -> Finding {
    Finding {
        kind,
        at: connection.close.as_ref().map(|close| close.at).or(connection.opened).unwrap_or_default(),
        socket: Some(connection.socket),
        netns: connection.netns,
        ends: connection.ends,
        owner: connection.owner.clone(),
        message,
        remedy: None,
        evidence: Vec::new(),
    }
}

/// The owner as the subject of a sentence.
fn who(owner: &Owner) -> String {
    match owner.task {
        Some(_) => owner.to_string(),
        None => "a process that is not known".to_owned(),
    }
}
