//! The tracker: every event of a stream goes through one of its methods.

use std::{collections::VecDeque, mem, sync::Arc};

use foldhash::{HashMap, fast::RandomState};
use indexmap::{IndexMap, map::Entry};

use super::{
    cause::{self, CauseContext, PriorReports, cause},
    cgroups::Cgroups,
    counters::{Earlier, counters},
    generations::{Generations, following},
    listeners::Listeners,
    live_holder::{Live, is_same},
    owner,
    owner_cache::OwnerCache,
    preexisting::{MAX, PreexistingSocket, PreexistingSockets},
    syscall::SyscallTable,
    time_wait_owners::{Left, TimeWaitOwners},
    tracked_socket::{TrackedSocket, is_end, port_origin},
    unnamed_children::UnnamedChildren,
};
use crate::model::{
    BindFailure, Cgroup, Close, Connection, DiagEntry, Endpoints, Errno, Host, Known, KnownSocket, Mono,
    Open, Opener, OpenerFate, Owner, Protocol, Report, Reset, SocketId, SocketIdentity, SocketTable, State,
    StateHistory, StatePath, Summary, Transition, is_of_listener,
};

/// How many closed sockets the tracker keeps: a destroyed listener reports once more after its end, and a socket can be connected
/// again.
pub(super) const MAX_CLOSED: usize = 1024;

/// The capacity for sockets that is never released.
const MIN_CAPACITY: usize = 1 << 13;

/// A report, and what the tracker derived from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracked {
    /// The transition, with everything known about it.
    pub transition: Transition,
    /// The state in which the previous report left the socket; `None` where there was none, or where reports may have been lost
    /// in between.
    pub previous: Option<State>,
    /// The connection, where it ends here. Boxed, since most reports end none, and would all be moved with room for one.
    pub ended: Option<Box<Connection>>,
}

/// All sockets of a stream.
#[derive(Debug)]
pub struct Tracker {
    syscalls: SyscallTable,
    seq: u64,
    /// Every tracked socket, by [`key`].
    pub(super) sockets: IndexMap<u64, TrackedSocket, RandomState>,
    /// The keys of the MPTCP sockets whose number others may have as well.
    mptcp: HashMap<SocketId, u64>,
    /// Whether reports were lost since stale sockets were last removed.
    has_loss: bool,
    /// The numbers of closed sockets, oldest first.
    pub(super) closed: VecDeque<u64>,
    generations: Generations,
    listeners: Listeners,
    unnamed_children: UnnamedChildren,
    pub(super) preexisting: PreexistingSockets,
    pub(super) time_wait_owners: TimeWaitOwners,
    cgroups: Cgroups,
    owners: OwnerCache,
}

impl Tracker {
    /// A tracker for a stream from this host.
    #[must_use]
    pub fn new(host: &Host) -> Self {
        Self {
            syscalls: SyscallTable::of(&host.arch),
            seq: 0,
            sockets: IndexMap::default(),
            mptcp: HashMap::default(),
            has_loss: false,
            closed: VecDeque::new(),
            generations: Generations::default(),
            listeners: Listeners::default(),
            unnamed_children: UnnamedChildren::default(),
            preexisting: PreexistingSockets::default(),
            time_wait_owners: TimeWaitOwners::default(),
            cgroups: Cgroups::default(),
            owners: OwnerCache::default(),
        }
    }

