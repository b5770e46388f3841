//! Transitions for tests, told as stories of sockets.

use std::{collections::HashMap, net::SocketAddr};

use proptest::{collection, prelude::*, sample::select};

use super::{Context, Detector};
use crate::model::{
    Cause, CauseKind, Clock, Connection, Endpoints, Family, Finding, Host, Known, Mono, Name, Open, Owner,
    Protocol, SocketId, State, Task, Transition, is_legal,
};

pub fn host() -> Host {
    Host {
        kernel: "6.18.0".to_owned(),
        arch: "x86_64".to_owned(),
        hostname: "test".to_owned(),
        clock: Clock { realtime_offset_ns: 0 },
        ephemeral: Some(32768..=60999),
    }
}

pub fn ends(local: &str, remote: &str) -> Endpoints {
    let at = |text: &str| text.parse::<SocketAddr>().expect("an address in a test").into();
    Endpoints { local: at(local), remote: at(remote) }
}

pub fn owner() -> Owner {
    let task = Task { pid: 100, uid: 1000, comm: Name::from_bytes(b"client") };
    Owner { task: Some(task), cgroup: None, known: Known::Exact }
}

/// Sockets as they go by a detector.
pub struct Story<D> {
    detector: D,
    seq: u64,
    protocol: Protocol,
    netns: Option<u32>,
    known: HashMap<u64, Socket>,
}

struct Socket {
    state: Option<State>,
    connection: Connection,
    trail: Vec<u64>,
}

impl<D: Detector> Story<D> {
    pub fn new(detector: D) -> Self {
        Self { detector, seq: 0, protocol: Protocol::Tcp, netns: Some(1), known: HashMap::new() }
    }

    pub fn mptcp(self) -> Self {
        Self { protocol: Protocol::Mptcp, ..self }
    }

    /// What follows happens in another namespace.
    pub fn enter(&mut self, netns: Option<u32>) {
        self.netns = netns;
    }

    pub fn lose(&mut self) {
        self.detector.lost();
        self.known.values_mut().for_each(|socket| socket.state = None);
    }

    /// The socket goes through these states, the first one left: what is found on the way.
    pub fn tell(&mut self, number: u64, (local, remote): (&str, &str), states: &[State]) -> Vec<Finding> {
        states
            .windows(2)
            .filter_map(|edge| self.step(number, ends(local, remote), edge[0], edge[1]))
            .collect()
    }

    fn step(&mut self, number: u64, ends: Endpoints, old: State, new: State) -> Option<Finding> {
        self.seq += 1;
        let transition = self.transition(number, ends, old, new);
        let open = match (old, new) {
            (State::Close, State::SynSent) => Some(Open::Active),
            (State::Listen, State::SynRecv) => Some(Open::Passive),
            _ => None,
        };
        let fresh = || Socket {
            state: None,
            connection: connection(&transition, open.unwrap_or(Open::Preexisting)),
            trail: Vec::new(),
        };
        let socket = self.known.entry(number).or_insert_with(fresh);
        if open.is_some() {
            *socket = Socket { state: socket.state.filter(|_| old == State::Close), ..fresh() };
        }
        let previous = socket.state.replace(new);
        socket.trail.push(self.seq);
        self.detector.observe(&Context {
            transition: &transition,
            previous,
            connection: Some(&socket.connection),
            trail: &socket.trail,
        })
    }

    fn transition(&self, number: u64, ends: Endpoints, old: State, new: State) -> Transition {
        Transition {
            seq: self.seq,
            at: Mono(self.seq),
            cpu: 0,
            socket: SocketId { number, generation: 1 },
            cookie: Some(number),
            netns: self.netns,
            protocol: self.protocol,
            family: Family::Ipv4,
            ends,
            old,
            new,
            cause: Some(Cause::new(CauseKind::Kernel, "a test")),
            owner: owner(),
            since: None,
            segs_out: None,
        }
    }
}

fn connection(transition: &Transition, open: Open) -> Connection {
    Connection {
        socket: transition.socket,
        netns: transition.netns,
        protocol: transition.protocol,
        family: transition.family,
        ends: transition.ends,
        open,
        opened: None,
        established: None,
        close: None,
        path: Vec::new(),
        counters: None,
        owner: transition.owner.clone(),
        complete: true,
    }
}

/// States that a socket goes through on edges that the kernel takes, the first one left.
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
