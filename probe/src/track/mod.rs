//! From reports to transitions and connections: everything that one report alone does not say.
//!
//! Pure: no I/O, no clock, nothing that can fail, so a recording yields what the live kernel did.
//! The tracker remembers every live socket (`life`), and from that adds to each report its number,
//! the generation, the owner (`owner`, `listeners`), the cause (`cause`), the ends that the kernel
//! has cleared already, and the time in the old state. Of sockets older than the tracer the snapshot
//! tells what it can (`older`). What comes beside the reports is in `beside`, connections of which only the
//! end is reported are in `summary`.

mod beside;
mod cause;
mod cgroups;
mod children;
mod listeners;
mod owner;
mod preexisting;
mod shared;
mod summary;
mod syscall;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod time_wait_owners;
mod tracked_socket;

use std::{collections::VecDeque, sync::Arc};

use foldhash::fast::RandomState;
use indexmap::{IndexMap, map::Entry};

use self::{
    cause::{CauseContext, cause},
    cgroups::Cgroups,
    children::Children,
    listeners::Listeners,
    preexisting::PreexistingSockets,
    shared::Shared,
    syscall::SyscallTable,
    time_wait_owners::TimeWaitOwners,
    tracked_socket::TrackedSocket,
};
use crate::model::{
    Connection, Endpoints, Host, Open, Owner, Protocol, Report, SocketId, State, StateHistory, Transition,
};

/// How many closed sockets are remembered: a destroyed listener reports once more after its end, and
/// a socket can be connected again.
const CLOSED: usize = 1024;

/// So much room for live sockets is never given back.
const ROOM: usize = 1 << 13;

/// With more sockets than this remembered, those that were not heard of since reports were lost are
/// forgotten: some of them will have ended unheard. Without a loss, there really are so many.
const MOST: usize = if cfg!(test) { 1 << 12 } else { 1 << 18 };

/// What the tracker makes of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracked {
    /// The transition, with everything known about it.
    pub transition: Transition,
    /// The state in which the report before this one left the socket; `None` where that was not
    /// seen, or where reports may be missing between the two.
    pub previous: Option<State>,
    /// The connection, where this was its end: by itself, since most reports are of none, and room for it would be handed on
    /// with each.
    pub ended: Option<Box<Connection>>,
}

/// The lifecycles of all sockets in a stream.
#[derive(Debug)]
pub struct Tracker {
    syscalls: SyscallTable,
    seq: u64,
    /// Every socket that is known, by its number.
    lives: IndexMap<u64, TrackedSocket, RandomState>,
    /// Reports were lost since stale lives were last cleared out.
    gap: bool,
    /// Sockets that have ended, in the order of their ends.
    closed: VecDeque<u64>,
    listeners: Listeners,
    children: Children,
    older: PreexistingSockets,
    time_wait_owners: TimeWaitOwners,
    cgroups: Cgroups,
    shared: Shared,
}

impl Tracker {
    /// A tracker for a stream that was taken on this host.
    #[must_use]
    pub fn new(host: &Host) -> Self {
        Self {
            syscalls: SyscallTable::of(&host.arch),
            seq: 0,
            lives: IndexMap::default(),
            gap: false,
            closed: VecDeque::new(),
            listeners: Listeners::default(),
            children: Children::default(),
            older: PreexistingSockets::default(),
            time_wait_owners: TimeWaitOwners::default(),
            cgroups: Cgroups::default(),
            shared: Shared::default(),
        }
    }

    /// Takes the next report.
    pub fn observe(&mut self, report: &Report) -> Tracked {
        self.seq += 1;
        let mut unnamed;
        let is_unnamed = self.is_unnamed_child(report);
        let Self { lives, closed, listeners, children, older, cgroups, shared, .. } = self;
        let life = match opening(report) {
            Some(open) if is_unnamed => {
                // It is given its place when it has a name; the listener's is left alone.
                let owner = owner::at_opening(report, listeners, cgroups, shared);
                unnamed = TrackedSocket::unnamed(report, open, owner);
                children.expect(report, Arc::clone(&unnamed.owner), self.seq);
                &mut unnamed
            }
            Some(open) => {
                // The snapshot shows what became of it, if it shows it at all.
                older.take(report);
                let owner = owner::at_opening(report, listeners, cgroups, shared);
                match lives.entry(report.socket) {
                    Entry::Occupied(entry) => {
                        let life = entry.into_mut();
                        forget_end(closed, report.socket, life);
                        *life = TrackedSocket::born(report, open, owner, Some(life));
                        life
                    }
                    Entry::Vacant(entry) => entry.insert(TrackedSocket::born(report, open, owner, None)),
                }
            }
            None => match lives.entry(report.socket) {
                Entry::Occupied(entry) => {
                    let life = entry.into_mut();
                    if life.is_of_another(report) {
                        forget_end(closed, report.socket, life);
                        *life = TrackedSocket::first_seen(report, None);
                    }
                    life
                }
                Entry::Vacant(entry) => entry.insert(match children.take(report) {
                    Some(unnamed) => TrackedSocket::named(report, unnamed),
                    None => TrackedSocket::first_seen(report, older.take(report)),
                }),
            },
        };

        let previous = life.continuous.then_some(life.state);
        let since = life.entered().filter(|_| life.state == report.old).map(|then| report.at.since(then));
        let ends = report.ends.or_earlier(life.ends());
        let context = CauseContext {
            prior: life.prior,
            syscall: report.syscall.and_then(|number| self.syscalls.by_number(number)),
        };
        let cause = cause(report, &context);
        if cause::is_owners_call(report, &context) {
            owner::claim(&mut life.owner, report, shared);
        }
        owner::guess(&mut life.owner, report, cause, shared);
        if is_end(report) {
            forget_end(closed, report.socket, life);
            closed.push_back(report.socket);
        }
        let ends_connection = life.step(report, ends, self.seq);

        let socket = SocketId { number: report.socket, generation: life.generation };
        let owner = Arc::clone(&life.owner);
        let ended = if ends_connection { life.ended(report, cause) } else { None };
        self.index(report, ends, &owner);
        // Put together last, where the caller has its place for it.
        Tracked {
            transition: Transition {
                seq: self.seq,
                at: report.at,
                cpu: report.cpu,
                socket,
                cookie: report.cookie,
                netns: report.netns,
                protocol: report.protocol,
                family: report.family,
                ends,
                old: report.old,
                new: report.new,
                cause,
                owner,
                since,
                segs_out: report.counters.map(|counters| counters.segs_out),
            },
            previous,
            ended,
        }
    }

