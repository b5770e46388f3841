//! The exact filter: which sockets are shown.
//!
//! The kernel side drops what certainly does not match. The rest is decided here, where the tracker has added the owner and
//! the endpoints. A socket is decided once and stays shown, even if another process takes it over. Outputs that cannot be
//! decided yet are held back: those of a connect whose local port the kernel has not picked.

mod filter_sets;
mod owner_filter;
mod socket_facts;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use foldhash::HashMap;

use self::{
    filter_sets::FilterSets,
    owner_filter::OwnerFilter,
    socket_facts::{Match, SocketFacts},
};
use crate::model::{BindFailure, DiagEntry, Filter, Output, SocketId};

/// The number of closed sockets that are remembered: an RST, a finding or a mini-socket may follow the close.
const MAX_CLOSED: usize = 1024;

/// The number of connections that are held back at most. Beyond it, the oldest is shown: nothing that may match is dropped.
const MAX_HELD: usize = if cfg!(test) { 8 } else { 1 << 14 };

/// The number of remembered sockets beyond which those are forgotten that had no output since reports were lost: the close
/// of some of them is among the lost reports. Without a loss, there really are that many.
const MAX_AFTER_LOSS: usize = if cfg!(test) { 8 } else { 1 << 18 };

/// A filter and its decisions.
#[derive(Debug)]
pub struct SocketFilter {
    sets: FilterSets,
    /// Whether the filter is empty and matches everything.
    is_empty: bool,
    owners: OwnerFilter,
    /// The sockets that are shown, each with the number of losses before its last output.
    shown: HashMap<SocketId, u64>,
    closed: VecDeque<SocketId>,
    /// The outputs of connections that cannot be decided yet, by the `seq` of their first transition.
    held: BTreeMap<u64, Vec<Output>>,
    losses: u64,
    /// Whether reports were lost since sockets were last forgotten.
    has_lost: bool,
}

impl SocketFilter {
    /// The filter at the beginning of a stream.
    #[must_use]
    pub fn new(filter: &Filter) -> Self {
        Self {
            is_empty: filter.is_empty(),
            sets: FilterSets::new(filter),
            owners: OwnerFilter::default(),
            shown: HashMap::default(),
            closed: VecDeque::new(),
            held: BTreeMap::new(),
            losses: 0,
            has_lost: false,
        }
    }

    /// Whether the filter is empty and matches everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// Takes the next outputs about one socket, and leaves in `outputs` what is shown now: them and those of the same
    /// socket that were held back, or nothing.
    ///
    /// `first_seq` returns the `seq` of the first transition of an output's connection, if that was seen; it is called
    /// only where outputs are held back. `owner_matches` is the kernel side's decision on the owner.
    pub fn select(
        &mut self,
        outputs: &mut Vec<Output>,
        first_seq: impl FnOnce(&Output) -> Option<u64>,
        owner_matches: Option<bool>,
    ) {
        if self.is_empty() {
            return;
        }
        let Some(facts) = SocketFacts::of_outputs(outputs) else { return };
        let is_final = facts.is_final;
        let decision = self.decide(&facts, owner_matches);
        if decision == Match::Yes && self.held.is_empty() {
            return;
        }
        let first_seq = outputs.first().and_then(first_seq);
        match decision {
            Match::Yes => self.release(first_seq, outputs),
            Match::No => {
                self.release(first_seq, outputs);
                outputs.clear();
            }
            Match::Unknown => match first_seq.filter(|_| !is_final) {
                Some(first_seq) => self.hold(first_seq, outputs),
                // It stays unknown, as with a connect that is refused before the kernel has picked a port.
                None => self.release(first_seq, outputs),
            },
        }
    }

    /// Takes the findings about a bind(2) that failed, and leaves them if the failure matches.
    pub fn select_bind_failure(&mut self, failure: &BindFailure, outputs: &mut Vec<Output>) {
        if !self.is_empty() && self.decide(&SocketFacts::of_bind_failure(failure), None) == Match::No {
            outputs.clear();
        }
    }

    /// Whether an existing socket may match. Its owner is disregarded: the reports decide on that.
    #[must_use]
    pub fn may_match(&self, row: &DiagEntry) -> bool {
        SocketFacts::of_diag_entry(row).matches(&self.sets) != Match::No
    }

    /// Reports were lost, perhaps the close of remembered sockets.
    pub fn lost(&mut self) {
        self.losses += 1;
        self.has_lost = true;
    }

    fn decide(&mut self, facts: &SocketFacts<'_>, owner_matches: Option<bool>) -> Match {
        let owner = self.owners.matches(&self.sets, facts, owner_matches);
        if let Some(last_output) = facts.socket.and_then(|socket| self.shown.get_mut(&socket)) {
            *last_output = self.losses;
        } else {
            let decision = owner.and(facts.matches(&self.sets));
            if decision != Match::Yes {
                return decision;
            }
            self.shown.extend(facts.socket.map(|socket| (socket, self.losses)));
        }
        if facts.is_close {
            self.closed.extend(facts.socket);
        }
        self.forget();
        Match::Yes
    }

    /// Forgets sockets whose decision is not needed any more.
    fn forget(&mut self) {
        if self.closed.len() > MAX_CLOSED
            && let Some(oldest) = self.closed.pop_front()
        {
            self.shown.remove(&oldest);
        }
        if self.shown.len() > MAX_AFTER_LOSS && self.has_lost {
            self.has_lost = false;
            let losses = self.losses;
            self.shown.retain(|_, last_output| *last_output == losses);
        }
    }

    fn hold(&mut self, first_seq: u64, outputs: &mut Vec<Output>) {
        self.held.entry(first_seq).or_default().append(outputs);
        if self.held.len() > MAX_HELD
            && let Some((_, oldest)) = self.held.pop_first()
        {
            *outputs = oldest;
        }
    }

    fn release(&mut self, first_seq: Option<u64>, outputs: &mut Vec<Output>) {
        if let Some(mut held) = first_seq.and_then(|first_seq| self.held.remove(&first_seq)) {
            held.append(outputs);
            *outputs = held;
        }
    }
}
