//! The trait of the detectors, the context of a transition, and what findings have in common.

use crate::model::{
    BindFailure, Connection, DiagEntry, Edge, Finding, FindingKind, Mono, Open, Opener, OpenerFate, Owner,
    SocketTable, State, StateHistory, Transition,
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
    pub fn is_in_order(&self) -> bool {
        self.previous == Some(self.transition.old)
    }

    /// A finding about this socket, with all transitions of its connection as evidence.
    pub fn finding(&self, kind: FindingKind, message: String) -> Finding {
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
    pub fn evidence(&self) -> Vec<u64> {
        self.history.map_or_else(|| vec![self.transition.seq], StateHistory::seqs)
    }

    /// A copy of the history; of this transition alone where none is known.
    pub fn history(&self) -> StateHistory {
        self.history.cloned().unwrap_or_else(|| {
            let mut history = StateHistory::default();
            history.add_transition(self.transition.seq);
            history
        })
    }
}

/// A finding about a connection of which only the summary was reported: it has no transitions as evidence.
pub fn finding_of(connection: &Connection, kind: FindingKind, message: String) -> Finding {
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
pub fn who(owner: &Owner) -> String {
    match owner.task {
        Some(_) => owner.to_string(),
        None => "an unknown process".to_owned(),
    }
}

/// What to add to a sentence about a socket that another process opened than the one that has its descriptor.
pub fn opened_by(row: &DiagEntry) -> String {
    let Some(Opener { owner: opener, fate }) = &row.opener else { return String::new() };
    let pid = |owner: &Owner| owner.task.as_ref().map(|task| task.pid);
    if let Some(task) = opener.task.as_ref().filter(|_| pid(opener) == pid(&row.owner)) {
        return format!(" (opened while it was named {})", task.comm);
    }
    let fate = match fate {
        Some(OpenerFate::Exited) => ", which has exited",
        Some(OpenerFate::Closed) => ", which has closed it",
        Some(OpenerFate::Holds) => ", which has it, too",
        None => "",
    };
    format!(" (opened by {}{fate})", who(opener))
}
