//! The host that the tool runs on, as a trace's companion.

use super::HostQueries;
use crate::{
    model::{Cgroup, Connection, DiagEntry, State, TimeWaitEntry},
    net::{
        lookup::Lookup,
        snapshot::{self, Snapshot},
    },
    os::{cgroup::Cgroups, clock, memory},
};

/// This host, with what of it is to be asked.
pub struct LiveHost {
    existing: bool,
    remains: bool,
    /// Whether it has been asked for them just now.
    has_listed: bool,
    cgroups: Cgroups,
    lookup: Lookup,
}

impl LiveHost {
    /// This host. `existing` is whether it is asked for the sockets that are there already, `remains` for
    /// what stays of connections.
    #[must_use]
    pub fn new(existing: bool, remains: bool) -> Self {
        Self { existing, remains, has_listed: false, cgroups: Cgroups::new(), lookup: Lookup::new() }
    }
}

impl HostQueries for LiveHost {
    fn existing(&mut self) -> Option<Snapshot> {
        self.has_listed = self.existing;
        self.existing.then(snapshot::take)
    }

    fn cgroup(&mut self, id: u64) -> Cgroup {
        Cgroup { id, path: self.cgroups.path_of(id) }
    }

    fn holders(&mut self, netns: u32, port: u16) -> Vec<DiagEntry> {
        self.lookup.holders(netns, port)
    }

    fn remains(&mut self, connection: &Connection) -> Option<TimeWaitEntry> {
        let netns = connection.netns.filter(|_| self.remains)?;
        let found = self.lookup.mini_socket(netns, connection.ends, connection.family);
        let at = clock::now();
        // An end that has been taken by another connection in the meantime has a full socket.
        let found = found.filter(|(state, _)| matches!(state, State::TimeWait | State::FinWait2));
        Some(TimeWaitEntry {
            at,
            socket: connection.socket,
            netns: connection.netns,
            ends: connection.ends,
            state: found.map(|(state, _)| state),
            until: found.map(|(_, left)| at.after(left)),
            owner: (*connection.owner).clone(),
        })
    }

    fn rest(&mut self) {
        self.lookup.close_idle();
        // The list of what was there has been read by now.
        if std::mem::take(&mut self.has_listed) {
            memory::trim();
        }
    }
}
