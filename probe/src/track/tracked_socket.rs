//! What the tracker knows of one socket between reports.
//!
//! There may be hundreds of thousands, so that a socket holds nothing that can be derived later: a [`Connection`] is built at its
//! end.

use std::{
    num::{NonZeroU8, NonZeroU64},
    sync::Arc,
};

use super::{
    cause::PriorReports,
    counters::{Earlier, counters},
    preexisting::PreexistingSocket,
    unnamed_children::UnnamedChild,
};
use crate::model::{
    Cause, Close, Connection, DiagEntry, Endpoints, Mono, Open, Owner, PackedIdentity, PortOrigin, Protocol,
    Report, SocketId, SocketIdentity, State, StateHistory,
};

/// How a connection that opened like this got its local port.
pub fn port_origin(open: Open, prior: &PriorReports) -> Option<PortOrigin> {
    match (open, prior.first_port) {
        (Open::Preexisting, _) => None,
        (Open::Passive, _) => Some(PortOrigin::Accepted),
        (_, None) => Some(PortOrigin::Picked),
        (_, Some(_)) => Some(PortOrigin::Bound),
    }
}

/// One socket. Its number is its key in the tracker.
#[derive(Debug)]
pub struct TrackedSocket {
    /// The current generation.
    pub generation: u32,
    /// Namespace, protocol, family and endpoints as last known.
    pub identity: PackedIdentity,
    /// The owner.
    pub owner: Arc<Owner>,
    /// The states of the connection, and the `seq` of each transition; for a listener, only the last `seq`.
    pub history: StateHistory,
    /// When it entered its state, where known.
    entered: OptionalMono,
    /// The time of the connection's first transition.
    opened: OptionalMono,
    /// When it reached ESTABLISHED.
    established: OptionalMono,
    /// The cookie, where the kernel reports one.
    cookie: Option<NonZeroU64>,
    /// What the causes of later transitions depend on.
    pub prior: PriorReports,
    /// The SYN+ACKs that it sent before ESTABLISHED.
    synacks: Option<NonZeroU8>,
    /// The state in which its last report left it.
    pub state: State,
    /// How its connection opened; `None` for a listener.
    pub open: Option<Open>,
    /// Whether it is certainly still in that state: not before its first report, and not after a loss.
    pub continuous: bool,
    /// Whether every transition of its connection was reported.
    is_complete: bool,
    /// Whether it has ended: later reports add nothing to its connection.
    pub has_ended: bool,
}

impl TrackedSocket {
    /// A socket at its opening. `earlier`: the previous socket under the same number, which is the same socket where the
    /// number is a cookie.
    pub fn opened(
        report: &Report,
        open: Option<Open>,
        owner: Arc<Owner>,
        generation: u32,
        earlier: Option<&Self>,
    ) -> Self {
        let by_cookie = report.cookie == Some(report.socket);
        // The address of an MPTCP socket may have been that of another.
        let earlier = earlier
            .filter(|earlier| by_cookie && report.old == State::Close && earlier.has_cookie(report.socket));
        let mut socket = Self::new(report, generation, owner);
        if let Some(earlier) = earlier {
            socket.state = earlier.state;
            socket.entered = earlier.entered;
            socket.continuous = earlier.continuous;
            socket.prior.previous_port = earlier.identity.endpoints().local.port;
        }
        socket.prior.passive = Some(open == Some(Open::Passive));
        socket.prior.first_port = report.identity.endpoints.local.port;
        if let Some(open) = open {
            socket.connect(open, Some(report.at));
        }
        socket
    }

    /// A child whose first report carries its listener's number.
    pub fn unnamed(report: &Report, open: Option<Open>, owner: Arc<Owner>) -> Self {
        Self::opened(report, open, owner, 0, None)
    }

    /// A socket whose first report is not its opening. The snapshot gives its owner and endpoints.
    pub fn first_seen(report: &Report, generation: u32, existing: Option<PreexistingSocket>) -> Self {
        let mut socket = match existing {
            Some(existing) => {
                let identity = report.identity.or_earlier(existing.identity.endpoints()).into();
                Self { identity, ..Self::new(report, generation, existing.owner) }
            }
            None => Self::new(report, generation, Owner::unknown()),
        };
        socket.prior.passive = None;
        if !matches!(report.old, State::Listen | State::Close) {
            socket.connect(Open::Preexisting, None);
        }
        socket
    }

    /// A child whose first report carried its listener's number, at its second.
    pub fn named(report: &Report, generation: u32, unnamed: UnnamedChild) -> Self {
        let mut socket = Self::new(report, generation, unnamed.owner);
        socket.entered = OptionalMono::from(unnamed.at);
        socket.prior.passive = Some(true);
        socket.connect(Open::Passive, Some(unnamed.at));
        socket.history = StateHistory::from(State::Listen);
        socket.history.add_state(report.old);
        socket.history.add_transition(unnamed.seq);
        socket
    }

