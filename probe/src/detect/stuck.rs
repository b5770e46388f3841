//! A socket that stays in a state that it should leave.
//!
//! Ticks are the only clock, and only ticks produce findings. Each wait costs one entry in a queue: all are due after the
//! same time, so that the oldest is in front. A tick examines only those that are due.

#[cfg(test)]
mod tests;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use foldhash::HashMap;

use super::detector::{Context, Detector, who};
use crate::model::{
    DiagEntry, Edge, Endpoints, Finding, FindingKind, Mono, Owner, PackedIdentity, Protocol, SocketId,
    SocketIdentity, State, StateHistory, Transition,
};

/// Sockets in SYN_SENT, CLOSE_WAIT and FIN_WAIT2.
pub struct Stuck {
    after: Duration,
    /// By the socket's number; by the cookie for pre-existing sockets.
    waiting: HashMap<u64, Waiting>,
    /// When each wait began, and the key in `waiting`. Entries of waits that have ended stay until they are due.
    queue: VecDeque<(Mono, u64)>,
}

/// A socket in one of these states.
struct Waiting {
    state: State,
    since: Mono,
    /// Whether the socket is pre-existing: then the wait may have begun earlier.
    is_preexisting: bool,
    socket: SocketId,
    identity: PackedIdentity,
    owner: Arc<Owner>,
    /// The connection's history up to this state.
    history: StateHistory,
}

impl Stuck {
    /// A detector of sockets that wait for longer than this.
    pub fn new(after: Duration) -> Self {
        Self { after, waiting: HashMap::default(), queue: VecDeque::new() }
    }

    fn enter(&mut self, number: u64, wait: Waiting) {
        // Most waits end long before they are due: the queue must not outgrow those that last.
        if self.queue.len() > 2 * self.waiting.len() + 1024 {
            let waiting = &self.waiting;
            self.queue.retain(|(since, number)| still_waits(waiting, *since, *number));
        }
        self.queue.push_back((wait.since, number));
        self.waiting.insert(number, wait);
    }

    fn leave(&mut self, transition: &Transition) {
        self.waiting.remove(&transition.socket.number);
        // On backend `tracepoint` the snapshot's entry has another number.
        if let Some(cookie) = transition.cookie.filter(|cookie| *cookie != transition.socket.number) {
            self.waiting.remove(&cookie);
        }
    }
}

impl Detector for Stuck {
    fn watches(&self, (old, new): Edge) -> bool {
        [old, new].into_iter().any(|state| is_waiting(Protocol::Tcp, state))
    }

    fn observe(&mut self, context: &Context<'_>) -> Option<Finding> {
        let transition = context.transition;
        // A close after shutdown reports FIN_WAIT2 to FIN_WAIT2.
        if transition.old == transition.new {
            return None;
        }
        if is_waiting(transition.identity.protocol, transition.old) || context.previous.is_none() {
            self.leave(transition);
        }
        if is_waiting(transition.identity.protocol, transition.new) {
            let wait = Waiting {
                state: transition.new,
                since: transition.at,
                is_preexisting: false,
                socket: transition.socket,
                identity: transition.identity.into(),
                owner: Arc::clone(&transition.owner),
                history: context.history(),
            };
            self.enter(transition.socket.number, wait);
        }
        None
    }

    fn existing(&mut self, at: Mono, sockets: &[DiagEntry]) {
        let waits =
            |socket: &&DiagEntry| is_waiting(socket.identity.protocol, socket.state) && socket.is_full();
        for socket in sockets.iter().filter(waits) {
            let wait = Waiting {
                state: socket.state,
                since: at,
                is_preexisting: true,
                socket: SocketId { number: socket.cookie, generation: 0 },
                identity: SocketIdentity::from(socket.identity).into(),
                owner: Arc::clone(&socket.owner),
                history: StateHistory::default(),
            };
            self.enter(socket.cookie, wait);
        }
    }

    fn tick(&mut self, now: Mono) -> Vec<Finding> {
        let mut findings = Vec::new();
        while let Some((since, number)) = self.queue.front().copied()
            && now.since(since) > self.after
        {
            self.queue.pop_front();
            // Each wait is one finding.
            if still_waits(&self.waiting, since, number)
                && let Some(wait) = self.waiting.remove(&number)
            {
                findings.push(wait.finding(now));
            }
        }
        findings
    }

    /// Any of them may have left its state without a report.
    fn lost(&mut self) {
        self.waiting.clear();
        self.queue.clear();
    }
}

impl Waiting {
    fn finding(self, now: Mono) -> Finding {
        Finding {
            kind: FindingKind::Stuck,
            at: now,
            message: self.message(now),
            socket: Some(self.socket),
            identity: self.identity.unpack(),
            owner: self.owner,
            remedy: None,
            evidence: self.history.seqs(),
        }
    }

    fn message(&self, now: Mono) -> String {
        let owner = who(&self.owner);
        let Endpoints { local, remote } = self.identity.endpoints();
        let at_least = if self.is_preexisting { "at least " } else { "" };
        let time = format!("for {at_least}{} s", now.since(self.since).as_secs());
        match self.state {
            State::SynSent => format!(
                "{owner} has been in SYN_SENT {time}: {remote} does not answer, not even with an RST (a firewall drops the \
                 SYNs, or the host is down)"
            ),
            State::CloseWait => format!(
                "{owner} has been in CLOSE_WAIT at {local} {time}: {remote} has closed, and no process here has (typically \
                 a leaked descriptor or a hanging process)"
            ),
            _ => format!(
                "{owner} has been in {} at {local} {time}: {remote} has acknowledged its FIN, but has not sent one",
                self.state
            ),
        }
    }
}

/// SYN_SENT counts for TCP only: an MPTCP socket's subflow sends the SYN.
fn is_waiting(protocol: Protocol, state: State) -> bool {
    match state {
        State::SynSent => protocol == Protocol::Tcp,
        State::CloseWait | State::FinWait2 => true,
        _ => false,
    }
}

fn still_waits(waiting: &HashMap<u64, Waiting>, since: Mono, number: u64) -> bool {
    waiting.get(&number).is_some_and(|wait| wait.since == since)
}
