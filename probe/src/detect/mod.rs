//! Detectors: what in a stream deserves an engineer's attention. One detector per file, all behind one trait.
//!
//! Pure: transitions in, findings out, and time from ticks. A detector claims only what is certain, and omits what it
//! cannot know. To add one, add a file here and a line in [`all`].

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

/// Derives findings from transitions.
pub trait Detector {
    /// Whether it observes the transitions along this edge. Every detector observes a transition that does not follow
    /// from the socket's last one.
    fn watches(&self, edge: Edge) -> bool;

    /// The finding of the next transition.
    fn observe(&mut self, context: &Context<'_>) -> Option<Finding>;

    /// Adds the pre-existing sockets.
    fn existing(&mut self, _at: Mono, _sockets: &[DiagEntry]) {}

    /// Whether it examines connections whose path has this edge, where only the summary is reported.
    fn examines(&self, _edge: Edge) -> bool {
        false
    }

    /// The finding of a connection of which only the summary was reported. Called where its path has an edge that the
    /// detector [examines](Self::examines).
    fn ended(&mut self, _connection: &Connection) -> Option<Finding> {
        None
    }

    /// The finding of a bind(2) that failed.
    fn bind_failed(&mut self, _failure: &BindFailure) -> Option<Finding> {
        None
    }

    /// The findings that are due at this time. Ticks are the only clock here.
    fn tick(&mut self, _now: Mono) -> Vec<Finding> {
        Vec::new()
    }

    /// Reports were lost: what it remembers of sockets may be out of date.
    fn lost(&mut self) {}
}

/// Settings of the detectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long a socket may stay in SYN_SENT, CLOSE_WAIT or FIN_WAIT2 before it counts as stuck.
    pub stuck_after: Duration,
    /// Whether the stream has summaries of connections instead of their transitions: then no detector needs to index
    /// pre-existing sockets for findings that only transitions show.
    pub summaries: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { stuck_after: Duration::from_secs(60), summaries: false }
    }
}

/// Every detector, in the order in which their findings are emitted.
#[must_use]
pub fn all(host: &Host, options: &Options) -> Detectors {
    Detectors::new(vec![
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

/// A transition, and what is known of its socket at that time.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The transition.
    pub transition: &'a Transition,
    /// The state in which the previous report left the socket; `None` where there was none, or where reports may have
    /// been lost in between.
    pub previous: Option<State>,
    /// How the socket's connection opened, this transition included; `None` for a listener.
    pub open: Option<Open>,
    /// The connection's states and transitions so far, this one included; `None` for a child that is reported before it
    /// has an identity.
    pub history: Option<&'a StateHistory>,
    /// All known sockets, this one included.
    pub sockets: &'a dyn SocketTable,
}

impl Context<'_> {
    /// Whether the transition leaves the state in which the socket is known to be.
    fn is_in_order(&self) -> bool {
        self.previous == Some(self.transition.old)
    }

    /// A finding about this socket, with all transitions of its connection as evidence.
    fn finding(&self, kind: FindingKind, message: String) -> Finding {
        Finding {
            kind,
            at: self.transition.at,
            socket: Some(self.transition.socket),
            identity: self.transition.identity,
            owner: self.transition.owner.clone(),
            message,
            remedy: None,
            evidence: self.evidence(),
        }
    }

    /// The `seq` of each transition of the connection; of this one alone where no history is known.
    fn evidence(&self) -> Vec<u64> {
        self.history.map_or_else(|| vec![self.transition.seq], StateHistory::seqs)
    }

    /// A copy of the history; of this transition alone where none is known.
    fn history(&self) -> StateHistory {
        self.history.cloned().unwrap_or_else(|| {
            let mut history = StateHistory::default();
            history.add_transition(self.transition.seq);
            history
        })
    }
}

/// A finding about a connection of which only the summary was reported: it has no transitions as evidence.
fn finding_of(connection: &Connection, kind: FindingKind, message: String) -> Finding {
    Finding {
        kind,
        at: connection.close.as_ref().map(|close| close.at).or(connection.opened).unwrap_or_default(),
        socket: Some(connection.socket),
        identity: connection.identity,
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
        None => "an unknown process".to_owned(),
    }
}
