//! Events other than transitions: pre-existing sockets, cgroup paths, failed binds, sent RSTs.

use std::sync::Arc;

use foldhash::HashMap;

use super::{Tracker, preexisting::PreexistingSocket, time_wait_owners::Left, tracked_socket::TrackedSocket};
use crate::model::{
    BindFailure, Cgroup, DiagEntry, Endpoints, Errno, Known, KnownSocket, Mono, Opener, OpenerFate, Owner,
    Reset, SocketId, SocketTable, State,
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
        let live = self.live_on_port(&failure);
        let BindFailure { holders, opener_fates, .. } = &mut failure;
        for row in holders.iter_mut() {
            let fate = opener_fates.iter().find(|(cookie, _)| *cookie == row.cookie).map(|(_, fate)| *fate);
            let reported = self.reported(row, &live);
            self.complete(row, reported, fate);
        }
        // Where very many are listed, one that has closed adds nothing.
        let is_full = failure.holders.len() == BindFailure::MAX_HOLDERS;
        if failure.errno == Errno::EADDRINUSE && failure.local().port.is_some() && !is_full {
            let indices: HashMap<u64, usize> =
                failure.holders.iter().enumerate().map(|(index, row)| (row.cookie, index)).collect();
            for live in self.live_holders(&failure) {
                match indices.get(&live.cookie).map(|index| &mut failure.holders[*index]) {
                    Some(row) => {
                        let DiagEntry { state, identity, expires, .. } = live;
                        *row = DiagEntry { state, identity, expires, ..row.clone() };
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

    /// Adds to a listed socket what was reported of it: the process that opened it, and how it got its port. `fate` is what
    /// has become of that process, where it was queried.
    fn complete(&mut self, row: &mut DiagEntry, reported: Option<Left>, fate: Option<OpenerFate>) {
        row.port_origin = reported.as_ref().and_then(|left| left.port_origin);
        let opener = reported.map(|left| left.owner);
        match opener.filter(|opener| opener.known < row.owner.known) {
            // The owner of a connection that nobody has called yet is its listener's.
            Some(opener) if row.owner.task.is_none() || opener.known != Known::Exact => {
                row.owner = if row.owner.task.is_none() { opener } else { Arc::clone(&row.owner) };
            }
            Some(opener) if is_same(&opener, &row.owner) => row.owner = opener,
            Some(owner) => row.opener = Some(Opener { owner, fate }),
            None => {}
        }
        self.cgroups.set_path(&mut Arc::make_mut(&mut row.owner).cgroup);
    }

    /// The holders whose descriptor another process has than the one that opened them: the cookie, the process that opened
    /// it and the inode number.
    pub fn openers(&mut self, failure: &BindFailure) -> Vec<(u64, u32, u32)> {
        let live = self.live_on_port(failure);
        let differs = |row: &DiagEntry| {
            let opener = self.reported(row, &live)?.owner;
            let pid = opener.task.as_ref()?.pid;
            let is_other = opener.known == Known::Exact && pid != row.owner.task.as_ref()?.pid;
            is_other.then_some((row.cookie, pid, row.inode?))
        };
        failure.holders.iter().filter_map(differs).collect()
    }

    /// What was reported of a listed socket, or of the connection that left a mini-socket.
    fn reported(&mut self, row: &DiagEntry, live: &[Live]) -> Option<Left> {
        if let Some(socket) = live.iter().find(|socket| socket.is(row)) {
            return Some(socket.left.clone());
        }
        if let Some(socket) = self.preexisting.get(row.cookie) {
            return Some(Left { owner: Arc::clone(&socket.owner), port_origin: None });
        }
        self.time_wait_owners.find(row).cloned()
    }

    /// The tracked sockets with the port, those that have closed included.
    fn live_on_port(&self, failure: &BindFailure) -> Vec<Live> {
        let (netns, port) = (failure.identity.netns, failure.local().port);
        let on_port = |socket: &&TrackedSocket| {
            socket.identity.netns() == netns && socket.identity.endpoints().local.port == port
        };
        let live = |socket: &TrackedSocket| Live {
            cookie: socket.cookie(),
            endpoints: socket.identity.endpoints().canonical(),
            state: socket.state,
            left: Left { owner: Arc::clone(&socket.owner), port_origin: socket.port_origin() },
        };
        self.sockets.values().filter(on_port).map(live).collect()
    }
}

/// A tracked socket.
struct Live {
    cookie: Option<u64>,
    endpoints: Endpoints,
    state: State,
    left: Left,
}

impl Live {
    /// Whether it is this listed socket. On backend `tracepoint` it may have had no cookie before it was listed.
    fn is(&self, row: &DiagEntry) -> bool {
        match self.cookie {
            Some(cookie) => cookie == row.cookie,
            None => (self.endpoints, self.state) == (row.identity.endpoints.canonical(), row.state),
        }
    }
}

/// Whether both are one process that runs the same program.
fn is_same(one: &Owner, other: &Owner) -> bool {
    let name = |owner: &Owner| owner.task.as_ref().map(|task| (task.pid, task.comm.clone()));
    name(one) == name(other)
}
