//! The facts that an output has about its socket, and whether they match the filter: yes, no, or not known yet.

use super::filter_sets::{FilterSets, Networks, Ports};
use crate::model::{
    BindFailure, Cgroup, Connection, DiagEntry, Endpoint, Endpoints, Finding, Output, SocketId,
    SocketIdentity, State, Task, Transition,
};

/// Whether a socket matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Match {
    No,
    /// Not known yet.
    Unknown,
    Yes,
}

impl Match {
    /// Both have to match.
    pub fn and(self, other: Self) -> Self {
        self.min(other)
    }

    /// Either has to match.
    fn or(self, other: Self) -> Self {
        self.max(other)
    }

    /// A decision.
    pub fn of(matches: bool) -> Self {
        if matches { Self::Yes } else { Self::No }
    }
}

/// What is known of a socket.
#[derive(Clone, Copy, Debug)]
pub struct SocketFacts<'a> {
    /// The socket, whose decision is kept; `None` if the kernel gave it no identity, and for what is decided by itself.
    pub socket: Option<SocketId>,
    pub identity: SocketIdentity,
    pub task: Option<&'a Task>,
    pub cgroup: Option<&'a Cgroup>,
    /// Whether the socket is a listener or not connected: there is no remote endpoint to wait for.
    pub has_no_remote: bool,
    /// Whether the socket closes here.
    pub is_close: bool,
    /// Whether what is unknown now stays unknown: at the close, and after it.
    pub is_final: bool,
    /// Whether this happens in the owner's own call only, so that the kernel side has decided on the owner before it
    /// reported it.
    pub in_owners_call: bool,
}

impl<'a> SocketFacts<'a> {
    /// The facts in the latest of the outputs of one socket; `None` if the outputs are about no socket.
    pub fn of_outputs(outputs: &'a [Output]) -> Option<Self> {
        // What a finding is about has more facts than the finding.
        let is_finding = |output: &&Output| matches!(output, Output::Finding(_));
        let subject = outputs.iter().rfind(|output| !is_finding(output)).or(outputs.last())?;
        Self::of_output(subject)
    }

    /// The facts in a sock_diag entry, except the owner.
    pub fn of_diag_entry(row: &DiagEntry) -> Self {
        Self::at(row.identity.into())
    }

    fn of_output(output: &'a Output) -> Option<Self> {
        match output {
            Output::Transition(transition) => Some(Self::of_transition(transition)),
            Output::Connection(connection) => Some(Self::of_connection(connection)),
            Output::Finding(finding) => Some(Self::of_finding(finding)),
            Output::Reset(reset) => Some(Self {
                // A listener's RST answers a segment from anywhere: it matches by itself, and decides nothing else.
                socket: (reset.state != State::Listen).then_some(reset.socket),
                task: reset.owner.task.as_ref(),
                cgroup: reset.owner.cgroup.as_ref(),
                is_final: true,
                ..Self::at(reset.identity)
            }),
            Output::TimeWaitEntry(entry) => Some(Self {
                socket: Some(entry.socket),
                task: entry.owner.task.as_ref(),
                cgroup: entry.owner.cgroup.as_ref(),
                is_final: true,
                ..Self::at(entry.identity)
            }),
            _ => None,
        }
    }

    /// The facts in a bind(2) that failed.
    pub fn of_bind_failure(failure: &'a BindFailure) -> Self {
        Self {
            task: failure.task.as_ref(),
            cgroup: failure.cgroup.as_ref(),
            has_no_remote: true,
            is_final: true,
            in_owners_call: true,
            ..Self::at(failure.identity)
        }
    }

    fn of_transition(transition: &'a Transition) -> Self {
        let is_unconnected = |state| matches!(state, State::Listen | State::Close);
        Self {
            socket: Some(transition.socket),
            task: transition.owner.task.as_ref(),
            cgroup: transition.owner.cgroup.as_ref(),
            has_no_remote: is_unconnected(transition.old) && is_unconnected(transition.new),
            is_close: transition.new == State::Close && transition.old != State::Close,
            is_final: transition.new == State::Close,
            ..Self::at(transition.identity)
        }
    }

    fn of_connection(connection: &'a Connection) -> Self {
        Self {
            socket: Some(connection.socket),
            task: connection.owner.task.as_ref(),
            cgroup: connection.owner.cgroup.as_ref(),
            is_close: true,
            is_final: true,
            ..Self::at(connection.identity)
        }
    }

    fn of_finding(finding: &'a Finding) -> Self {
        Self {
            socket: finding.socket,
            task: finding.owner.task.as_ref(),
            cgroup: finding.owner.cgroup.as_ref(),
            has_no_remote: finding.socket.is_none(),
            ..Self::at(finding.identity)
        }
    }

    /// The identity, and nothing else.
    fn at(identity: SocketIdentity) -> Self {
        Self {
            socket: None,
            identity,
            task: None,
            cgroup: None,
            has_no_remote: false,
            is_close: false,
            is_final: false,
            in_owners_call: false,
        }
    }

    /// Whether everything but the owner matches.
    pub fn matches(&self, sets: &FilterSets) -> Match {
        let SocketIdentity { netns, protocol, family, endpoints: Endpoints { local, remote } } =
            self.identity;
        // The kernel may have yet to pick the local port of a bind(2) or a connect(2).
        let local_port = |wanted: &Ports| port(local, wanted, Match::Unknown);
        let remote_port = |wanted: &Ports| port(remote, wanted, self.unknown_remote());
        [
            // A namespace that the kernel does not report at all does not exclude a socket.
            any(&sets.netns, |wanted| Match::of(netns.is_none_or(|netns| wanted.contains(&netns)))),
            any(&sets.families, |wanted| Match::of(wanted.contains(&family))),
            any(&sets.protocols, |wanted| Match::of(wanted.contains(&protocol))),
            any(&sets.local_ports, local_port),
            any(&sets.remote_ports, remote_port),
            any(&sets.ports, |wanted| local_port(wanted).or(remote_port(wanted))),
            any(&sets.networks, |wanted| self.addr(local, wanted).or(self.addr(remote, wanted))),
        ]
        .into_iter()
        .fold(Match::Yes, Match::and)
    }

    fn addr(&self, endpoint: Endpoint, wanted: &Networks) -> Match {
        let addr = endpoint.addr.to_canonical();
        if wanted.contain(addr) {
            return Match::Yes;
        }
        if addr.is_unspecified() { self.unknown_remote() } else { Match::No }
    }

    fn unknown_remote(&self) -> Match {
        if self.has_no_remote { Match::No } else { Match::Unknown }
    }
}

fn port(endpoint: Endpoint, wanted: &Ports, unknown: Match) -> Match {
    endpoint.port.map_or(unknown, |port| Match::of(wanted.contains(port.get())))
}

/// A kind of filter without entries matches everything.
fn any<S>(wanted: &Option<S>, matches: impl FnOnce(&S) -> Match) -> Match {
    wanted.as_ref().map_or(Match::Yes, matches)
}