    /// Adds the next report.
    pub fn observe(&mut self, report: &Report) -> Tracked {
        self.seq += 1;
        let mut unnamed;
        let is_unnamed = self.is_unnamed_child(report);
        let Self {
            sockets,
            closed,
            generations,
            listeners,
            unnamed_children,
            preexisting,
            cgroups,
            owners,
            mptcp,
            ..
        } = self;
        let reported = report.opened.as_ref().map_or(0, |opened| opened.generation);
        let key = key(report);
        // Several MPTCP sockets may have this number: the generations are those of all of them.
        let is_shared = key != report.socket;
        let socket = match opening(report) {
            Some(open) if is_unnamed => {
                // The number is the listener's, which stays tracked. The child is tracked from its second report on.
                let owner = owner::at_opening(report, listeners, cgroups, owners);
                unnamed = TrackedSocket::unnamed(report, open, owner);
                unnamed_children.add(report, Arc::clone(&unnamed.owner), self.seq);
                &mut unnamed
            }
            Some(open) => {
                // The snapshot, if it lists the socket, lists a later state.
                preexisting.take(report);
                let owner = owner::at_opening(report, listeners, cgroups, owners);
                match sockets.entry(key) {
                    Entry::Occupied(entry) => {
                        let socket = entry.into_mut();
                        reopen(closed, key, socket);
                        socket.mptcp_id().map(|id| mptcp.remove(&id));
                        let generation = if is_shared {
                            generations.next_shared(report.socket, reported)
                        } else {
                            following(socket.generation, reported)
                        };
                        *socket = TrackedSocket::opened(report, open, owner, generation, Some(socket));
                        socket
                    }
                    Entry::Vacant(entry) => {
                        let generation = generations.of_new(report.socket, reported, is_shared);
                        entry.insert(TrackedSocket::opened(report, open, owner, generation, None))
                    }
                }
            }
            None => match sockets.entry(key) {
                Entry::Occupied(entry) => {
                    let socket = entry.into_mut();
                    let is_other = is_shared && !socket.has_cookie(report.socket);
                    if is_other || socket.is_of_later_connection(report) {
                        reopen(closed, key, socket);
                        socket.mptcp_id().map(|id| mptcp.remove(&id));
                        let generation = if is_shared {
                            generations.next_shared(report.socket, 0)
                        } else {
                            following(socket.generation, 0)
                        };
                        *socket = TrackedSocket::first_seen(report, generation, None);
                    }
                    socket
                }
                Entry::Vacant(entry) => entry.insert(match unnamed_children.take(report) {
                    Some(unnamed) => {
                        let generation = generations.of_new(report.socket, unnamed.generation, is_shared);
                        TrackedSocket::named(report, generation, unnamed)
                    }
                    None => {
                        let generation = generations.of_new(report.socket, 0, is_shared);
                        TrackedSocket::first_seen(report, generation, preexisting.take(report))
                    }
                }),
            },
        };

        let previous = socket.continuous.then_some(socket.state);
        let entered = socket.entered().filter(|_| socket.state == report.old);
        let state_duration = entered.map(|entered| report.at.since(entered));
        let mut identity = report.identity.or_earlier(socket.identity.endpoints());
        if is_of_listener((report.old, report.new)) {
            // Under an MPTCP listener's number there may be an accepted socket.
            identity.endpoints.remote = report.identity.endpoints.remote;
        }
        let context = CauseContext {
            prior: socket.prior,
            syscall: report.syscall.and_then(|number| self.syscalls.by_number(number)),
        };
        let cause = cause(report, &context);
        if cause::is_owners_call(report, &context) {
            owner::claim(&mut socket.owner, report, owners);
        }
        owner::guess(&mut socket.owner, report, cause, owners);
        if is_end(report) {
            reopen(closed, key, socket);
            closed.push_back(key);
        }
        let has_ended = socket.add(report, identity.endpoints, self.seq);

        let id = SocketId { number: report.socket, generation: socket.generation };
        if is_shared {
            self.mptcp.insert(id, key);
        }
        let owner = Arc::clone(&socket.owner);
        let ended = if has_ended { socket.connection(report, cause) } else { None };
        let port_origin = socket.port_origin();
        self.index(report, &identity, Left { owner: Arc::clone(&owner), port_origin });
        // Built last, so that it is built in the caller's memory.
        Tracked {
            transition: Transition {
                seq: self.seq,
                at: report.at,
                cpu: report.cpu,
                socket: id,
                cookie: report.cookie,
                identity,
                old: report.old,
                new: report.new,
                cause,
                owner,
                state_duration,
                segs_out: report.counters.map(|counters| counters.segs_out),
            },
            previous,
            ended,
        }
    }

