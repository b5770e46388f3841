//! Queries to the host that the tool runs on.

use super::HostQueries;
use crate::{
    model::{Cgroup, Connection, DiagEntry, OpenerFate, State, TimeWaitEntry},
    net::{
        lookup::Lookup,
        snapshot::{self, Snapshot},
    },
    os::{cgroup::Cgroups, clock, memory, process},
};

/// This host. Which queries it answers is chosen when it is created.
pub struct LiveHost {
    /// Whether existing sockets are listed.
    lists_existing: bool,
    /// Whether mini-sockets are looked up.
    finds_time_wait: bool,
    /// Whether existing sockets were listed, and their memory has not been released since.
    has_listed: bool,
    cgroups: Cgroups,
    lookup: Lookup,
}

impl LiveHost {
    /// This host. `existing` lists the sockets that exist already, `time_wait` looks up the mini-sockets that replace
    /// connections.
    #[must_use]
    pub fn new(existing: bool, time_wait: bool) -> Self {
        Self {
            lists_existing: existing,
            finds_time_wait: time_wait,
            has_listed: false,
            cgroups: Cgroups::new(),
            lookup: Lookup::new(),
        }
    }
}

impl HostQueries for LiveHost {
    fn existing_sockets(&mut self) -> Option<Snapshot> {
        self.has_listed = self.lists_existing;
        self.lists_existing.then(snapshot::take)
    }

    fn cgroup(&mut self, id: u64) -> Cgroup {
        Cgroup { id, path: self.cgroups.path_of(id) }
    }

    fn port_holders(&mut self, netns: u32, port: u16) -> Option<Vec<DiagEntry>> {
        self.lookup.holders(netns, port)
    }

    fn opener_fate(&mut self, pid: u32, inode: u32) -> Option<OpenerFate> {
        process::opener_fate(pid, inode)
    }

    fn time_wait_entry(&mut self, connection: &Connection) -> Option<TimeWaitEntry> {
        let netns = connection.identity.netns.filter(|_| self.finds_time_wait)?;
        let found = self.lookup.mini_socket(netns, connection.identity.endpoints, connection.identity.family);
        let at = clock::now();
        // A full socket belongs to another connection, which has reused the 4-tuple since.
        let found = found.filter(|(state, _)| matches!(state, State::TimeWait | State::FinWait2));
        Some(TimeWaitEntry {
            at,
            socket: connection.socket,
            identity: connection.identity,
            state: found.map(|(state, _)| state),
            until: found.map(|(_, left)| at.after(left)),
            owner: (*connection.owner).clone(),
        })
    }

    fn evict_idle(&mut self) {
        self.lookup.close_idle();
        // The list of existing sockets has been processed by now.
        if std::mem::take(&mut self.has_listed) {
            memory::trim();
        }
    }
}
