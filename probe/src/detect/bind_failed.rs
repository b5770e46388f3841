//! A bind(2) or listen(2) that failed, and who holds the port.

mod holder;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use foldhash::HashMap;

use self::holder::{Holders, describe};
use super::{
    connect_failed::{Exhausted, widen},
    detector::{Context, Detector, who},
    self_connect::{self, reserve},
};
use crate::model::{
    BindFailure, BindOptions, Cause, Conflict, DiagEntry, Edge, Endpoint, Errno, Finding, FindingKind, Host,
    Known, Mono, Owner, PortOrigin, Recent, SocketId, SocketIdentity, State, Transition, conflict,
};

/// Finds binds that failed, from their own event, and listens that failed, from the transition back to CLOSE.
pub struct BindFailed {
    host: Host,
    /// The listening sockets, by number.
    listeners: HashMap<u64, DiagEntry>,
    /// When each attempt was last reported: a server that fails to start tries several times.
    reported: Recent<Attempt, Mono>,
}

/// After how long an attempt that fails as before is reported again.
const REPEAT: Duration = Duration::from_secs(60);

/// The maximum number of attempts that are remembered.
const MAX_ATTEMPTS: usize = 1 << 10;

/// A process's attempt to bind an address. The same attempt fails again for the same reason.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Attempt {
    pid: u32,
    netns: Option<u32>,
    local: Endpoint,
    errno: Errno,
    /// The cookies of the holders.
    holders: Vec<u64>,
}

impl BindFailed {
    /// A detector for a stream from this host.
    pub fn new(host: &Host) -> Self {
        Self { host: host.clone(), listeners: HashMap::default(), reported: Recent::new(MAX_ATTEMPTS) }
    }

    /// Whether the same attempt was reported a moment ago.
    fn is_repeated(&mut self, failure: &BindFailure) -> bool {
        let Some(task) = &failure.task else { return false };
        let (holders, _) = failure.conflicting_holders();
        let attempt = Attempt {
            pid: task.pid,
            netns: failure.identity.netns,
            local: failure.local(),
            errno: failure.errno,
            holders: holders.iter().map(|row| row.cookie).collect(),
        };
        let is_repeated =
            self.reported.last(&attempt).is_some_and(|reported| failure.at.since(*reported) < REPEAT);
        if !is_repeated {
            self.reported.push(attempt, failure.at);
        }
        is_repeated
    }

    /// Why bind failed, as a clause, and the remedy.
    fn reason(&self, failure: &BindFailure) -> (String, Option<String>) {
        let port = failure.local().port_or_zero();
        let range = self.host.ephemeral_in(failure.identity.netns);
        match failure.errno {
            Errno::EADDRINUSE if port == 0 => {
                ("EADDRINUSE, no ephemeral port is free".to_owned(), Some(widen(range, Exhausted::Bind)))
            }
            Errno::EADDRINUSE => {
                let holders = Holders::of(failure, &self.host);
                let is_ephemeral = range.is_none_or(|range| range.contains(&port));
                let remedy = release(&holders, failure, is_ephemeral);
                (format!("EADDRINUSE, {holders}"), remedy)
            }
            errno => (format!("{errno}{}", meaning(errno, port)), remedy(errno, port)),
        }
    }

    /// The listeners that may keep this socket from listening: one at the same address if there is one, else all at
    /// addresses that overlap.
    fn conflicting_listeners(&self, transition: &Transition) -> Vec<&DiagEntry> {
        let Transition { identity, socket, cookie, .. } = transition;
        let mut listeners: Vec<&DiagEntry> = self
            .listeners
            .iter()
            .filter(|(number, row)| {
                **number != socket.number
                    && Some(**number) != *cookie
                    && Some(row.identity.netns) == identity.netns
                    && row.identity.endpoints.local.port == identity.endpoints.local.port
                    && conflict(identity, &BindOptions::default(), row) != Conflict::No
            })
            .map(|(_, row)| row)
            .collect();
        listeners.sort_unstable_by_key(|row| row.cookie);
        let is_same = |row: &&DiagEntry| row.identity.endpoints.local == identity.endpoints.local;
        match listeners.iter().position(is_same) {
            Some(index) => vec![listeners[index]],
            None => listeners,
        }
    }
}

impl Detector for BindFailed {
    fn watches(&self, edge: Edge) -> bool {
        matches!(edge, (_, State::Listen) | (State::Listen, State::Close))
    }

    fn observe(&mut self, context: &Context<'_>) -> Option<Finding> {
        let transition = context.transition;
        match transition.edge() {
            (_, State::Listen) => {
                if let Some(row) = listening(transition) {
                    self.listeners.insert(transition.socket.number, row);
                }
                None
            }
            (State::Listen, State::Close) => {
                self.listeners.remove(&transition.socket.number);
                transition.cookie.and_then(|cookie| self.listeners.remove(&cookie));
                (transition.cause == Some(Cause::ListenFailed)).then(|| {
                    let listeners: Vec<String> =
                        self.conflicting_listeners(transition).into_iter().map(describe).collect();
                    let holder = match listeners.is_empty() {
                        true => "another socket listens on the same port".to_owned(),
                        false => listeners.join(", or "),
                    };
                    let owner = who(&transition.owner);
                    let local = transition.identity.endpoints.local;
                    let message = format!(
                        "{owner} could not listen on {local}, to which it is bound: EADDRINUSE, {holder}"
                    );
                    context.finding(FindingKind::BindFailed, message)
                })
            }
            _ => None,
        }
    }

