//! A socket that stays in a state which it should leave.
//!
//! Time passes by ticks alone, and findings come from them alone. Of what happens in between, each stay
//! costs one entry in a queue: all of them are due the same time after they begin, so that the oldest is in
//! front. The tick looks at those that are due, and at no others.

#[cfg(test)]
mod tests;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use foldhash::HashMap;

use super::{Context, Detector, who};
use crate::model::{
    DiagEntry, Edge, Endpoints, Finding, FindingKind, Mono, Owner, PackedEnds, Protocol, SocketId, State,
    StateHistory, Transition,
};

/// Sockets in SYN_SENT, CLOSE_WAIT and FIN_WAIT2.
pub struct Stuck {
    after: Duration,
    /// By the socket's number; of those from the snapshot, by the cookie.
    stays: HashMap<u64, Stay>,
    /// When each began, and where it is. Those that have ended since are still here.
    queue: VecDeque<(Mono, u64)>,
}

/// A socket in one of these states.
struct Stay {
    state: State,
    since: Mono,
    /// Whether it was there already when the trace began.
    was_there: bool,
    socket: SocketId,
    netns: Option<u32>,
    ends: PackedEnds,
    owner: Arc<Owner>,
    /// The course of its connection up to there.
    course: StateHistory,
}

impl Stuck {
    /// A detector that finds what stays for longer than this.
    pub fn new(after: Duration) -> Self {
        Self { after, stays: HashMap::default(), queue: VecDeque::new() }
    }

    fn enter(&mut self, number: u64, stay: Stay) {
        // Most stays end long before they are due. What they leave in the queue may not outgrow what counts.
        if self.queue.len() > 2 * self.stays.len() + 1024 {
            let stays = &self.stays;
            self.queue.retain(|(since, number)| is_there(stays, *since, *number));
        }
        self.queue.push_back((stay.since, number));
        self.stays.insert(number, stay);
    }

    fn leave(&mut self, transition: &Transition) {
        self.stays.remove(&transition.socket.number);
        // On the fallback backend, the snapshot's has another number.
        if let Some(cookie) = transition.cookie.filter(|cookie| *cookie != transition.socket.number) {
            self.stays.remove(&cookie);
        }
    }
}

impl Detector for Stuck {
    fn watches(&self, (old, new): Edge) -> bool {
        [old, new].into_iter().any(|state| is_waiting(Protocol::Tcp, state))
    }

    fn observe(&mut self, context: &Context<'_>) -> Option<Finding> {
        let transition = context.transition;
        // A close after shutdown reports FIN_WAIT2 once more.
        if transition.old == transition.new {
            return None;
        }
        if is_waiting(transition.protocol, transition.old) || context.previous.is_none() {
            self.leave(transition);
        }
        if is_waiting(transition.protocol, transition.new) {
            let stay = Stay {
                state: transition.new,
                since: transition.at,
                was_there: false,
                socket: transition.socket,
                netns: transition.netns,
                ends: transition.ends.into(),
                owner: Arc::clone(&transition.owner),
                course: context.course(),
            };
            self.enter(transition.socket.number, stay);
        }
        None
    }

    fn existing(&mut self, at: Mono, sockets: &[DiagEntry]) {
        let waits = |socket: &&DiagEntry| is_waiting(socket.protocol, socket.state) && socket.is_full();
        for socket in sockets.iter().filter(waits) {
            let stay = Stay {
                state: socket.state,
                since: at,
                was_there: true,
                socket: SocketId { number: socket.cookie, generation: 0 },
                netns: Some(socket.netns),
                ends: socket.ends.into(),
                owner: Arc::clone(&socket.owner),
                course: StateHistory::default(),
            };
            self.enter(socket.cookie, stay);
        }
    }

    fn tick(&mut self, now: Mono) -> Vec<Finding> {
        let mut findings = Vec::new();
        while let Some((since, number)) = self.queue.front().copied()
            && now.since(since) > self.after
        {
            self.queue.pop_front();
            // Told once, it is done with.
            if is_there(&self.stays, since, number)
                && let Some(stay) = self.stays.remove(&number)
            {
                findings.push(stay.finding(now));
            }
        }
        findings
    }

    /// Any of them may have left its state unheard.
    fn lost(&mut self) {
        self.stays.clear();
        self.queue.clear();
    }
}

impl Stay {
    fn finding(self, now: Mono) -> Finding {
        Finding {
            kind: FindingKind::Stuck,
            at: now,
            message: self.message(now),
            socket: Some(self.socket),
            netns: self.netns,
            ends: self.ends.unpack(),
            owner: self.owner,
            remedy: None,
            evidence: self.course.seqs(),
        }
    }

    fn message(&self, now: Mono) -> String {
        let owner = who(&self.owner);
        let Endpoints { local, remote } = self.ends.unpack();
        let at_least = if self.was_there { "at least " } else { "" };
        let time = format!("for {at_least}{} s", now.since(self.since).as_secs());
        match self.state {
            State::SynSent => format!(
                "{owner} has been in SYN_SENT {time}: {remote} does not answer, not even by a refusal (a firewall \
                 that drops, or a host that is down)"
            ),
            State::CloseWait => format!(
                "{owner} has been in CLOSE_WAIT at {local} {time}: {remote} has closed its end, and nobody here has \
                 closed this one (typically a descriptor that is leaked, or a process that hangs)"
            ),
            _ => format!(
                "{owner} has been in {} at {local} {time}: it has sent all that it will, and {remote} knows that and \
                 has not closed its own end",
                self.state
            ),
        }
    }
}

/// An MPTCP socket waits for an answer to its SYN where its subflow does.
fn is_waiting(protocol: Protocol, state: State) -> bool {
    match state {
        State::SynSent => protocol == Protocol::Tcp,
        State::CloseWait | State::FinWait2 => true,
        _ => false,
    }
}

fn is_there(stays: &HashMap<u64, Stay>, since: Mono, number: u64) -> bool {
    stays.get(&number).is_some_and(|stay| stay.since == since)
}
