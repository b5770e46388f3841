//! Which connection is between which ends: whose a four-tuple is that somebody else wants.

use std::{collections::VecDeque, time::Duration};

use foldhash::HashMap;

use crate::model::{Endpoints, Listed, Mono, Owner, Protocol, State, Transition};

/// How long TIME_WAIT lasts (`TCP_TIMEWAIT_LEN`).
const TIME_WAIT: Duration = Duration::from_secs(60);

/// How many ended connections are remembered at most.
const MOST_LEFT: usize = 1 << 16;

/// The connections that there are, and those whose TIME_WAIT there may be.
#[derive(Default)]
pub struct Tuples {
    by_ends: HashMap<Place, Holder>,
    /// Those that ended, in the order of their ends.
    left: VecDeque<(Mono, Place)>,
}

/// A namespace, and both ends of a connection in it.
type Place = (u32, Endpoints);

/// Who has a four-tuple.
pub struct Holder {
    /// The socket's number; its cookie, for one from the snapshot.
    number: u64,
    /// Whose it is, or was.
    pub owner: Owner,
    /// When the connection ended, where at most a mini-socket is left of it.
    pub left: Option<Mono>,
}

impl Holder {
    fn is(&self, transition: &Transition) -> bool {
        self.number == transition.socket.number || Some(self.number) == transition.cookie
    }
}

impl Tuples {
    /// Takes in a socket that was there before.
    pub fn existing(&mut self, row: &Listed) {
        if row.protocol == Protocol::Tcp && row.state != State::Listen && row.is_full() {
            let holder = Holder { number: row.cookie, owner: row.owner.clone(), left: None };
            self.by_ends.insert((row.netns, canonical(row.ends)), holder);
        }
    }

    /// Takes in a transition.
    pub fn observe(&mut self, transition: &Transition) {
        use State::{Close, Established, SynRecv, SynSent};
        // Half of them change nothing here, and to see that costs less than to tell the place.
        if !matches!(transition.edge(), (Close, SynSent) | (SynSent, SynRecv) | (_, Established | Close)) {
            return;
        }
        let Some(place) = place(transition) else { return };
        let holder =
            || Holder { number: transition.socket.number, owner: transition.owner.clone(), left: None };
        match transition.edge() {
            // It has asked for the four-tuple, which somebody else may have.
            (Close, SynSent) => {
                self.by_ends.entry(place).or_insert_with(holder);
            }
            (SynSent, SynRecv) | (_, Established) => {
                self.by_ends.insert(place, holder());
            }
            (_, Close) => self.leave(place, transition),
            _ => {}
        }
    }

    /// Who else has the four-tuple that this socket wants.
    pub fn holder(&self, transition: &Transition) -> Option<&Holder> {
        let holder = self.by_ends.get(&place(transition)?)?;
        let is_gone = holder.left.is_some_and(|left| transition.at.since(left) > TIME_WAIT);
        (!is_gone && !holder.is(transition)).then_some(holder)
    }

    /// Reports were lost: any of them may have ended.
    pub fn clear(&mut self) {
        self.by_ends.clear();
        self.left.clear();
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.by_ends.is_empty() && self.left.is_empty()
    }

    fn leave(&mut self, place: Place, transition: &Transition) {
        let Some(holder) = self.by_ends.get_mut(&place).filter(|holder| holder.is(transition)) else {
            return;
        };
        let sent_fin_first = matches!(transition.old, State::FinWait1 | State::FinWait2 | State::Closing);
        if sent_fin_first && transition.cause.as_ref().is_some_and(|cause| cause.errno.is_none()) {
            holder.left = Some(transition.at);
            self.left.push_back((transition.at, place));
        } else {
            self.by_ends.remove(&place);
        }
        self.expire(transition.at);
    }

    fn expire(&mut self, now: Mono) {
        while let Some((left, place)) = self.left.front().copied()
            && (now.since(left) > TIME_WAIT || self.left.len() > MOST_LEFT)
        {
            self.left.pop_front();
            if self.by_ends.get(&place).is_some_and(|holder| holder.left == Some(left)) {
                self.by_ends.remove(&place);
            }
        }
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
