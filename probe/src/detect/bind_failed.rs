//! A bind(2) or a listen(2) that was refused, and who has the port.

mod holder;
#[cfg(test)]
mod tests;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use foldhash::HashMap;

use self::holder::Holders;
use super::{Context, Detector, connect_failed::widen, self_connect, who};
use crate::model::{
    BindFailure, Cause, DiagEntry, Edge, Endpoint, Endpoints, Errno, Finding, FindingKind, Host, Known, Mono,
    Owner, SocketId, State, Transition,
};

/// Takes refusals of bind as they are told; a refusal of listen is the transition back to CLOSE.
pub struct BindFailed {
    host: Host,
    /// The sockets that listen, by their numbers.
    listeners: HashMap<u64, Listener>,
}

struct Listener {
    netns: Option<u32>,
    local: Endpoint,
    owner: Arc<Owner>,
}

impl BindFailed {
    /// A detector for a stream that was taken on this host.
    pub fn new(host: &Host) -> Self {
        Self { host: host.clone(), listeners: HashMap::default() }
    }

    /// Why bind was refused, in a clause, and the remedy.
    fn why(&self, failure: &BindFailure) -> (String, Option<String>) {
        let port = failure.local.port_or_zero();
        let range = self.host.ephemeral_in(failure.netns);
        match failure.errno {
            Errno::EADDRINUSE if port == 0 => {
                let why = "no ephemeral port is left to give it (EADDRINUSE)".to_owned();
                (why, Some(widen(range)))
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
            errno => (format!("{errno}{}", words(errno, port)), remedy(errno, port)),
        }
    }

    /// Who listens where this socket was refused to.
    fn rival(&self, transition: &Transition) -> Option<&Listener> {
        let local = transition.ends.local;
        let is_rival = |number: u64, listener: &Listener| {
            number != transition.socket.number
                && Some(number) != transition.cookie
                && listener.netns == transition.netns
                && listener.local.port == local.port
                && listener.local.may_conflict(local)
        };
        self.listeners.iter().find(|(number, listener)| is_rival(**number, listener)).map(|(_, found)| found)
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
                let Transition { netns, ends: Endpoints { local, .. }, ref owner, .. } = *transition;
                self.listeners
                    .insert(transition.socket.number, Listener { netns, local, owner: owner.clone() });
                None
            }
            (State::Listen, State::Close) => {
                self.listeners.remove(&transition.socket.number);
                transition.cookie.and_then(|cookie| self.listeners.remove(&cookie));
                (transition.cause == Some(Cause::ListenFailed)).then(|| {
                    let rival = self.rival(transition).map_or_else(
                        || "another socket listens there".to_owned(),
                        |rival| format!("{} listens on {}", who(&rival.owner), rival.local),
                    );
                    let owner = who(&transition.owner);
                    let local = transition.ends.local;
                    let message =
                        format!("{owner} was bound to {local} and could not listen: EADDRINUSE, {rival}");
                    context.finding(FindingKind::BindFailed, message)
                })
            }
            _ => None,
        }
    }

    fn existing(&mut self, _at: Mono, sockets: &[DiagEntry]) {
        for socket in sockets.iter().filter(|socket| socket.state == State::Listen) {
            let DiagEntry { netns, ends: Endpoints { local, .. }, ref owner, .. } = *socket;
            let listener = Listener { netns: Some(netns), local, owner: Arc::clone(owner) };
            self.listeners.insert(socket.cookie, listener);
        }
    }

    fn bind_failed(&mut self, failure: &BindFailure) -> Option<Finding> {
        let known = if failure.task.is_some() { Known::Exact } else { Known::Unknown };
        let owner = Owner { task: failure.task.clone(), cgroup: failure.cgroup.clone(), known };
        let (why, remedy) = self.why(failure);
        Some(Finding {
            kind: FindingKind::BindFailed,
            at: failure.at,
            socket: failure.cookie.map(|number| SocketId { number, generation: 0 }),
            netns: failure.netns,
            ends: Endpoints { local: failure.local, remote: nowhere(failure.local.addr) },
            message: format!("{} could not bind {}: {why}", who(&owner), failure.local),
            owner: owner.into(),
            remedy,
            evidence: Vec::new(),
        })
    }

    /// Any of them may listen no more.
    fn lost(&mut self) {
        self.listeners.clear();
    }
}

/// A TIME_WAIT keeps the flag of the socket that it was made from.
const REUSE: &str =
    "set SO_REUSEADDR before bind, each time: it helps where the socket that left it had it, too";

/// What an error of bind means, for `inet_bind` and `inet6_bind`.
fn words(errno: Errno, port: u16) -> &'static str {
    match errno {
        Errno::EACCES if is_privileged(port) => {
            ", a port below net.ipv4.ip_unprivileged_port_start (1024 unless it is set) takes CAP_NET_BIND_SERVICE"
        }
        Errno::EACCES => ", a security module forbids it, or net.ipv4.ip_unprivileged_port_start is above it",
        Errno::EADDRNOTAVAIL => ", no interface of its namespace has that address",
        Errno::EAFNOSUPPORT => ", the address is of another family than the socket",
        Errno::EINVAL => ", the socket is bound already, or the address does not fit it",
        Errno::ENODEV => ", a link-local address takes the interface that it is on",
        Errno::EPERM => ", a BPF program or a security module forbids it",
        _ => "",
    }
}

fn remedy(errno: Errno, port: u16) -> Option<String> {
    match errno {
        Errno::EACCES if is_privileged(port) => Some(format!(
            "give it CAP_NET_BIND_SERVICE, or sysctl -w net.ipv4.ip_unprivileged_port_start={port}"
        )),
        Errno::EADDRNOTAVAIL => Some(
            "give an interface the address; where it comes later, sysctl -w net.ipv4.ip_nonlocal_bind=1 (ipv6: \
             net.ipv6.ip_nonlocal_bind) or IP_FREEBIND lets bind go ahead"
                .to_owned(),
        ),
        _ => None,
    }
}

/// Below what `net.ipv4.ip_unprivileged_port_start` is where nobody set it.
fn is_privileged(port: u16) -> bool {
    (1..1024).contains(&port)
}

/// The other end of a socket that has none.
fn nowhere(local: IpAddr) -> Endpoint {
    let addr = match local {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    Endpoint::new(addr, 0)
}
