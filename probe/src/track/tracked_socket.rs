//! What is remembered of one socket from report to report.
//!
//! There may be hundreds of thousands, so that nothing is in here that can be said when it is asked for: a [`Connection`]
//! is put together at its end.

use std::{
    num::{NonZeroU32, NonZeroU64},
    sync::Arc,
};

use super::{cause::PriorReports, children::Unnamed, is_end, preexisting::PreexistingSocket};
use crate::model::{
    Cause, Close, Connection, DiagEntry, Endpoints, Family, Mono, Open, Owner, PackedEnds, Protocol, Report,
    SocketId, State, StateHistory,
};

/// One socket. Its number is where it is kept by.
#[derive(Debug)]
pub struct TrackedSocket {
    /// The present generation.
    pub generation: u32,
    /// The network namespace's inode number.
    pub netns: Option<NonZeroU32>,
    /// Whose it is.
    pub owner: Arc<Owner>,
    ends: PackedEnds,
    /// The states of the connection, and the `seq` of each of its transitions; of a listener, of the last one.
    pub course: StateHistory,
    /// When it entered its state, where this was seen.
    entered: Moment,
    /// When the connection's first transition was.
    opened: Moment,
    /// When it reached ESTABLISHED.
    established: Moment,
    /// The cookie, where the kernel gives one.
    cookie: Option<NonZeroU64>,
    /// What its later causes depend on.
    pub prior: PriorReports,
    protocol: Protocol,
    family: Family,
    /// The state that it was left in.
    pub state: State,
    /// How its connection came to be; `None` for a listener.
    pub open: Option<Open>,
    /// Whether it can be relied on to be in that state still: not before its first report, and not
    /// after reports were lost.
    pub continuous: bool,
    /// Whether every transition of its connection was seen.
    is_complete: bool,
    /// Whether it has ended. Nothing is added to its connection any more.
    pub has_ended: bool,
}

impl TrackedSocket {
    /// A socket at its opening. `earlier` is what was known under the same identity: the same socket,
    /// connected again.
    pub fn born(report: &Report, open: Option<Open>, owner: Arc<Owner>, earlier: Option<&Self>) -> Self {
        let by_cookie = report.cookie == Some(report.socket);
        let earlier = earlier.filter(|_| by_cookie && report.old == State::Close);
        let generation = report.opened.as_ref().map_or(0, |opened| opened.generation);
        let mut life = Self::new(report, generation, owner);
        if let Some(earlier) = earlier {
            life.state = earlier.state;
            life.entered = earlier.entered;
            life.continuous = earlier.continuous;
            life.prior.previous_port = earlier.ends.unpack().local.port;
        }
        life.prior.passive = Some(open == Some(Open::Passive));
        life.prior.first_port = report.ends.local.port;
        if let Some(open) = open {
            life.connect(open, Some(report.at));
        }
        life
    }

    /// A child that is reported before it has a name: the number is its listener's.
    pub fn unnamed(report: &Report, open: Option<Open>, owner: Arc<Owner>) -> Self {
        let mut life = Self::born(report, open, owner, None);
        life.generation = 0;
        life
    }

    /// A socket of which this is the first report, though not its opening: what the snapshot knows of it
    /// is whose it is, and between which ends.
    pub fn first_seen(report: &Report, older: Option<PreexistingSocket>) -> Self {
        let mut life = match older {
            Some(before) => {
                let ends = report.ends.or_earlier(before.ends.unpack()).into();
                Self { ends, ..Self::new(report, 0, before.owner) }
            }
            None => Self::new(report, 0, Owner::nobody()),
        };
        life.prior.passive = None;
        if !matches!(report.old, State::Listen | State::Close) {
            life.connect(Open::Preexisting, None);
        }
        life
    }

    /// A child of which this is the first report under its own name.
    pub fn named(report: &Report, unnamed: Unnamed) -> Self {
        let mut life = Self::new(report, unnamed.generation, unnamed.owner);
        life.entered = Moment::from(unnamed.at);
        life.prior.passive = Some(true);
        life.connect(Open::Passive, Some(unnamed.at));
        life.course = StateHistory::from(State::Listen);
        life.course.enter(report.old);
        life.course.pass(unnamed.seq);
        life
    }

