//! Which of the host's sockets are shown: the filter, exactly.
//!
//! The kernel side drops what certainly is not meant. What comes through is decided here, where the tracker
//! has added the owner and the ends. A socket is decided once and stays shown, whoever it passes to. What
//! cannot be decided yet is held back: a connect from a port that the kernel has yet to pick.

mod facts;
mod owners;
mod sets;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use foldhash::HashMap;

use self::{
    facts::{Facts, Fit},
    owners::Owners,
    sets::Sets,
};
use crate::model::{BindFailure, DiagEntry, Filter, Output, SocketId};

/// How many closed sockets are remembered: an RST, a finding or a mini-socket may come after the end.
const CLOSED: usize = 1024;

/// How many connections are held back at most. Of more, the oldest is shown: nothing that may be meant is
/// dropped.
const HELD: usize = if cfg!(test) { 8 } else { 1 << 14 };

/// With more sockets than this remembered, those that were not heard of since reports were lost are
/// forgotten: some of them will have ended unheard. Without a loss, there really are so many.
const MOST: usize = if cfg!(test) { 8 } else { 1 << 18 };

/// The filter, with what it has decided.
#[derive(Debug)]
pub struct Exact {
    sought: Sets,
    /// The filter has nothing in it.
    is_open: bool,
    owners: Owners,
    /// The sockets that are shown, each with the number of losses at the time when it was last heard of.
    shown: HashMap<SocketId, u64>,
    closed: VecDeque<SocketId>,
    /// Events of connections that cannot be decided yet, by the `seq` of their first transition.
    held: BTreeMap<u64, Vec<Output>>,
    losses: u64,
    /// Reports were lost since stale sockets were last cleared out.
    gap: bool,
}

impl Exact {
    /// The filter, at the beginning of a stream.
    #[must_use]
    pub fn new(filter: &Filter) -> Self {
        Self {
            is_open: filter.is_empty(),
            sought: Sets::of(filter),
            owners: Owners::default(),
            shown: HashMap::default(),
            closed: VecDeque::new(),
            held: BTreeMap::new(),
            losses: 0,
            gap: false,
        }
    }

    /// Whether everything passes.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Takes the next `events` of one socket, and leaves in it what is to be shown now: themselves with those of
    /// the socket's that were held back, or nothing.
    ///
    /// `first` is the `seq` of the connection's first transition, where that was seen; `owner_fits` is the
    /// kernel side's word on the owner.
    pub fn admit(&mut self, events: &mut Vec<Output>, first: Option<u64>, owner_fits: Option<bool>) {
        if self.is_open() {
            return;
        }
        let Some(facts) = Facts::of(events) else { return };
        match self.decide(&facts, owner_fits) {
            Fit::Yes => self.release(first, events),
            Fit::No => {
                self.release(first, events);
                events.clear();
            }
            Fit::Unknown => match first.filter(|_| !facts.is_last) {
                Some(first) => self.hold(first, events),
                // It will never be known. A refusal by the kernel before it had picked a port is among these.
                None => self.release(first, events),
            },
        }
    }

    /// Takes the findings that a bind(2) that failed led to, and leaves them if the filter selects the failure.
    pub fn admit_bind_failure(&mut self, failure: &BindFailure, outputs: &mut Vec<Output>) {
        if !self.is_open() && self.decide(&Facts::of_bind_failure(failure), None) == Fit::No {
            outputs.clear();
        }
    }

    /// Whether a socket that was there already may be meant, whoever has it: that is known at its reports.
    #[must_use]
    pub fn may_mean(&self, row: &DiagEntry) -> bool {
        Facts::of_listed(row).fit(&self.sought) != Fit::No
    }

    /// Reports were lost, perhaps of the end of sockets that are remembered.
    pub fn lost(&mut self) {
        self.losses += 1;
        self.gap = true;
    }

    fn decide(&mut self, facts: &Facts<'_>, owner_fits: Option<bool>) -> Fit {
        let owner = self.owners.fit(&self.sought, facts, owner_fits);
        if let Some(heard) = facts.socket.and_then(|socket| self.shown.get_mut(&socket)) {
            *heard = self.losses;
        } else {
            let fit = owner.and(facts.fit(&self.sought));
            if fit != Fit::Yes {
                return fit;
            }
            self.shown.extend(facts.socket.map(|socket| (socket, self.losses)));
        }
        if facts.is_end {
            self.closed.extend(facts.socket);
        }
        self.forget();
        Fit::Yes
    }

    /// Forgets what need not be remembered any more.
    fn forget(&mut self) {
        if self.closed.len() > CLOSED
            && let Some(oldest) = self.closed.pop_front()
        {
            self.shown.remove(&oldest);
        }
        if self.shown.len() > MOST && self.gap {
            self.gap = false;
            let losses = self.losses;
            self.shown.retain(|_, heard| *heard == losses);
        }
    }

    fn hold(&mut self, first: u64, events: &mut Vec<Output>) {
        self.held.entry(first).or_default().append(events);
        if self.held.len() > HELD
            && let Some((_, oldest)) = self.held.pop_first()
        {
            *events = oldest;
        }
    }

    fn release(&mut self, first: Option<u64>, events: &mut Vec<Output>) {
        if let Some(mut held) = first.and_then(|first| self.held.remove(&first)) {
            held.append(events);
            *events = held;
        }
    }
}