    /// Whether the report starts in the state that the last one of its socket entered, where both are known and nothing was
    /// lost in between.
    #[must_use]
    pub fn follows(&self, report: &Report) -> bool {
        let last = self.sockets.get(&key(report)).filter(|socket| socket.continuous);
        opening(report).is_some() || last.is_none_or(|socket| socket.state == report.old)
    }

    /// Reports were lost: the states of open sockets may be out of date.
    pub fn lost(&mut self) {
        self.has_loss = true;
        self.sockets.values_mut().for_each(TrackedSocket::lost);
    }

    /// How a connection, open or just ended, was opened (`None` for a listener), and its history; `None` for a generation that is
    /// not the socket's current one.
    #[must_use]
    pub fn history(&self, id: SocketId) -> Option<(Option<Open>, &StateHistory)> {
        let key = self.mptcp.get(&id).copied().unwrap_or(id.number);
        let socket = self.sockets.get(&key)?;
        (socket.generation == id.generation).then_some((socket.open, &socket.history))
    }

    /// The number of connections that are open now: those of which transitions were reported, and pre-existing ones. After a
    /// loss it may count connections whose end was lost. Summaries are reported at the end of a connection only, so that a
    /// stream of summaries gives no meaningful number. Visits every socket.
    #[must_use]
    pub fn open_connections(&self) -> u64 {
        let is_open = |socket: &&TrackedSocket| socket.open.is_some() && !socket.has_ended;
        let tracked = self.sockets.values().filter(is_open).count();
        (tracked + self.preexisting.connections()) as u64
    }

    /// Updates the indices, and evicts what exceeds the memory bounds.
    fn index(&mut self, report: &Report, identity: &SocketIdentity, socket: Left) {
        match (report.old, report.new) {
            (_, State::Listen) => {
                self.listeners.add(report.socket, identity, Arc::clone(&socket.owner));
            }
            (State::Listen, State::Close) => {
                self.listeners.remove(report.socket);
                // On backend `tracepoint` the snapshot's entry has another number.
                report.cookie.into_iter().for_each(|cookie| self.listeners.remove(cookie));
            }
            _ => {}
        }
        if is_end(report) {
            // A socket without a cookie at its opening was not found in the snapshot then.
            self.preexisting.take(report);
            self.time_wait_owners.add(report, identity, socket);
        }
        if self.closed.len() > MAX_CLOSED
            && let Some(number) = self.closed.pop_front()
        {
            if let Some(socket) = self.sockets.swap_remove(&number) {
                self.generations.evicted(number, &socket);
                socket.mptcp_id().map(|id| self.mptcp.remove(&id));
            }
            if self.sockets.capacity() > MIN_CAPACITY.max(4 * self.sockets.len()) {
                // There were very many for a while.
                self.sockets.shrink_to(2 * self.sockets.len());
            }
        }
        // Those without a report since the last loss are removed: some of them ended without a report. Without a loss
        // there really are so many.
        if self.sockets.len() + self.preexisting.len() > MAX && self.has_loss {
            self.has_loss = false;
            self.preexisting.clear_connections();
            let generations = &mut self.generations;
            self.sockets.retain(|number, socket| {
                let stays = socket.continuous || socket.state == State::Listen;
                if !stays {
                    generations.evicted(*number, socket);
                }
                stays
            });
            self.closed.retain(|number| self.sockets.contains_key(number));
            self.mptcp.retain(|_, key| self.sockets.contains_key(key));
        }
    }

    /// Whether a child's report carries its listener's cookie and no remote port: before a3a128f611a9 (Linux 6.15),
    /// `inet_csk_clone_lock` sets the state before the identity.
    fn is_unnamed_child(&self, report: &Report) -> bool {
        let is_child = (report.old, report.new) == (State::Listen, State::SynRecv);
        let listens = || {
            self.sockets.get(&report.socket).is_some_and(|socket| socket.state == State::Listen)
                || self.preexisting.listens(report.socket)
        };
        is_child
            && report.cookie == Some(report.socket)
            && (report.identity.endpoints.remote.port.is_none() || listens())
    }

