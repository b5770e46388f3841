//! Connections by 4-tuple: who holds the one that another socket tries to use.

use std::{collections::hash_map::Entry, hash::BuildHasher as _, sync::Arc, time::Duration};

use foldhash::{HashMap, fast::RandomState};

use crate::model::{
    Cause, DiagEntry, Edge, Endpoints, KnownSocket, Mono, Owner, PackedEnds, Protocol, Recent, SocketTable,
    State, Transition,
};

/// `TCP_TIMEWAIT_LEN`.
const TIME_WAIT: Duration = Duration::from_secs(60);

/// The maximum number of ended connections to remember.
const MOST_ENDED: usize = 1 << 16;

/// The live connections, and those that may be in TIME_WAIT.
pub struct Tuples {
    hasher: RandomState,
    /// The number of the socket that holds a 4-tuple, by its hash: the socket table has its endpoints. The cookie for a
    /// pre-existing socket.
    live: HashMap<u64, u64>,
    /// What ended connections left, by the hash of the 4-tuple; `None` for one that left no mini-socket, which matters only
    /// where an earlier one may have left one. Separate from the live ones, which are few on most hosts.
    ended: Recent<u64, Option<Left>>,
}

impl Default for Tuples {
    fn default() -> Self {
        Self { hasher: RandomState::default(), live: HashMap::default(), ended: Recent::new(MOST_ENDED) }
    }
}

/// A namespace, and both endpoints of a connection in it.
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

/// Who holds a 4-tuple.
pub struct Holder {
    /// The connection's owner.
    pub owner: Arc<Owner>,
    /// When the connection ended, where only a mini-socket is left of it.
    pub left: Option<Mono>,
}

impl Tuples {
    /// Adds a pre-existing socket.
    pub fn existing(&mut self, row: &DiagEntry) {
        if row.protocol == Protocol::Tcp && row.state != State::Listen && row.is_full() {
            let hash = self.hash((row.netns, canonical(row.ends)));
            self.live.insert(hash, row.cookie);
        }
    }

    /// Whether a transition along this edge changes the holders.
    pub fn watches(edge: Edge) -> bool {
        use State::{Close, Established, SynRecv, SynSent};
        matches!(edge, (Close, SynSent) | (SynSent, SynRecv) | (_, Established | Close))
    }

    /// Adds a transition.
    pub fn observe(&mut self, transition: &Transition) {
        use State::{Close, SynSent};
        let tuple = four_tuple(transition).filter(|_| Self::watches(transition.edge()));
        let Some(tuple) = tuple else { return };
        let hash = self.hash(tuple);
        let socket = transition.socket.number;
        match transition.edge() {
            // It requests the 4-tuple, which another socket may hold.
            (Close, SynSent) => {
                self.live.entry(hash).or_insert(socket);
            }
            (_, Close) => self.leave(hash, tuple, transition),
            _ => {
                self.live.insert(hash, socket);
            }
        }
    }

    /// Who else holds the 4-tuple that this socket requested.
    pub fn holder(&mut self, transition: &Transition, sockets: &dyn SocketTable) -> Option<Holder> {
        let tuple = four_tuple(transition)?;
        let hash = self.hash(tuple);
        match self.live.get(&hash) {
            Some(number) if !transition.is_of(*number) => {
                let (netns, ends) = tuple;
                let has_tuple =
                    |other: &KnownSocket<'_>| (other.netns, canonical(other.ends)) == (Some(netns), ends);
                let other = sockets.find(*number).filter(has_tuple)?;
                Some(Holder { owner: Arc::clone(other.owner), left: None })
            }
            _ => {
                let left = self.ended.last(&hash)?.as_ref()?;
                let is_another = !transition.is_of(left.number) && (left.netns, left.ends.unpack()) == tuple;
                let has_expired = transition.at.since(left.at) > TIME_WAIT;
                (is_another && !has_expired)
                    .then(|| Holder { owner: Arc::clone(&left.owner), left: Some(left.at) })
            }
        }
    }

    /// Removes all: after a loss, any of them may have ended.
    pub fn clear(&mut self) {
        self.live.clear();
        self.ended.clear();
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.live.is_empty() && self.ended.is_empty()
    }

    fn leave(&mut self, hash: u64, (netns, ends): NetnsFourTuple, transition: &Transition) {
        match self.live.entry(hash) {
            Entry::Occupied(holder) if transition.is_of(*holder.get()) => drop(holder.remove()),
            _ => return,
        }
        let Transition { at, old, .. } = *transition;
        while self
            .ended
            .oldest()
            .is_some_and(|left| left.as_ref().is_none_or(|left| at.since(left.at) > TIME_WAIT))
        {
            self.ended.remove_oldest();
        }
        // In CLOSING and FIN_WAIT2; the ACK in LAST_ACK leaves nothing.
        let leaves_time_wait = old != State::LastAck
            && matches!(
                transition.cause,
                Some(
                    Cause::FinReceived
                        | Cause::AckOfFinReceived
                        | Cause::OrphanTimewait
                        | Cause::OrphanTimewaitOrRst
                )
            );
        if leaves_time_wait {
            let (number, owner) = (transition.socket.number, Arc::clone(&transition.owner));
            self.ended.push(hash, Some(Left { at, number, netns, ends: ends.into(), owner }));
        } else if old != State::SynSent && !self.ended.is_empty() {
            self.ended.push(hash, None);
        }
    }

    fn hash(&self, tuple: NetnsFourTuple) -> u64 {
        self.hasher.hash_one(tuple)
    }
}

/// `None` without a namespace: the same addresses in two namespaces would look like one 4-tuple.
fn four_tuple(transition: &Transition) -> Option<NetnsFourTuple> {
    let known = transition.ends.local.port.is_some() && transition.protocol == Protocol::Tcp;
    Some((transition.netns.filter(|_| known)?, canonical(transition.ends)))
}

fn canonical(ends: Endpoints) -> Endpoints {
    Endpoints { local: ends.local.canonical(), remote: ends.remote.canonical() }
}
