//! What an event says of its socket, held against the filter: yes, no, or not known yet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::sets::{Networks, Ports, Sets};
use crate::model::{
    BindFailure, Cgroup, Connection, DiagEntry, Endpoint, Endpoints, Family, Finding, Output, Protocol,
    SocketId, State, Task, Transition,
};

/// Whether a socket is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    No,
    /// Not known yet.
    Unknown,
    Yes,
}

impl Fit {
    /// Both have to fit.
    pub fn and(self, other: Self) -> Self {
        self.min(other)
    }

    /// One of both has to fit.
    fn or(self, other: Self) -> Self {
        self.max(other)
    }

    /// It is known whether it fits.
    pub fn of(fits: bool) -> Self {
        if fits { Self::Yes } else { Self::No }
    }
}

/// What is known of a socket.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// `None` for one that the kernel gave no identity.
    pub socket: Option<SocketId>,
    pub netns: Option<u32>,
    /// `None` where the event does not say.
    pub protocol: Option<Protocol>,
    pub family: Family,
    pub ends: Endpoints,
    pub task: Option<&'a Task>,
    pub cgroup: Option<&'a Cgroup>,
    /// Whether it is a listener, or not connected at all: the other end will never be known.
    pub has_no_peer: bool,
    /// Whether it ends here.
    pub is_end: bool,
    /// Whether what is not known now will never be: at its end, and after.
    pub is_last: bool,
    /// Whether the event is one that only ever runs in its owner's call, so that the kernel side has decided
    /// on the owner before it passed it.
    pub in_owners_call: bool,
}

impl<'a> Facts<'a> {
    /// The facts in events of one socket, the latest; `None` for events that are about no socket.
    pub fn of(events: &'a [Output]) -> Option<Self> {
        // What a finding is about says more of itself.
        let is_finding = |event: &&Output| matches!(event, Output::Finding(_));
        let subject = events.iter().rfind(|event| !is_finding(event)).or(events.last())?;
        Self::of_event(subject)
    }

    /// The facts in a row of sock_diag's, its owner aside.
    pub fn of_listed(row: &DiagEntry) -> Self {
        Self {
            netns: Some(row.netns),
            protocol: Some(row.protocol),
            family: row.family,
            ..Self::at(row.ends)
        }
    }

    fn of_event(event: &'a Output) -> Option<Self> {
        match event {
            Output::Transition(transition) => Some(Self::of_transition(transition)),
            Output::Connection(connection) => Some(Self::of_connection(connection)),
            Output::Finding(finding) => Some(Self::of_finding(finding)),
            Output::Reset(reset) => Some(Self {
                socket: Some(reset.socket),
                netns: reset.netns,
                family: reset.family,
                task: reset.owner.task.as_ref(),
                cgroup: reset.owner.cgroup.as_ref(),
                is_last: true,
                ..Self::at(reset.ends)
            }),
            Output::TimeWaitEntry(remains) => Some(Self {
                socket: Some(remains.socket),
                netns: remains.netns,
                task: remains.owner.task.as_ref(),
                cgroup: remains.owner.cgroup.as_ref(),
                is_last: true,
                ..Self::at(remains.ends)
            }),
            _ => None,
        }
    }

    /// The facts in a bind(2) that failed.
    pub fn of_bind_failure(failure: &'a BindFailure) -> Self {
        Self {
            netns: failure.netns,
            protocol: Some(failure.protocol),
            family: failure.family,
            task: failure.task.as_ref(),
            cgroup: failure.cgroup.as_ref(),
            has_no_peer: true,
            is_last: true,
            in_owners_call: true,
            ..Self::at(Endpoints { local: failure.local, remote: nobody(failure.local) })
        }
    }

    fn of_transition(transition: &'a Transition) -> Self {
        let at_rest = |state| matches!(state, State::Listen | State::Close);
        Self {
            socket: Some(transition.socket),
            netns: transition.netns,
            protocol: Some(transition.protocol),
            family: transition.family,
            task: transition.owner.task.as_ref(),
            cgroup: transition.owner.cgroup.as_ref(),
            has_no_peer: at_rest(transition.old) && at_rest(transition.new),
            is_end: transition.new == State::Close && transition.old != State::Close,
            is_last: transition.new == State::Close,
            ..Self::at(transition.ends)
        }
    }

    fn of_connection(connection: &'a Connection) -> Self {
        Self {
            socket: Some(connection.socket),
            netns: connection.netns,
            protocol: Some(connection.protocol),
            family: connection.family,
            task: connection.owner.task.as_ref(),
            cgroup: connection.owner.cgroup.as_ref(),
            is_end: true,
            is_last: true,
            ..Self::at(connection.ends)
        }
    }

    fn of_finding(finding: &'a Finding) -> Self {
        Self {
            socket: finding.socket,
            netns: finding.netns,
            protocol: None,
            task: finding.owner.task.as_ref(),
            cgroup: finding.owner.cgroup.as_ref(),
            has_no_peer: finding.socket.is_none(),
            ..Self::at(finding.ends)
        }
    }

    /// The ends of a TCP socket, and nothing else.
    fn at(ends: Endpoints) -> Self {
        Self {
            socket: None,
            netns: None,
            protocol: Some(Protocol::Tcp),
            family: if ends.local.addr.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 },
            ends,
            task: None,
            cgroup: None,
            has_no_peer: false,
            is_end: false,
            is_last: false,
            in_owners_call: false,
        }
    }

    /// Whether everything but the owner fits.
    pub fn fit(&self, sought: &Sets) -> Fit {
        let Endpoints { local, remote } = self.ends;
        // A port that is asked of a bind(2), or that a connect(2) goes out from, may be the kernel's to pick.
        let local_port = |wanted: &Ports| port(local, wanted, Fit::Unknown);
        let remote_port = |wanted: &Ports| port(remote, wanted, self.unknown_peer());
        [
            // What the kernel does not tell at all is no reason to leave a socket out.
            any(&sought.netns, |wanted| Fit::of(self.netns.is_none_or(|netns| wanted.contains(&netns)))),
            any(&sought.families, |wanted| Fit::of(wanted.contains(&self.family))),
            any(&sought.protocols, |wanted| {
                Fit::of(self.protocol.is_none_or(|protocol| wanted.contains(&protocol)))
            }),
            any(&sought.local_ports, local_port),
            any(&sought.remote_ports, remote_port),
            any(&sought.ports, |wanted| local_port(wanted).or(remote_port(wanted))),
            any(&sought.networks, |wanted| self.addr(local, wanted).or(self.addr(remote, wanted))),
        ]
        .into_iter()
        .fold(Fit::Yes, Fit::and)
    }

    fn addr(&self, end: Endpoint, wanted: &Networks) -> Fit {
        let addr = end.addr.to_canonical();
        if wanted.contain(addr) {
            return Fit::Yes;
        }
        if addr.is_unspecified() { self.unknown_peer() } else { Fit::No }
    }

    fn unknown_peer(&self) -> Fit {
        if self.has_no_peer { Fit::No } else { Fit::Unknown }
    }
}

fn port(end: Endpoint, wanted: &Ports, unknown: Fit) -> Fit {
    end.port.map_or(unknown, |port| Fit::of(wanted.contains(port.get())))
}

/// A kind of filter without entries means everything.
fn any<S>(wanted: &Option<S>, fit: impl FnOnce(&S) -> Fit) -> Fit {
    wanted.as_ref().map_or(Fit::Yes, fit)
}

/// The other end of a socket that has none.
fn nobody(local: Endpoint) -> Endpoint {
    let addr = match local.addr {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    Endpoint { addr, port: None }
}
