//! Which connection is between which ends: whose a four-tuple is that somebody else wants.

use std::{collections::hash_map::Entry, hash::BuildHasher as _, sync::Arc, time::Duration};

use foldhash::{HashMap, fast::RandomState};

use crate::model::{
    DiagEntry, Edge, Endpoints, KnownSocket, Mono, Owner, PackedEnds, Protocol, Recent, SocketTable, State,
    Transition,
};

/// How long TIME_WAIT lasts (`TCP_TIMEWAIT_LEN`).
const TIME_WAIT: Duration = Duration::from_secs(60);

/// How many ended connections are remembered at most.
const MOST_ENDED: usize = 1 << 16;

/// The connections that there are, and those whose TIME_WAIT there may be.
pub struct Tuples {
    hasher: RandomState,
    /// The number of the socket that has a place, by the place's hash: it knows its ends. One from the snapshot has its
    /// cookie.
    by_place: HashMap<u64, u64>,
    /// What the connections left that ended, by their places' hashes; `None` where that is nothing, which counts only where an
    /// earlier one may have left something. Apart from those that there are, of which there are few on most hosts.
    ended: Recent<u64, Option<Left>>,
}

impl Default for Tuples {
    fn default() -> Self {
        Self { hasher: RandomState::default(), by_place: HashMap::default(), ended: Recent::new(MOST_ENDED) }
    }
}

/// A namespace, and both ends of a connection in it.
type NetnsFourTuple = (u32, Endpoints);

/// A connection of which at most a mini-socket is left.
struct Left {
    at: Mono,
    /// The socket's number.
    number: u64,
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
    pub fn existing(&mut self, row: &DiagEntry) {
        if row.protocol == Protocol::Tcp && row.state != State::Listen && row.is_full() {
            let hash = self.hash((row.netns, canonical(row.ends)));
            self.by_place.insert(hash, row.cookie);
        }
    }

    /// Whether a transition that takes this edge changes anything here.
    pub fn watches(edge: Edge) -> bool {
        use State::{Close, Established, SynRecv, SynSent};
        matches!(edge, (Close, SynSent) | (SynSent, SynRecv) | (_, Established | Close))
    }

    /// Takes in a transition.
    pub fn observe(&mut self, transition: &Transition) {
        use State::{Close, SynSent};
        let place = place(transition).filter(|_| Self::watches(transition.edge()));
        let Some(place) = place else { return };
        let hash = self.hash(place);
        let socket = transition.socket.number;
        match transition.edge() {
            // It has asked for the four-tuple, which somebody else may have.
            (Close, SynSent) => {
                self.by_place.entry(hash).or_insert(socket);
            }
            (_, Close) => self.leave(hash, place, transition),
            _ => {
                self.by_place.insert(hash, socket);
            }
        }
    }

    /// Who else has the four-tuple that this socket wants.
    pub fn holder(&mut self, transition: &Transition, others: &dyn SocketTable) -> Option<Holder> {
        let place = place(transition)?;
        let hash = self.hash(place);
        match self.by_place.get(&hash) {
            Some(number) if !is(*number, transition) => {
                let (netns, ends) = place;
                let is_there =
                    |other: &KnownSocket<'_>| (other.netns, canonical(other.ends)) == (Some(netns), ends);
                let other = others.find(*number).filter(is_there)?;
                Some(Holder { owner: Arc::clone(other.owner), left: None })
            }
            _ => {
                let left = self.ended.last(&hash)?.as_ref()?;
                let is_anothers = !is(left.number, transition) && (left.netns, left.ends.unpack()) == place;
                let is_gone = transition.at.since(left.at) > TIME_WAIT;
                (is_anothers && !is_gone)
                    .then(|| Holder { owner: Arc::clone(&left.owner), left: Some(left.at) })
            }
        }
    }

    /// Reports were lost: any of them may have ended.
    pub fn clear(&mut self) {
        self.by_place.clear();
        self.ended.clear();
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.by_place.is_empty() && self.ended.is_empty()
    }

    fn leave(&mut self, hash: u64, (netns, ends): NetnsFourTuple, transition: &Transition) {
        match self.by_place.entry(hash) {
            Entry::Occupied(has) if is(*has.get(), transition) => drop(has.remove()),
            _ => return,
        }
        let Transition { at, old, .. } = *transition;
        while self
            .ended
            .oldest()
            .is_some_and(|left| left.as_ref().is_none_or(|left| at.since(left.at) > TIME_WAIT))
        {
            self.ended.forget_oldest();
        }
        let sent_fin_first = matches!(old, State::FinWait1 | State::FinWait2 | State::Closing);
        if sent_fin_first && transition.cause.is_some_and(|cause| cause.errno().is_none()) {
            let (number, owner) = (transition.socket.number, Arc::clone(&transition.owner));
            self.ended.push(hash, Some(Left { at, number, netns, ends: ends.into(), owner }));
        } else if old != State::SynSent && !self.ended.is_empty() {
            self.ended.push(hash, None);
        }
    }

    fn hash(&self, place: NetnsFourTuple) -> u64 {
        self.hasher.hash_one(place)
    }
}

/// Whether the number is the transition's socket's.
fn is(number: u64, transition: &Transition) -> bool {
    number == transition.socket.number || Some(number) == transition.cookie
}

/// Without namespaces, two of them with the same addresses would look like one.
fn place(transition: &Transition) -> Option<NetnsFourTuple> {
    let known = transition.ends.local.port.is_some() && transition.protocol == Protocol::Tcp;
    Some((transition.netns.filter(|_| known)?, canonical(transition.ends)))
}

fn canonical(ends: Endpoints) -> Endpoints {
    Endpoints { local: ends.local.canonical(), remote: ends.remote.canonical() }
}
