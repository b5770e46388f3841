//! What is remembered of one socket from report to report.

use super::{cause::Past, children::Unnamed, is_end, older::Before};
use crate::model::{
    Cause, Close, Connection, Endpoints, Family, Listed, Mono, Open, Owner, Protocol, Report, SocketId, State,
};

/// As many states as an ordinary connection goes through fit in at once.
const USUAL: usize = 8;

/// One socket.
#[derive(Debug)]
pub struct Life {
    /// Its identity, with the present generation.
    pub socket: SocketId,
    /// The cookie, where the kernel gives one.
    cookie: Option<u64>,
    /// The network namespace's inode number.
    pub netns: Option<u32>,
    protocol: Protocol,
    family: Family,
    /// The state that it was left in.
    pub state: State,
    /// When it entered that state, where this was seen.
    pub entered: Option<Mono>,
    /// Whether it can be relied on to be in that state still: not before its first report, and not
    /// after reports were lost.
    pub continuous: bool,
    /// Both ends as last known.
    pub ends: Endpoints,
    /// Whose it is.
    pub owner: Owner,
    /// What its later causes depend on.
    pub past: Past,
    /// Its connection; `None` for a listener.
    pub connection: Option<Connection>,
    /// The `seq` of each transition of the connection.
    pub trail: Vec<u64>,
    /// The `seq` of its end.
    pub ended: Option<u64>,
}

impl Life {
    /// A socket at its opening. `earlier` is what was known under the same identity: the same socket,
    /// connected again.
    pub fn born(report: &Report, open: Option<Open>, owner: Owner, earlier: Option<&Self>) -> Self {
        let by_cookie = report.cookie == Some(report.socket);
        let earlier = earlier.filter(|_| by_cookie && report.old == State::Close);
        let generation = report.opened.as_ref().map_or(0, |opened| opened.generation);
        let mut life = Self::new(report, generation, owner);
        if let Some(earlier) = earlier {
            life.state = earlier.state;
            life.entered = earlier.entered;
            life.continuous = earlier.continuous;
            life.past.left_port = earlier.ends.local.port;
        }
        life.past.passive = Some(open == Some(Open::Passive));
        life.past.first_port = report.ends.local.port;
        life.connection = open.map(|open| life.connection(report, open, Some(report.at)));
        life
    }

    /// A child that is reported before it has a name: the number is its listener's.
    pub fn unnamed(report: &Report, open: Option<Open>, owner: Owner) -> Self {
        let mut life = Self::born(report, open, owner, None);
        life.socket.generation = 0;
        life
    }

    /// A socket of which this is the first report, though not its opening: what the snapshot knows of it
    /// is whose it is, and between which ends.
    pub fn first_seen(report: &Report, older: Option<Before>) -> Self {
        let (owner, ends) = match older {
            Some(before) => (before.owner(), report.ends.or_earlier(before.ends)),
            None => (Owner::UNKNOWN, report.ends),
        };
        let mut life = Self { ends, ..Self::new(report, 0, owner) };
        life.past.passive = None;
        if !matches!(report.old, State::Listen | State::Close) {
            life.connection = Some(life.connection(report, Open::Preexisting, None));
        }
        life
    }

    /// A child of which this is the first report under its own name.
    pub fn named(report: &Report, unnamed: Unnamed) -> Self {
        let mut life = Self::new(report, unnamed.generation, unnamed.owner);
        life.entered = Some(unnamed.at);
        life.trail = vec![unnamed.seq];
        life.past.passive = Some(true);
        let mut connection = life.connection(report, Open::Passive, Some(unnamed.at));
        connection.path.insert(0, State::Listen);
        life.connection = Some(connection);
        life
    }

    fn new(report: &Report, generation: u32, owner: Owner) -> Self {
        Self {
            socket: SocketId { number: report.socket, generation },
            cookie: report.cookie,
            netns: report.netns,
            protocol: report.protocol,
            family: report.family,
            state: report.old,
            entered: None,
            continuous: false,
            ends: report.ends,
            owner,
            past: Past::default(),
            connection: None,
            trail: Vec::with_capacity(USUAL),
            ended: None,
        }
    }

    fn connection(&self, report: &Report, open: Open, opened: Option<Mono>) -> Connection {
        let mut path = Vec::with_capacity(USUAL);
        path.push(report.old);
        Connection {
            socket: self.socket,
            netns: report.netns,
            protocol: report.protocol,
            family: report.family,
            ends: report.ends,
            open,
            opened,
            established: None,
            close: None,
            path,
            counters: None,
            owner: self.owner.clone(),
            complete: opened.is_some(),
        }
    }

    /// The socket as sock_diag would list it now; `None` where it is closed, or has no cookie to be listed by.
    pub fn listed(&self) -> Option<Listed> {
        (self.state != State::Close).then_some(Listed {
            cookie: self.cookie?,
            netns: self.netns?,
            protocol: self.protocol,
            family: self.family,
            ends: self.ends,
            state: self.state,
            owner: self.owner.clone(),
            expires: None,
        })
    }

    /// Takes a report in, when its cause is known.
    pub fn step(&mut self, report: &Report, cause: Option<&Cause>, seq: u64) {
        self.state = report.new;
        self.cookie = report.cookie.or(self.cookie);
        self.entered = Some(report.at);
        self.continuous = true;
        self.ends = report.ends.or_earlier(self.ends);
        self.past.step(report);
        if is_end(report) {
            self.ended = Some(seq);
        }
        // A listener has a trail of one, since it may live for years.
        if self.connection.is_none() {
            self.trail.clear();
        }
        self.trail.push(seq);
        if let Some(connection) = &mut self.connection
            && connection.close.is_none()
        {
            connection.ends = self.ends;
            if connection.owner != self.owner {
                connection.owner.clone_from(&self.owner);
            }
            connection.path.push(report.new);
            match (report.old, report.new) {
                (State::SynSent, State::SynRecv) if self.ends.is_self() => {
                    connection.open = Open::SelfConnect;
                }
                (State::SynSent, State::SynRecv) => connection.open = Open::Simultaneous,
                (_, State::Established) => connection.established = Some(report.at),
                (_, State::Close) => {
                    connection.close = Some(Close { at: report.at, cause: cause.cloned() });
                    connection.counters = report.counters;
                }
                _ => {}
            }
        }
    }

    /// Reports were lost, perhaps this socket's.
    pub fn gap(&mut self) {
        self.continuous = false;
        if let Some(connection) = &mut self.connection
            && connection.close.is_none()
        {
            connection.complete = false;
        }
    }
}
