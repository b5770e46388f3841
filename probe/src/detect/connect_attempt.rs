//! A connect whose handshake did not end, from its transition into CLOSE or from its connection.

use std::time::Duration;

use super::detector::Context;
use crate::model::{Cause, Connection, Edge, Mono, Open, Owner, SocketIdentity, State, Transition};

/// What is known of it at its end.
pub struct ConnectAttempt<'a> {
    /// SYN_SENT, or SYN_RECV in a simultaneous open.
    pub state: State,
    pub identity: SocketIdentity,
    pub owner: &'a Owner,
    pub at: Mono,
    /// How long it tried; `None` where its opening was not seen.
    pub lasted: Option<Duration>,
    pub cause: Cause,
    pub segs_out: Option<u32>,
}

impl<'a> ConnectAttempt<'a> {
    /// The connect that this transition ends, if it ends one and its cause is known.
    pub fn of_transition(context: &Context<'a>) -> Option<Self> {
        let Transition { identity, ref owner, at, state_duration: lasted, segs_out, cause, .. } =
            *context.transition;
        let state = unfinished(context.transition.edge(), context.open)?;
        Some(Self { state, identity, owner, at, lasted, cause: cause?, segs_out })
    }

    /// The same of a connection of which only the summary was reported.
    pub fn of_connection(connection: &'a Connection) -> Option<Self> {
        let state = unfinished(connection.path.last_edge()?, Some(connection.open))?;
        let close = connection.close.as_ref()?;
        Some(Self {
            state,
            identity: connection.identity,
            owner: &connection.owner,
            at: close.at,
            lasted: connection.opened.map(|opened| close.at.since(opened)),
            cause: close.cause?,
            segs_out: connection.counters.map(|counters| counters.segs_out),
        })
    }

    /// The SYNs without an answer. In SYN_SENT every segment sent is a SYN.
    pub fn unanswered(&self) -> String {
        match self.segs_out {
            Some(1) => "1 SYN went unanswered".to_owned(),
            Some(syns) => format!("{syns} SYNs went unanswered"),
            None => "its SYNs went unanswered".to_owned(),
        }
    }
}

/// Whether this edge may end a connect before its handshake ended.
pub fn may_end(edge: Edge) -> bool {
    matches!(edge, (State::SynSent | State::SynRecv, State::Close))
}

/// The state in which the connect ended; `None` where the edge ends none. A listener's child is in SYN_RECV, too.
fn unfinished(edge: Edge, open: Option<Open>) -> Option<State> {
    match edge {
        (State::SynSent, State::Close) => Some(State::SynSent),
        (State::SynRecv, State::Close) if open.is_some_and(Open::is_outgoing) => Some(State::SynRecv),
        _ => None,
    }
}