    fn new(report: &Report, generation: u32, owner: Arc<Owner>) -> Self {
        Self {
            generation,
            netns: report.netns.and_then(NonZeroU32::new),
            owner,
            ends: report.ends.into(),
            course: StateHistory::from(report.old),
            entered: Moment::NEVER,
            opened: Moment::NEVER,
            established: Moment::NEVER,
            cookie: report.cookie.and_then(NonZeroU64::new),
            prior: PriorReports::default(),
            protocol: report.protocol,
            family: report.family,
            state: report.old,
            open: None,
            continuous: false,
            is_complete: false,
            has_ended: false,
        }
    }

    fn connect(&mut self, open: Open, opened: Option<Mono>) {
        self.open = Some(open);
        self.opened = opened.map_or(Moment::NEVER, Moment::from);
        self.is_complete = opened.is_some();
    }

    /// Both ends as last known.
    pub fn ends(&self) -> Endpoints {
        self.ends.unpack()
    }

    /// Whether that is its cookie.
    pub fn has_cookie(&self, cookie: u64) -> bool {
        self.cookie.is_some_and(|own| own.get() == cookie)
    }

    /// When it entered its state, where this was seen.
    pub fn entered(&self) -> Option<Mono> {
        self.entered.get()
    }

    /// Its connection, which has ended with this report, for this reason; `None` for a listener.
    pub fn ended(&self, end: &Report, cause: Option<Cause>) -> Option<Box<Connection>> {
        let open = self.open?;
        Some(Box::new(Connection {
            socket: SocketId { number: end.socket, generation: self.generation },
            netns: self.netns.map(NonZeroU32::get),
            protocol: self.protocol,
            family: self.family,
            ends: self.ends(),
            open,
            opened: self.opened.get(),
            established: self.established.get(),
            close: Some(Close { at: end.at, cause }),
            path: self.course.path(),
            counters: end.counters,
            owner: Arc::clone(&self.owner),
            complete: self.is_complete,
        }))
    }

    /// The socket as sock_diag would list it now; `None` where it is closed, or has no cookie to be listed by.
    pub fn listed(&self) -> Option<DiagEntry> {
        (self.state != State::Close).then_some(DiagEntry {
            cookie: self.cookie?.get(),
            netns: self.netns?.get(),
            protocol: self.protocol,
            family: self.family,
            ends: self.ends(),
            state: self.state,
            owner: Arc::clone(&self.owner),
            expires: None,
        })
    }

    /// Takes in a report that leaves it between these ends. Returns whether its connection ends here.
    pub fn step(&mut self, report: &Report, ends: Endpoints, seq: u64) -> bool {
        self.state = report.new;
        self.cookie = report.cookie.and_then(NonZeroU64::new).or(self.cookie);
        self.entered = Moment::from(report.at);
        self.continuous = true;
        self.ends.set(ends);
        self.prior.add(report);
        let Some(open) = &mut self.open else {
            self.has_ended |= is_end(report);
            // A listener has one alone, since it may live for years.
            self.course.clear_transitions();
            self.course.pass(seq);
            return false;
        };
        self.course.pass(seq);
        if self.has_ended {
            return false;
        }
        self.course.enter(report.new);
        match (report.old, report.new) {
            (State::SynSent, State::SynRecv) if ends.is_self() => *open = Open::SelfConnect,
            (State::SynSent, State::SynRecv) => *open = Open::Simultaneous,
            (_, State::Established) => self.established = Moment::from(report.at),
            _ => self.has_ended = is_end(report),
        }
        self.has_ended
    }

    /// Whether this report must be of a later connection of the same socket, the opening of which was lost.
    pub fn is_of_another(&self, report: &Report) -> bool {
        self.has_ended && !self.continuous && report.old != State::Close
    }

    /// Reports were lost, perhaps this socket's.
    pub fn gap(&mut self) {
        self.continuous = false;
        if !self.has_ended {
            self.is_complete = false;
        }
    }
}

/// A moment, or none, in the room of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Moment(u64);

impl Moment {
    /// None: no kernel runs for so long.
    const NEVER: Self = Self(u64::MAX);

    fn get(self) -> Option<Mono> {
        (self != Self::NEVER).then_some(Mono(self.0))
    }
}

impl From<Mono> for Moment {
    fn from(at: Mono) -> Self {
        Self(at.0)
    }
}
