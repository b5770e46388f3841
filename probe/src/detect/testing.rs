//! A simulation that feeds detectors with transitions, for tests.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use proptest::{collection, prelude::*, sample::select};

use foldhash::HashMap;

use super::detector::{Context, Detector};
use crate::model::{
    Cause, Close, Connection, DiagEntry, Endpoints, Family, Finding, Known, KnownSocket, Mono, Open, Owner,
    Protocol, SocketId, SocketIdentity, SocketTable, State, StateHistory, Transition, is_legal,
    testing::{endpoints, owner},
};

/// Sockets whose transitions one detector observes.
pub struct Simulation<D> {
    detector: D,
    seq: u64,
    /// Advances by a nanosecond with each transition, and by each wait.
    now: Mono,
    protocol: Protocol,
    netns: Option<u32>,
    cause: Option<Cause>,
    segs_out: Option<u32>,
    sockets: Sockets,
}

/// The sockets by number.
#[derive(Debug, Default)]
struct Sockets(HashMap<u64, Socket>);

#[derive(Debug)]
struct Socket {
    identity: SocketIdentity,
    owner: Arc<Owner>,
    state: Option<State>,
    open: Open,
    history: StateHistory,
}

impl SocketTable for Sockets {
    fn find(&self, number: u64) -> Option<KnownSocket<'_>> {
        let Socket { identity, owner, history, .. } = self.0.get(&number)?;
        Some(KnownSocket { identity: *identity, owner, history: Some(history) })
    }
}

impl<D: Detector> Simulation<D> {
    pub fn new(detector: D) -> Self {
        Self {
            detector,
            seq: 0,
            now: Mono(0),
            protocol: Protocol::Tcp,
            netns: Some(1),
            cause: Some(Cause::UnknownTransition),
            segs_out: None,
            sockets: Sockets::default(),
        }
    }

    /// The cause of the transitions from here on.
    pub fn because(&mut self, cause: Option<Cause>) -> &mut Self {
        self.cause = cause;
        self
    }

    /// The segments sent by the transitions from here on.
    pub fn having_sent(&mut self, segments: u32) -> &mut Self {
        self.segs_out = Some(segments);
        self
    }

    /// Adds pre-existing sockets.
    pub fn existing(&mut self, rows: &[DiagEntry]) {
        for row in rows {
            let socket = Socket {
                identity: row.identity.into(),
                owner: Arc::clone(&row.owner),
                state: None,
                open: Open::Preexisting,
                history: StateHistory::from(row.state),
            };
            self.sockets.0.insert(row.cookie, socket);
        }
        self.detector.existing(self.now, rows);
    }

    /// Advances the time and ticks: the findings.
    pub fn wait(&mut self, time: Duration) -> Vec<Finding> {
        self.now = Mono(self.now.0 + time.as_nanos() as u64);
        self.detector.tick(self.now)
    }

    pub fn detector(&mut self) -> &mut D {
        &mut self.detector
    }

    /// The protocol of the transitions from here on.
    pub fn over(&mut self, protocol: Protocol) -> &mut Self {
        self.protocol = protocol;
        self
    }

    /// The namespace of the transitions from here on.
    pub fn enter(&mut self, netns: Option<u32>) {
        self.netns = netns;
    }

    pub fn lose(&mut self) {
        self.detector.lost();
        self.sockets.0.values_mut().for_each(|socket| socket.state = None);
    }

    /// The socket goes through these states, from the first one on: the findings.
    pub fn moves(&mut self, number: u64, (local, remote): (&str, &str), states: &[State]) -> Vec<Finding> {
        states
            .windows(2)
            .filter_map(|edge| self.step(number, endpoints(local, remote), edge[0], edge[1]))
            .collect()
    }

    fn step(&mut self, number: u64, endpoints: Endpoints, old: State, new: State) -> Option<Finding> {
        self.seq += 1;
        self.now.0 += 1;
        let transition = self.transition(number, endpoints, old, new);
        let open = match (old, new) {
            (State::Close, State::SynSent) => Some(Open::Active),
            (State::Listen, State::SynRecv) => Some(Open::Passive),
            _ => None,
        };
        let fresh = || Socket {
            identity: transition.identity,
            owner: Arc::clone(&transition.owner),
            state: None,
            open: open.unwrap_or(Open::Preexisting),
            history: StateHistory::from(old),
        };
        let socket = self.sockets.0.entry(number).or_insert_with(fresh);
        if open.is_some() {
            *socket = Socket { state: socket.state.filter(|_| old == State::Close), ..fresh() };
        }
        if (old, new) == (State::SynSent, State::SynRecv) {
            socket.open = if endpoints.is_self() { Open::SelfConnect } else { Open::Simultaneous };
        }
        let previous = socket.state.replace(new);
        socket.history.add_state(new);
        socket.history.add_transition(self.seq);
        let socket = &self.sockets.0[&number];
        let context = Context {
            transition: &transition,
            previous,
            open: Some(socket.open),
            history: Some(&socket.history),
            sockets: &self.sockets,
        };
        let is_watched = self.detector.watches((old, new)) || !context.is_in_order();
        is_watched.then(|| self.detector.observe(&context)).flatten()
    }

    fn transition(&self, number: u64, endpoints: Endpoints, old: State, new: State) -> Transition {
        Transition {
            seq: self.seq,
            at: self.now,
            cpu: 0,
            socket: SocketId { number, generation: 1 },
            cookie: Some(number),
            identity: SocketIdentity {
                netns: self.netns,
                protocol: self.protocol,
                family: Family::Ipv4,
                endpoints,
            },
            old,
            new,
            cause: self.cause,
            owner: owner(100, "client", Known::Exact).into(),
            state_duration: None,
            segs_out: self.segs_out,
        }
    }
}

/// A connection of client[100] of which only the summary is reported.
pub fn connection(
    open: Open,
    (local, remote): (&str, &str),
    path: &[State],
    cause: Option<Cause>,
) -> Connection {
    Connection {
        socket: SocketId { number: 7, generation: 1 },
        identity: SocketIdentity::tcp(Some(1), endpoints(local, remote)),
        open,
        opened: Some(Mono(1)),
        established: None,
        close: Some(Close { at: Mono(9), cause }),
        path: path.iter().copied().collect(),
        counters: None,
        owner: owner(100, "client", Known::Exact).into(),
        complete: true,
    }
}

/// States that a socket goes through along legal edges.
pub fn walk() -> impl Strategy<Value = Vec<State>> {
    let picks = collection::vec(any::<prop::sample::Index>(), 1..12);
    (select(vec![State::Close, State::Listen]), picks).prop_map(|(start, picks)| {
        picks.into_iter().fold(vec![start], |mut states, pick| {
            let state = states[states.len() - 1];
            let next: Vec<State> =
                State::ALL.into_iter().filter(|new| is_legal(Protocol::Tcp, (state, *new))).collect();
            states.push(next[pick.index(next.len())]);
            states
        })
    })
}

pub fn state() -> impl Strategy<Value = State> {
    select(State::ALL.to_vec())
}

/// An address with a port, as text.
pub fn endpoint() -> impl Strategy<Value = String> {
    (any::<std::net::IpAddr>(), 1..=u16::MAX).prop_map(|(addr, port)| SocketAddr::new(addr, port).to_string())
}
