//! Which connection is between which ends: whose a four-tuple is that somebody else wants.

use std::{
    collections::{VecDeque, hash_map::Entry},
    hash::BuildHasher as _,
    sync::Arc,
    time::Duration,
};

use foldhash::{HashMap, fast::RandomState};

use crate::model::{
    Edge, Endpoints, Listed, Mono, Other, Others, Owner, PackedEnds, Protocol, State, Transition,
};

/// How long TIME_WAIT lasts (`TCP_TIMEWAIT_LEN`).
const TIME_WAIT: Duration = Duration::from_secs(60);

/// How many ended connections are remembered at most.
const MOST_LEFT: usize = 1 << 16;

/// The connections that there are, and those whose TIME_WAIT there may be.
#[derive(Default)]
pub struct Tuples {
    hasher: RandomState,
    /// Who has a place, by the place's hash.
    by_place: HashMap<u64, Has>,
    /// The connections that ended, in the order of their ends.
    left: VecDeque<Left>,
    /// How many of them are forgotten: so many does the first one's number count.
    forgotten: u64,
}

/// A namespace, and both ends of a connection in it.
type Place = (u32, Endpoints);

/// What has a place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Has {
    /// A socket, by its number: it knows its ends. One from the snapshot has its cookie.
    Socket(u64),
    /// At most a mini-socket: the how-manieth connection it was to end.
    Left(u64),
}

/// A connection of which at most a mini-socket is left.
struct Left {
    at: Mono,
    /// The socket's number.
    number: u64,
    /// The hash of its place.
    hash: u64,
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
            self.by_place.insert(hash, Has::Socket(row.cookie));
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
        let socket = Has::Socket(transition.socket.number);
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
    pub fn holder(&self, transition: &Transition, others: &dyn Others) -> Option<Holder> {
        let place = place(transition)?;
        let has = *self.by_place.get(&self.hash(place))?;
        if self.is(has, transition) {
            return None;
        }
        match has {
            Has::Left(number) => {
                let left = self.left(number)?;
                let is_there = (left.netns, left.ends.unpack()) == place;
                let is_gone = transition.at.since(left.at) > TIME_WAIT;
                (is_there && !is_gone).then(|| Holder { owner: Arc::clone(&left.owner), left: Some(left.at) })
            }
            Has::Socket(number) => {
                let (netns, ends) = place;
                let is_there =
                    |other: &Other<'_>| (other.netns, canonical(other.ends)) == (Some(netns), ends);
                let other = others.find(number).filter(is_there)?;
                Some(Holder { owner: Arc::clone(other.owner), left: None })
            }
        }
    }

    /// Reports were lost: any of them may have ended.
    pub fn clear(&mut self) {
        self.by_place.clear();
        self.forgotten += self.left.len() as u64;
        self.left.clear();
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.by_place.is_empty() && self.left.is_empty()
    }

    fn leave(&mut self, hash: u64, (netns, ends): Place, transition: &Transition) {
        let at = transition.at;
        match self.by_place.get(&hash) {
            Some(has) if self.is(*has, transition) => {}
            _ => return,
        }
        let sent_fin_first = matches!(transition.old, State::FinWait1 | State::FinWait2 | State::Closing);
        if sent_fin_first && transition.cause.is_some_and(|cause| cause.errno.is_none()) {
            let has = Has::Left(self.forgotten + self.left.len() as u64);
            self.by_place.insert(hash, has);
            let (number, owner) = (transition.socket.number, Arc::clone(&transition.owner));
            self.left.push_back(Left { at, number, hash, netns, ends: ends.into(), owner });
        } else {
            self.by_place.remove(&hash);
        }
        self.expire(at);
    }

    fn expire(&mut self, now: Mono) {
        while let Some(Left { at, hash, .. }) = self.left.front()
            && (now.since(*at) > TIME_WAIT || self.left.len() > MOST_LEFT)
        {
            if let Entry::Occupied(place) = self.by_place.entry(*hash)
                && *place.get() == Has::Left(self.forgotten)
            {
                place.remove();
            }
            self.left.pop_front();
            self.forgotten += 1;
        }
    }

    /// The connection that was the how-manieth to end.
    fn left(&self, number: u64) -> Option<&Left> {
        self.left.get(number.checked_sub(self.forgotten)? as usize)
    }

    /// Whether what has a place is the transition's socket, or was.
    fn is(&self, has: Has, transition: &Transition) -> bool {
        let number = match has {
            Has::Socket(number) => Some(number),
            Has::Left(number) => self.left(number).map(|left| left.number),
        };
        number.is_some_and(|number| number == transition.socket.number || Some(number) == transition.cookie)
    }

    fn hash(&self, place: Place) -> u64 {
        self.hasher.hash_one(place)
    }
}

/// Without namespaces, two of them with the same addresses would look like one.
fn place(transition: &Transition) -> Option<Place> {
    let known = transition.ends.local.port.is_some() && transition.protocol == Protocol::Tcp;
    Some((transition.netns.filter(|_| known)?, canonical(transition.ends)))
}

fn canonical(ends: Endpoints) -> Endpoints {
    Endpoints { local: ends.local.canonical(), remote: ends.remote.canonical() }
}