    /// The connection of a summary. A summary is self-contained: reports lost before it make no difference. Moves the path out
    /// of it, since a host may report a hundred thousand in a second.
    #[must_use]
    pub fn summarize(&mut self, summary: &mut Summary) -> Connection {
        let path = mem::take(&mut summary.path);
        let end = &summary.end;
        let existing = self.preexisting.take(end);
        let identity = existing
            .as_ref()
            .map_or(end.identity, |socket| end.identity.or_earlier(socket.identity.endpoints()));
        let open = open(&path, identity.endpoints);
        let context = CauseContext {
            prior: PriorReports {
                passive: (open != Open::Preexisting).then_some(open == Open::Passive),
                first_port: summary.first_port,
                previous_port: None,
                deferred_shutdown: false,
                opened_in_repair: false,
            },
            syscall: end.syscall.and_then(|number| self.syscalls.by_number(number)),
        };
        let owners = &mut self.owners;
        let mut owner = owner::reported(end, &self.cgroups, owners)
            .or_else(|| existing.map(|socket| socket.owner).filter(|owner| owner.task.is_some()))
            .or_else(|| {
                let owner = self.listeners.owner_of_child(&identity);
                owner.filter(|_| open == Open::Passive).map(|owner| owners.share(owner))
            })
            .unwrap_or_else(Owner::unknown);
        let cause = cause(end, &context);
        if cause::is_owners_call(end, &context) {
            owner::claim(&mut owner, end, owners);
        }
        owner::guess(&mut owner, end, cause, owners);
        let reported = end.opened.as_ref().map_or(0, |opened| opened.generation);
        let is_mptcp = end.identity.protocol == Protocol::Mptcp;
        let generation = if is_mptcp { self.generations.next_shared(end.socket, reported) } else { reported };
        let counters =
            counters(end, Earlier { open, in_repair: context.prior.opened_in_repair, synacks: end.synacks });
        let connection = Connection {
            socket: SocketId { number: end.socket, generation },
            identity,
            open,
            opened: summary.opened,
            established: summary.established,
            close: Some(Close { at: end.at, cause }),
            path,
            counters,
            owner,
            complete: summary.opened.is_some() && summary.path_is_complete,
        };
        let port_origin = port_origin(open, &context.prior);
        let left = Left { owner: Arc::clone(&connection.owner), port_origin };
        self.time_wait_owners.add(end, &identity, left);
        connection
    }

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

/// What identifies the socket of a report: its number, or where that is an MPTCP socket's cookie, its address.
fn key(report: &Report) -> u64 {
    let is_cookie = report.cookie == Some(report.socket);
    if report.identity.protocol == Protocol::Mptcp && is_cookie && report.address != 0 {
        report.address
    } else {
        report.socket
    }
}

/// Removes the socket from the closed ones: it opens or ends once more.
fn reopen(closed: &mut VecDeque<u64>, number: u64, socket: &TrackedSocket) {
    if socket.has_ended
        && let Some(index) = closed.iter().rposition(|closed| *closed == number)
    {
        closed.remove(index);
    }
}

/// How the connection opens where this report is its first; `Some(None)` for a listener.
pub(super) fn opening(report: &Report) -> Option<Option<Open>> {
    match (report.old, report.new) {
        (State::Close, State::Listen) => Some(None),
        (State::Close, State::SynSent) => Some(Some(Open::Active)),
        (State::Listen, State::SynRecv) => Some(Some(Open::Passive)),
        (State::Listen, State::Established) if report.identity.protocol == Protocol::Mptcp => {
            Some(Some(Open::Passive))
        }
        _ => None,
    }
}

/// How a connection with this path opened.
fn open(path: &StatePath, endpoints: Endpoints) -> Open {
    let crossed = path.contains((State::SynSent, State::SynRecv));
    match path.first_edge() {
        _ if crossed && endpoints.is_self() => Open::SelfConnect,
        _ if crossed => Open::Simultaneous,
        Some((State::Close, State::SynSent)) => Open::Active,
        // An MPTCP socket enters ESTABLISHED at once.
        Some((State::Listen, State::SynRecv | State::Established)) => Open::Passive,
        _ => Open::Preexisting,
    }
}
