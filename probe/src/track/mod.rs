//! Turns reports into transitions and connections: adds everything that a single report does not contain.
//!
//! Pure: no I/O, no clock, no errors, so that a replay yields what the live trace did. The tracker knows every open socket
//! (`tracked_socket`), and adds to each report its number, the generation, the owner (`owner`, `listeners`), the cause (`cause`),
//! endpoints that the kernel has cleared, and the time in the old state. For pre-existing sockets the snapshot gives owner and
//! endpoints (`preexisting`). `events` handles all other events, `summary` connections that are reported once, at their end.

mod cause;
mod cgroups;
mod counters;
mod events;
mod generations;
mod listeners;
mod owner;
mod owner_cache;
mod preexisting;
mod summary;
mod syscall;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod time_wait_owners;
mod tracked_socket;
mod unnamed_children;

use std::{collections::VecDeque, sync::Arc};

use foldhash::{HashMap, fast::RandomState};
use indexmap::{IndexMap, map::Entry};

use self::{
    cause::{CauseContext, cause},
    cgroups::Cgroups,
    generations::{Generations, following},
    listeners::Listeners,
    owner_cache::OwnerCache,
    preexisting::{MAX, PreexistingSockets},
    syscall::SyscallTable,
    time_wait_owners::{Left, TimeWaitOwners},
    tracked_socket::{TrackedSocket, is_end},
    unnamed_children::UnnamedChildren,
};
use crate::model::{
    Connection, Host, Open, Protocol, Report, SocketId, SocketIdentity, State, StateHistory, Transition,
    is_of_listener,
};

/// How many closed sockets the tracker keeps: a destroyed listener reports once more after its end, and a socket can be connected
/// again.
const MAX_CLOSED: usize = 1024;

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
    sockets: IndexMap<u64, TrackedSocket, RandomState>,
    /// The keys of the MPTCP sockets whose number others may have as well.
    mptcp: HashMap<SocketId, u64>,
    /// Whether reports were lost since stale sockets were last removed.
    has_loss: bool,
    /// The numbers of closed sockets, oldest first.
    closed: VecDeque<u64>,
    generations: Generations,
    listeners: Listeners,
    unnamed_children: UnnamedChildren,
    preexisting: PreexistingSockets,
    time_wait_owners: TimeWaitOwners,
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
fn opening(report: &Report) -> Option<Option<Open>> {
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