    fn existing(&mut self, _at: Mono, sockets: &[DiagEntry]) {
        for socket in sockets.iter().filter(|socket| socket.state == State::Listen) {
            self.listeners.insert(socket.cookie, socket.clone());
        }
    }

    fn bind_failed(&mut self, failure: &BindFailure) -> Option<Finding> {
        if self.is_repeated(failure) {
            return None;
        }
        let known = if failure.task.is_some() { Known::Exact } else { Known::Unknown };
        let owner = Owner { task: failure.task.clone(), cgroup: failure.cgroup.clone(), known };
        let (reason, remedy) = self.reason(failure);
        Some(Finding {
            kind: FindingKind::BindFailed,
            at: failure.at,
            socket: failure.cookie.map(|number| SocketId { number, generation: 0 }),
            identity: failure.identity,
            message: format!("{} could not bind {}: {reason}", who(&owner), failure.local()),
            owner: owner.into(),
            remedy,
            evidence: Vec::new(),
        })
    }

    /// Any of them may have stopped listening.
    fn lost(&mut self) {
        self.listeners.clear();
    }
}

/// The socket that enters LISTEN, as sock_diag would list it; `None` without its namespace.
fn listening(transition: &Transition) -> Option<DiagEntry> {
    let SocketIdentity { netns, protocol, family, endpoints } = transition.identity;
    let identity = SocketIdentity { netns: netns?, protocol, family, endpoints };
    Some(DiagEntry::new(transition.socket.number, identity, State::Listen, Arc::clone(&transition.owner)))
}

/// How to keep the holders from holding the port. `is_ephemeral`: whether the kernel may have picked it for one of them.
fn release(holders: &Holders<'_>, failure: &BindFailure, is_ephemeral: bool) -> Option<String> {
    let port = failure.local().port_or_zero();
    if holders.any_self_connected() {
        return Some(self_connect::remedy(port, None, is_ephemeral));
    }
    // Of an outgoing connection, alive or in TIME_WAIT: SO_REUSEADDR would have to be set on that socket, too.
    if holders.all(|row| row.port_origin == Some(PortOrigin::Picked)) {
        return Some(reserve(port));
    }
    let reuse = if failure.options.reuse_addr == Some(true) { REUSE_THERE } else { REUSE };
    if holders.all(|row| row.port_origin == Some(PortOrigin::Accepted) || (row.is_mini() && !is_ephemeral)) {
        return Some(reuse.to_owned());
    }
    let is_known = |row: &DiagEntry| row.is_mini() && row.port_origin == Some(PortOrigin::Bound);
    if holders.all(is_known) {
        return Some(reuse.to_owned());
    }
    holders.all(DiagEntry::is_mini).then(|| {
        format!(
            "if the kernel picked the port for an outgoing connection, {}; if not, {reuse}",
            reserve(port)
        )
    })
}

/// A TIME_WAIT mini-socket inherits SO_REUSEADDR from the socket that it replaces.
const REUSE: &str = "set SO_REUSEADDR before every bind: it works only where the holder's socket had it too";

/// The same where the socket that failed to bind has it.
const REUSE_THERE: &str =
    "set SO_REUSEADDR before the bind of the holder's socket, too: this one has it, and both need it";

/// What an error of `inet_bind` and `inet6_bind` means.
fn meaning(errno: Errno, port: u16) -> &'static str {
    match errno {
        Errno::EACCES if is_privileged(port) => {
            ", a port below net.ipv4.ip_unprivileged_port_start (default 1024) requires CAP_NET_BIND_SERVICE"
        }
        Errno::EACCES => {
            ", a security module denied it, or net.ipv4.ip_unprivileged_port_start is above the port"
        }
        Errno::EADDRNOTAVAIL => ", no interface in its network namespace has the address",
        Errno::EAFNOSUPPORT => ", the address family differs from the socket's",
        Errno::EINVAL => ", the socket is already bound, or the address is not valid for it",
        Errno::ENODEV => ", a link-local address requires a scope id (its interface)",
        Errno::EPERM => ", a BPF program or a security module denied it",
        _ => "",
    }
}

fn remedy(errno: Errno, port: u16) -> Option<String> {
    match errno {
        Errno::EACCES if is_privileged(port) => Some(format!(
            "grant the process CAP_NET_BIND_SERVICE, or run sysctl -w net.ipv4.ip_unprivileged_port_start={port}"
        )),
        Errno::EADDRNOTAVAIL => Some(
            "add the address to an interface; to bind before it is there, set IP_FREEBIND, or run sysctl -w \
             net.ipv4.ip_nonlocal_bind=1 (for IPv6 net.ipv6.ip_nonlocal_bind)"
                .to_owned(),
        ),
        _ => None,
    }
}

/// Whether the port is below the default of `net.ipv4.ip_unprivileged_port_start`.
fn is_privileged(port: u16) -> bool {
    (1..1024).contains(&port)
}