    /// The number of connections that are open, including pre-existing ones that have had no event yet.
    pub fn open_connections(&self) -> u64 {
        let is_open = |socket: &&TrackedSocket| socket.open.is_some() && socket.state != State::Close;
        self.lives.values().filter(is_open).count() as u64 + self.older.connections()
    }

    /// Reports were lost: what is remembered of live sockets may be out of date from here on.
    pub fn lost(&mut self) {
        self.gap = true;
        self.lives.values_mut().for_each(TrackedSocket::gap);
    }

    /// How the connection of a socket, live or just ended, came to be (`None` for a listener), and its course so far;
    /// `None` for a generation that is not the socket's present one.
    #[must_use]
    pub fn so_far(&self, socket: SocketId) -> Option<(Option<Open>, &StateHistory)> {
        let life = self.lives.get(&socket.number)?;
        (life.generation == socket.generation).then_some((life.open, &life.course))
    }

    /// Keeps the listeners findable by port, and the memory bounded.
    fn index(&mut self, report: &Report, ends: Endpoints, owner: &Arc<Owner>) {
        match (report.old, report.new) {
            (_, State::Listen) => {
                self.listeners.add(report.socket, report.netns, ends.local, Arc::clone(owner));
            }
            (State::Listen, State::Close) => {
                self.listeners.remove(report.socket);
                // On the fallback backend, the snapshot's has another number.
                report.cookie.into_iter().for_each(|cookie| self.listeners.remove(cookie));
            }
            _ => {}
        }
        if is_end(report) {
            // Without a cookie at its opening, it was not recognised in the snapshot then.
            self.older.take(report);
            self.time_wait_owners.add(report, ends, owner);
        }
        if self.closed.len() > CLOSED
            && let Some(number) = self.closed.pop_front()
        {
            self.lives.swap_remove(&number);
            if self.lives.capacity() > ROOM.max(4 * self.lives.len()) {
                // There were very many for a while.
                self.lives.shrink_to(2 * self.lives.len());
            }
        }
        if self.lives.len() + self.older.len() > MOST && self.gap {
            self.gap = false;
            self.older.forget_connections();
            self.lives.retain(|_, life| life.continuous || life.state == State::Listen);
            self.closed.retain(|number| self.lives.contains_key(number));
        }
    }

    /// Whether a child's report carries its listener's cookie, and no remote port: up to Linux 6.12 at least
    /// (not on 6.18), `inet_csk_clone_lock` sets the state first and the identity after.
    fn is_unnamed_child(&self, report: &Report) -> bool {
        let is_child = (report.old, report.new) == (State::Listen, State::SynRecv);
        let listens = || {
            self.lives.get(&report.socket).is_some_and(|life| life.state == State::Listen)
                || self.older.listens(report.socket)
        };
        is_child && report.cookie == Some(report.socket) && (report.ends.remote.port.is_none() || listens())
    }
}

/// The socket of that number goes on, or ends once more.
fn forget_end(closed: &mut VecDeque<u64>, number: u64, life: &TrackedSocket) {
    if life.has_ended
        && let Some(place) = closed.iter().rposition(|closed| *closed == number)
    {
        closed.remove(place);
    }
}

/// Whether a connection, or a listener, ends here. A destroyed listener reports CLOSE→CLOSE after that.
fn is_end(report: &Report) -> bool {
    report.new == State::Close && report.old != State::Close
}

/// Whether this report is the first of a connection or of a listener, and how it opens.
fn opening(report: &Report) -> Option<Option<Open>> {
    match (report.old, report.new) {
        (State::Close, State::Listen) => Some(None),
        (State::Close, State::SynSent) => Some(Some(Open::Active)),
        (State::Listen, State::SynRecv) => Some(Some(Open::Passive)),
        (State::Listen, State::Established) if report.protocol == Protocol::Mptcp => {
            Some(Some(Open::Passive))
        }
        _ => None,
    }
}
