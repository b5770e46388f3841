//! Which connection is between which ends: whose a four-tuple is that somebody else wants.

use std::{collections::VecDeque, hash::BuildHasher as _, sync::Arc, time::Duration};

use foldhash::{HashMap, fast::RandomState};

use crate::model::{Endpoints, Listed, Mono, Other, Others, Owner, PackedEnds, Protocol, State, Transition};

/// How long TIME_WAIT lasts (`TCP_TIMEWAIT_LEN`).
const TIME_WAIT: Duration = Duration::from_secs(60);

/// How many ended connections are remembered at most.
const MOST_LEFT: usize = 1 << 16;

/// The connections that there are, and those whose TIME_WAIT there may be.
#[derive(Default)]
pub struct Tuples {
    hasher: RandomState,
    /// Who has a place, by the place's hash: the number of the socket, which knows its ends. For one from the snapshot it is
    /// the cookie.
    by_place: HashMap<u64, u64>,
    /// Those of them that ended.
    left: HashMap<u64, Left>,
    /// The same in the order of their ends.
    order: VecDeque<(Mono, u64)>,
}

/// A namespace, and both ends of a connection in it.
type Place = (u32, Endpoints);

/// A connection of which at most a mini-socket is left.
struct Left {
    at: Mono,
    netns: u32,
    ends: PackedEnds,
    owner: Arc<Owner>,
}

/// Who has a four-tuple.
pub struct Holder {
    /// Whose it is, or was.
    pub owner: Arc<Owner>,
    /// When the connection ended, where at most a mini-socket is left of it.
    pub left: Option<Mono>,
}

impl Tuples {
    /// Takes in a socket that was there before.
    pub fn existing(&mut self, row: &Listed) {
        if row.protocol == Protocol::Tcp && row.state != State::Listen && row.is_full() {
            let hash = self.hash((row.netns, canonical(row.ends)));
            self.by_place.insert(hash, row.cookie);
        }
    }

    /// Takes in a transition.
    pub fn observe(&mut self, transition: &Transition, others: &dyn Others) {
        use State::{Close, Established, SynRecv, SynSent};
        // Half of them change nothing here, and to see that costs less than to tell the place.
        if !matches!(transition.edge(), (Close, SynSent) | (SynSent, SynRecv) | (_, Established | Close)) {
            return;
        }
        let Some(place) = place(transition) else { return };
        let hash = self.hash(place);
        match transition.edge() {
            // It has asked for the four-tuple, which somebody else may have.
            (Close, SynSent) => {
                self.by_place.entry(hash).or_insert(transition.socket.number);
            }
            (_, Close) => self.leave(hash, place, transition, others),
            _ => {
                if self.by_place.insert(hash, transition.socket.number).is_some() {
                    self.left.remove(&hash);
                }
            }
        }
    }

    /// Who else has the four-tuple that this socket wants.
    pub fn holder(&self, transition: &Transition, others: &dyn Others) -> Option<Holder> {
        let (netns, ends) = place(transition)?;
        let hash = self.hash((netns, ends));
        let number = self.by_place.get(&hash).filter(|number| !is(**number, transition))?;
        match self.left.get(&hash) {
            Some(left) => {
                let is_there = (left.netns, left.ends.unpack()) == (netns, ends);
                let is_gone = transition.at.since(left.at) > TIME_WAIT;
                (is_there && !is_gone).then(|| Holder { owner: Arc::clone(&left.owner), left: Some(left.at) })
            }
            None => {
                let is_there =
                    |other: &Other<'_>| (other.netns, canonical(other.ends)) == (Some(netns), ends);
                let other = others.find(*number).filter(is_there)?;
                Some(Holder { owner: Arc::clone(other.owner), left: None })
            }
        }
    }

    /// Reports were lost: any of them may have ended.
    pub fn clear(&mut self) {
        self.by_place.clear();
        self.left.clear();
        self.order.clear();
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.by_place.is_empty() && self.left.is_empty() && self.order.is_empty()
    }

    fn leave(&mut self, hash: u64, (netns, ends): Place, transition: &Transition, others: &dyn Others) {
        if !self.by_place.get(&hash).is_some_and(|number| is(*number, transition)) {
            return;
        }
        let at = transition.at;
        let sent_fin_first = matches!(transition.old, State::FinWait1 | State::FinWait2 | State::Closing);
        let may_stay = sent_fin_first && transition.cause.as_ref().is_some_and(|cause| cause.errno.is_none());
        match others.find(transition.socket.number).filter(|_| may_stay) {
            Some(Other { owner, .. }) => {
                let left = Left { at, netns, ends: ends.into(), owner: Arc::clone(owner) };
                self.left.insert(hash, left);
                self.order.push_back((at, hash));
            }
            None => self.forget(hash),
        }
        self.expire(at);
    }

    fn expire(&mut self, now: Mono) {
        while let Some((left, hash)) = self.order.front().copied()
            && (now.since(left) > TIME_WAIT || self.order.len() > MOST_LEFT)
        {
            self.order.pop_front();
            if self.left.get(&hash).is_some_and(|there| there.at == left) {
                self.forget(hash);
            }
        }
    }

    fn forget(&mut self, hash: u64) {
        self.by_place.remove(&hash);
        self.left.remove(&hash);
    }

    fn hash(&self, place: Place) -> u64 {
        self.hasher.hash_one(place)
    }
}

/// Whether the socket of that number is the transition's.
fn is(number: u64, transition: &Transition) -> bool {
    number == transition.socket.number || Some(number) == transition.cookie
}

/// Without namespaces, two of them with the same addresses would look like one.
fn place(transition: &Transition) -> Option<Place> {
    let known = transition.ends.local.port.is_some() && transition.protocol == Protocol::Tcp;
    Some((transition.netns.filter(|_| known)?, canonical(transition.ends)))
}

fn canonical(ends: Endpoints) -> Endpoints {
    Endpoints { local: ends.local.canonical(), remote: ends.remote.canonical() }
}
