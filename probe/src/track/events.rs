//! Events other than transitions: pre-existing sockets, cgroup paths, failed binds, sent RSTs.

use std::sync::Arc;

use foldhash::HashMap;

use super::{Tracker, preexisting::PreexistingSocket, tracked_socket::TrackedSocket};
use crate::model::{
    BindFailure, Cgroup, DiagEntry, Errno, KnownSocket, Mono, Owner, Reset, SocketId, SocketTable, State,
};

impl SocketTable for Tracker {
    fn find(&self, number: u64) -> Option<KnownSocket<'_>> {
        let live = |socket| {
            let TrackedSocket { owner, history, .. }: &TrackedSocket = socket;
            KnownSocket { identity: socket.identity.unpack(), owner, history: Some(history) }
        };
        if let Some(socket) = self.sockets.get(&number) {
            return Some(live(socket));
        }
        if let Some(PreexistingSocket { identity, owner }) = self.preexisting.get(number) {
            return Some(KnownSocket { identity: identity.unpack(), owner, history: None });
        }
        // On backend `tracepoint` a pre-existing socket has another number from its first report on.
        self.sockets.values().find(|socket| socket.has_cookie(number)).map(live)
    }
}

impl Tracker {
    /// Adds the pre-existing sockets as sock_diag listed them. Their time in a state is unknown: sock_diag does not report
    /// when they entered it.
    pub fn existing(&mut self, _at: Mono, sockets: &[DiagEntry]) {
        for row in sockets {
            // Its reports are more exact.
            if self.sockets.contains_key(&row.cookie) {
                continue;
            }
            let owner = self.owners.share(self.cgroups.with_path((*row.owner).clone()));
            if !row.is_full() {
                self.time_wait_owners.add_existing(row, &owner);
                continue;
            }
            if row.state == State::Listen {
                self.listeners.add(row.cookie, &row.identity.into(), Arc::clone(&owner));
            }
            self.preexisting.add(row, owner);
        }
    }

    /// Adds the path of a cgroup: owners have it from here on.
    pub fn cgroup(&mut self, cgroup: &Cgroup) {
        self.cgroups.add(cgroup);
        self.owners.clear();
    }

    /// Adds to a failed bind(2) the path of the caller's cgroup, the holders' owners, and holders that had closed by the time
    /// sock_diag was queried: it would miss a socket that holds a port only briefly.
    #[must_use]
    pub fn bind_failed(&mut self, mut failure: BindFailure) -> BindFailure {
        self.cgroups.set_path(&mut failure.cgroup);
        for row in &mut failure.holders {
            match self.owner_of(row).filter(|owner| owner.known < row.owner.known) {
                Some(better) => row.owner = better.into(),
                None => self.cgroups.set_path(&mut Arc::make_mut(&mut row.owner).cgroup),
            }
        }
        // Where very many are listed, one that has closed adds nothing.
        let is_full = failure.holders.len() == BindFailure::MAX_HOLDERS;
        if failure.errno == Errno::EADDRINUSE && failure.local().port.is_some() && !is_full {
            let indices: HashMap<u64, usize> =
                failure.holders.iter().enumerate().map(|(index, row)| (row.cookie, index)).collect();
            for live in self.live_holders(&failure) {
                match indices.get(&live.cookie).map(|index| &mut failure.holders[*index]) {
                    Some(row) => {
                        let DiagEntry { inode, options, queue, .. } = *row;
                        *row = DiagEntry { inode, options, queue, ..live };
                    }
                    None => failure.holders.push(live),
                }
            }
        }
        failure.retain_conflicting_holders();
        failure
    }

    /// The tracked sockets that hold the port, ordered by cookie: the state at the failure, where sock_diag lists a later one.
    fn live_holders(&self, failure: &BindFailure) -> Vec<DiagEntry> {
        let (netns, port) = (failure.identity.netns, failure.local().port);
        let holds_port = |socket: &&TrackedSocket| {
            let identity = &socket.identity;
            socket.continuous && identity.netns() == netns && identity.endpoints().local.port == port
        };
        let mut live: Vec<DiagEntry> =
            self.sockets.values().filter(holds_port).filter_map(TrackedSocket::diag_entry).collect();
        live.sort_unstable_by_key(|row| row.cookie);
        live
    }

    /// Adds to a sent RST its connection's generation, owner and endpoints.
    #[must_use]
    pub fn reset(&mut self, mut reset: Reset) -> Reset {
        if let Some(socket) = self.sockets.get(&reset.socket.number) {
            reset.socket = SocketId { generation: socket.generation, ..reset.socket };
            reset.owner = (*socket.owner).clone();
            reset.identity = reset.identity.or_earlier(socket.identity.endpoints());
        } else if let Some(socket) = self.preexisting.get(reset.socket.number) {
            reset.owner = (*socket.owner).clone();
            reset.identity = reset.identity.or_earlier(socket.identity.endpoints());
        }
        reset
    }

    /// The owner of a listed socket, or of the connection that left a mini-socket.
    fn owner_of(&mut self, row: &DiagEntry) -> Option<Owner> {
        let Self { sockets, preexisting, time_wait_owners, .. } = self;
        let live = || sockets.get(&row.cookie).map(|socket| &*socket.owner);
        let existing = || preexisting.get(row.cookie).map(|socket| &*socket.owner);
        live().or_else(existing).or_else(|| time_wait_owners.owner(row)).cloned()
    }
}