    fn new(report: &Report, generation: u32, owner: Arc<Owner>) -> Self {
        Self {
            generation,
            identity: report.identity.into(),
            owner,
            history: StateHistory::from(report.old),
            entered: OptionalMono::NONE,
            opened: OptionalMono::NONE,
            established: OptionalMono::NONE,
            cookie: report.cookie.and_then(NonZeroU64::new),
            prior: PriorReports::default(),
            synacks: None,
            state: report.old,
            open: None,
            continuous: false,
            is_complete: false,
            has_ended: false,
        }
    }

    fn connect(&mut self, open: Open, opened: Option<Mono>) {
        self.open = Some(open);
        self.opened = opened.map_or(OptionalMono::NONE, OptionalMono::from);
        self.is_complete = opened.is_some();
    }

    /// The cookie, where it is known.
    pub fn cookie(&self) -> Option<u64> {
        self.cookie.map(NonZeroU64::get)
    }

    /// Whether it has this cookie.
    pub fn has_cookie(&self, cookie: u64) -> bool {
        self.cookie.is_some_and(|own| own.get() == cookie)
    }

    /// The identity of an MPTCP socket, where its number is its cookie.
    pub fn mptcp_id(&self) -> Option<SocketId> {
        let number = self.cookie.filter(|_| self.is_mptcp())?.get();
        Some(SocketId { number, generation: self.generation })
    }

    /// Whether it is an MPTCP socket.
    pub fn is_mptcp(&self) -> bool {
        self.identity.protocol == Protocol::Mptcp
    }

    /// When it entered its state, where known.
    pub fn entered(&self) -> Option<Mono> {
        self.entered.get()
    }

    /// The connection that ends with this report; `None` for a listener.
    pub fn connection(&self, end: &Report, cause: Option<Cause>) -> Option<Box<Connection>> {
        let open = self.open?;
        let path = self.history.path();
        let Self { prior: PriorReports { opened_in_repair: in_repair, .. }, synacks, .. } = *self;
        let counters = counters(end, Earlier { open, in_repair, synacks });
        Some(Box::new(Connection {
            socket: SocketId { number: end.socket, generation: self.generation },
            identity: self.identity.unpack(),
            open,
            opened: self.opened.get(),
            established: self.established.get(),
            close: Some(Close { at: end.at, cause }),
            path,
            counters,
            owner: Arc::clone(&self.owner),
            complete: self.is_complete,
        }))
    }

    /// The socket as sock_diag would list it now; `None` where it is closed, or its cookie is unknown.
    pub fn diag_entry(&self) -> Option<DiagEntry> {
        let SocketIdentity { netns, protocol, family, endpoints } = self.identity.unpack();
        let identity = SocketIdentity { netns: netns?, protocol, family, endpoints };
        (self.state != State::Close).then_some(DiagEntry {
            port_origin: self.port_origin(),
            ..DiagEntry::new(self.cookie?.get(), identity, self.state, Arc::clone(&self.owner))
        })
    }

    /// How it got its local port, where its opening was reported.
    pub fn port_origin(&self) -> Option<PortOrigin> {
        port_origin(self.open?, &self.prior)
    }

    /// Adds a report; `endpoints` are its endpoints, with the last known ones where the kernel has cleared them. Returns whether the
    /// connection ends.
    pub fn add(&mut self, report: &Report, endpoints: Endpoints, seq: u64) -> bool {
        self.state = report.new;
        self.cookie = report.cookie.and_then(NonZeroU64::new).or(self.cookie);
        self.entered = OptionalMono::from(report.at);
        self.continuous = true;
        self.identity.set_endpoints(endpoints);
        self.prior.add(report);
        self.synacks = report.synacks.or(self.synacks);
        let Some(open) = &mut self.open else {
            self.has_ended |= is_end(report);
            // A listener keeps the last one only, since it may be open for years.
            self.history.clear_transitions();
            self.history.add_transition(seq);
            return false;
        };
        self.history.add_transition(seq);
        if self.has_ended {
            return false;
        }
        self.history.add_state(report.new);
        match (report.old, report.new) {
            (State::SynSent, State::SynRecv) if endpoints.is_self() => *open = Open::SelfConnect,
            (State::SynSent, State::SynRecv) => *open = Open::Simultaneous,
            (_, State::Established) => self.established = OptionalMono::from(report.at),
            _ => self.has_ended = is_end(report),
        }
        self.has_ended
    }

    /// Whether this report belongs to a later connection of the same socket, whose opening was lost.
    pub fn is_of_later_connection(&self, report: &Report) -> bool {
        self.has_ended && !self.continuous && report.old != State::Close
    }

    /// Reports were lost, possibly this socket's.
    pub fn lost(&mut self) {
        self.continuous = false;
        if !self.has_ended {
            self.is_complete = false;
        }
    }
}

/// Whether a connection or a listener ends here. A destroyed listener reports CLOSE→CLOSE after that.
pub fn is_end(report: &Report) -> bool {
    report.new == State::Close && report.old != State::Close
}

/// An optional time in eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct OptionalMono(u64);

impl OptionalMono {
    /// No time: no kernel runs for so long.
    const NONE: Self = Self(u64::MAX);

    fn get(self) -> Option<Mono> {
        (self != Self::NONE).then_some(Mono(self.0))
    }
}

impl From<Mono> for OptionalMono {
    fn from(at: Mono) -> Self {
        Self(at.0)
    }
}
