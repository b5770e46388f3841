//! A bind(2) or listen(2) that failed, and who holds the port.

mod holder;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use foldhash::HashMap;

use self::holder::Holders;
use super::{
    connect_failed::widen,
    detector::{Context, Detector, who},
    self_connect,
};
use crate::model::{
    BindFailure, Cause, DiagEntry, Edge, Endpoint, Errno, Finding, FindingKind, Host, Known, Mono, Owner,
    SocketId, SocketIdentity, State, Transition,
};

/// Finds binds that failed, from their own event, and listens that failed, from the transition back to CLOSE.
pub struct BindFailed {
    host: Host,
    /// The listening sockets, by number.
    listeners: HashMap<u64, Listener>,
}

struct Listener {
    netns: Option<u32>,
    local: Endpoint,
    owner: Arc<Owner>,
}

impl Listener {
    fn new(identity: SocketIdentity, owner: &Arc<Owner>) -> Self {
        Self { netns: identity.netns, local: identity.endpoints.local, owner: Arc::clone(owner) }
    }
}

impl BindFailed {
    /// A detector for a stream from this host.
    pub fn new(host: &Host) -> Self {
        Self { host: host.clone(), listeners: HashMap::default() }
    }

    /// Why bind failed, as a clause, and the remedy.
    fn reason(&self, failure: &BindFailure) -> (String, Option<String>) {
        let port = failure.local().port_or_zero();
        let range = self.host.ephemeral_in(failure.identity.netns);
        match failure.errno {
            Errno::EADDRINUSE if port == 0 => {
                ("EADDRINUSE, no ephemeral port is free".to_owned(), Some(widen(range)))
            }
            Errno::EADDRINUSE => {
                let holders = Holders::of(failure);
                let is_ephemeral = range.is_none_or(|range| range.contains(&port));
                let remedy = if holders.any_self_connected() {
                    Some(self_connect::remedy(port, None, is_ephemeral))
                } else {
                    holders.all_mini().then(|| REUSE.to_owned())
                };
                (format!("EADDRINUSE, {holders}"), remedy)
            }
            errno => (format!("{errno}{}", meaning(errno, port)), remedy(errno, port)),
        }
    }

    /// The listener that keeps this socket from listening.
    fn conflicting_listener(&self, transition: &Transition) -> Option<&Listener> {
        let local = transition.identity.endpoints.local;
        let conflicts = |number: u64, listener: &Listener| {
            number != transition.socket.number
                && Some(number) != transition.cookie
                && listener.netns == transition.identity.netns
                && listener.local.port == local.port
                && listener.local.may_conflict(local)
        };
        self.listeners.iter().find(|(number, listener)| conflicts(**number, listener)).map(|(_, found)| found)
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
                let listener = Listener::new(transition.identity, &transition.owner);
                self.listeners.insert(transition.socket.number, listener);
                None
            }
            (State::Listen, State::Close) => {
                self.listeners.remove(&transition.socket.number);
                transition.cookie.and_then(|cookie| self.listeners.remove(&cookie));
                (transition.cause == Some(Cause::ListenFailed)).then(|| {
                    let holder = self.conflicting_listener(transition).map_or_else(
                        || "another socket listens on the same port".to_owned(),
                        |listener| format!("{} listens on {}", who(&listener.owner), listener.local),
                    );
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
            self.listeners.insert(socket.cookie, Listener::new(socket.identity.into(), &socket.owner));
        }
    }

    fn bind_failed(&mut self, failure: &BindFailure) -> Option<Finding> {
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

/// A TIME_WAIT mini-socket inherits SO_REUSEADDR from the socket that it replaces.
const REUSE: &str =
    "set SO_REUSEADDR before every bind: it works only where the socket that left the TIME_WAIT had it too";

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
