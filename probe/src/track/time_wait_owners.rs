//! The owners of closed connections of which a mini-socket may be left, to name the owner of a TIME_WAIT.

use std::sync::Arc;

use crate::model::{DiagEntry, Endpoints, Owner, PortOrigin, Recent, Report, SocketIdentity, State};

/// The maximum number; the oldest are evicted first. A mini-socket lasts for a minute: this covers a thousand closes a second.
/// An entry takes 32 bytes, and some 50 more once it is indexed for a lookup.
const MAX: usize = if cfg!(test) { 256 } else { 1 << 16 };

/// The owners of closed connections.
#[derive(Debug)]
pub struct TimeWaitOwners(Recent<Key, Left>);

/// A closed connection.
#[derive(Clone, Debug)]
pub struct Left {
    /// Its owner.
    pub owner: Arc<Owner>,
    /// How it got its local port.
    pub port_origin: Option<PortOrigin>,
}

impl Default for TimeWaitOwners {
    fn default() -> Self {
        Self(Recent::new(MAX))
    }
}

/// A mini-socket inherits the cookie of the socket that it replaces. If that socket had none yet, the mini-socket gets a new one;
/// but its namespace has only one with these endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Cookie(u64),
    Endpoints(Box<(Option<u32>, Endpoints)>),
}

impl Key {
    fn of_endpoints(netns: Option<u32>, endpoints: Endpoints) -> Self {
        Self::Endpoints(Box::new((netns, endpoints.canonical())))
    }
}

impl TimeWaitOwners {
    /// Adds the owner of the connection that ends with this report.
    pub fn add(&mut self, end: &Report, identity: &SocketIdentity, left: Left) {
        if may_leave_mini_socket(end) {
            let by_endpoints = || Key::of_endpoints(identity.netns, identity.endpoints);
            let key = end.cookie.map_or_else(by_endpoints, Key::Cookie);
            self.push(key, left);
        }
    }

    /// Adds the owner of a pre-existing mini-socket.
    pub fn add_existing(&mut self, row: &DiagEntry, owner: &Arc<Owner>) {
        self.push(Key::Cookie(row.cookie), Left { owner: Arc::clone(owner), port_origin: None });
    }

    /// The connection that left this mini-socket.
    pub fn find(&mut self, row: &DiagEntry) -> Option<&Left> {
        let by_cookie = Key::Cookie(row.cookie);
        let key = if self.0.last(&by_cookie).is_some() {
            by_cookie
        } else {
            Key::of_endpoints(Some(row.identity.netns), row.identity.endpoints)
        };
        self.0.last(&key)
    }

    fn push(&mut self, key: Key, left: Left) {
        if left.owner.task.is_some() {
            self.0.push(key, left);
        }
    }
}

/// Whether the connection may leave a mini-socket (`tcp_time_wait`): not where the peer's FIN was first, and not after an
/// RST.
fn may_leave_mini_socket(end: &Report) -> bool {
    let sent_fin_first = matches!(end.old, State::FinWait1 | State::FinWait2 | State::Closing);
    sent_fin_first && !matches!(end.error, Some(Some(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Known,
        testing::{diag_entry, owner},
    };

    fn left_by(pid: u32) -> DiagEntry {
        DiagEntry {
            owner: owner(pid, "client", Known::Exact).into(),
            ..diag_entry(u64::from(pid), State::TimeWait, "127.0.0.1:5000", "127.0.0.1:80")
        }
    }

    fn add(owners: &mut TimeWaitOwners, row: &DiagEntry) {
        owners.add_existing(row, &row.owner);
    }

    /// The process that left the mini-socket of this one, as it is remembered.
    fn pid_of(owners: &mut TimeWaitOwners, pid: u32) -> Option<u32> {
        Some(owners.find(&left_by(pid))?.owner.task.as_ref()?.pid)
    }

    #[test]
    fn the_oldest_owner_is_evicted() {
        let mut owners = TimeWaitOwners::default();
        (1..=MAX as u32 + 1).for_each(|pid| add(&mut owners, &left_by(pid)));
        assert_eq!(pid_of(&mut owners, 1), None);
        for pid in [2, MAX as u32 + 1] {
            assert_eq!(pid_of(&mut owners, pid), Some(pid));
        }
    }

    #[test]
    fn an_unknown_owner_takes_no_entry() {
        let mut owners = TimeWaitOwners::default();
        add(&mut owners, &DiagEntry { owner: Owner::unknown(), ..left_by(1) });
        assert_eq!(pid_of(&mut owners, 1), None);
    }
}
