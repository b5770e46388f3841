//! Whose the connections were of which only a mini-socket is left: the answer to "who left this TIME_WAIT?".

use std::sync::Arc;

use crate::model::{DiagEntry, Endpoints, Owner, Recent, Report, State};

/// How many are remembered. A mini-socket stays for a minute, so that this is enough for a thousand closes a
/// second; of more, the oldest are forgotten. An entry takes 24 bytes, and once somebody has asked, some 50 more.
const MOST: usize = if cfg!(test) { 256 } else { 1 << 16 };

/// The owners of closed connections.
#[derive(Debug)]
pub struct TimeWaitOwners(Recent<Key, Arc<Owner>>);

impl Default for TimeWaitOwners {
    fn default() -> Self {
        Self(Recent::new(MOST))
    }
}

/// A mini-socket takes its cookie from the socket it is made of. Where nobody had asked for that one's, it
/// gets another; but in its namespace there is only one with these ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Cookie(u64),
    Ends(Box<(Option<u32>, Endpoints)>),
}

impl Key {
    fn of_ends(netns: Option<u32>, ends: Endpoints) -> Self {
        let canonical = Endpoints { local: ends.local.canonical(), remote: ends.remote.canonical() };
        Self::Ends(Box::new((netns, canonical)))
    }
}

impl TimeWaitOwners {
    /// Remembers whose the connection is that ends with this report, between these ends.
    pub fn add(&mut self, end: &Report, ends: Endpoints, owner: &Arc<Owner>) {
        if may_stay(end) {
            let key = end.cookie.map_or_else(|| Key::of_ends(end.netns, ends), Key::Cookie);
            self.put(key, owner);
        }
    }

    /// Remembers whose a mini-socket is that was there already.
    pub fn add_listed(&mut self, row: &DiagEntry, owner: &Arc<Owner>) {
        self.put(Key::Cookie(row.cookie), owner);
    }

    /// Whose the connection was of which this is left.
    pub fn owner(&mut self, row: &DiagEntry) -> Option<&Owner> {
        let by_cookie = Key::Cookie(row.cookie);
        let key = if self.0.last(&by_cookie).is_some() {
            by_cookie
        } else {
            Key::of_ends(Some(row.netns), row.ends)
        };
        self.0.last(&key).map(|owner| &**owner)
    }

    fn put(&mut self, key: Key, owner: &Arc<Owner>) {
        if owner.task.is_some() {
            self.0.push(key, Arc::clone(owner));
        }
    }
}

/// Whether a mini-socket may be left (`tcp_time_wait`): the side whose FIN went second, and one that was
/// reset, leaves none.
fn may_stay(end: &Report) -> bool {
    let sent_fin_first = matches!(end.old, State::FinWait1 | State::FinWait2 | State::Closing);
    sent_fin_first && !matches!(end.error, Some(Some(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Known,
        testing::{listed, owner},
    };

    fn left_by(pid: u32) -> DiagEntry {
        DiagEntry {
            owner: owner(pid, "client", Known::Exact).into(),
            ..listed(u64::from(pid), State::TimeWait, "127.0.0.1:5000", "127.0.0.1:80")
        }
    }

    fn add(time_wait_owners: &mut TimeWaitOwners, row: &DiagEntry) {
        time_wait_owners.add_listed(row, &row.owner);
    }

    #[test]
    fn the_oldest_is_forgotten() {
        let mut time_wait_owners = TimeWaitOwners::default();
        (1..=MOST as u32 + 1).for_each(|pid| add(&mut time_wait_owners, &left_by(pid)));
        assert_eq!(time_wait_owners.owner(&left_by(1)), None);
        for pid in [2, MOST as u32 + 1] {
            assert_eq!(time_wait_owners.owner(&left_by(pid)), Some(&*left_by(pid).owner));
        }
    }

    #[test]
    fn nobody_known_is_not_worth_a_place() {
        let mut time_wait_owners = TimeWaitOwners::default();
        add(&mut time_wait_owners, &DiagEntry { owner: Owner::nobody(), ..left_by(1) });
        assert_eq!(time_wait_owners.owner(&left_by(1)), None);
    }
}
