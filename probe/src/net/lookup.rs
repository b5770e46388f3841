//! Queries about sockets during a trace: the holders of a port, the TIME_WAIT of a closed connection.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use super::{Namespace, namespaces::Namespaces, sock_diag::SockDiag};
use crate::{
    model::{DiagEntry, Endpoints, Family, State},
    os::{cgroup::Cgroups, owners::Owners},
};

/// The most namespaces with an open netlink socket.
const MAX_OPEN: usize = 64;
/// How long an unused netlink socket stays open. It keeps its namespace alive, and with it the devices of a container
/// that has exited.
const IDLE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long queries for holders may take without a pause, and after that their share of the time: one part in this many.
/// A server may retry its bind in an endless loop.
const BURST: Duration = Duration::from_millis(100);
const SHARE: u32 = 5;

/// Queries sock_diag in any reachable namespace and keeps the netlink sockets open for a short time.
///
/// For a namespace that no longer exists or cannot be entered, queries return nothing.
pub struct Lookup {
    namespaces: Namespaces,
    cgroups: Cgroups,
    /// The namespace of this process, whose netlink socket stays open.
    home: Option<u32>,
    open: HashMap<u32, Open>,
    /// The last query for holders, and its answer.
    last: Option<(u32, u16, Option<Vec<DiagEntry>>)>,
    /// The used part of [`BURST`], and when it was last updated.
    spent: Duration,
    updated: Instant,
}

struct Open {
    diag: SockDiag,
    last_used: Instant,
}

impl Lookup {
    /// A lookup in all reachable namespaces, and in those created later.
    #[must_use]
    pub fn new() -> Self {
        let home = Namespace::host().ok().map(|namespace| namespace.inode());
        let (namespaces, cgroups) = (Namespaces::reachable(), Cgroups::new());
        let (spent, updated) = (Duration::ZERO, Instant::now());
        Self { namespaces, cgroups, home, open: HashMap::new(), last: None, spent, updated }
    }

    /// All TCP and MPTCP sockets with this local port, in every state, with their owners. The kernel lists bound-only
    /// sockets (CLOSE) since Linux 6.8.
    ///
    /// `None` where the namespace does not exist any more or cannot be entered.
    ///
    /// Takes some milliseconds: the kernel walks its tables, and the descriptors of the processes in the sockets' cgroups
    /// are searched, or those of all processes if none of these holds the sockets. When the same query repeats too often,
    /// it returns the last answer.
    pub fn holders(&mut self, netns: u32, port: u16) -> Option<Vec<DiagEntry>> {
        let start = Instant::now();
        self.spent = self.spent.saturating_sub((start - self.updated) / SHARE);
        self.updated = start;
        if self.spent > BURST
            && let Some((_, _, last)) = self.last.as_ref().filter(|last| (last.0, last.1) == (netns, port))
        {
            return last.clone();
        }
        let holders = self.find_holders(netns, port);
        self.spent += start.elapsed();
        self.last = Some((netns, port, holders.clone()));
        holders
    }

    fn find_holders(&mut self, netns: u32, port: u16) -> Option<Vec<DiagEntry>> {
        let sockets = self.query(netns, |diag| diag.with_local_port(port).ok())?;
        let inodes = sockets.iter().filter_map(|socket| socket.inode);
        let created_in = sockets.iter().filter_map(|socket| socket.cgroup);
        let owners = Owners::of_sockets(inodes, created_in, &mut self.cgroups);
        Some(sockets.iter().map(|socket| socket.entry(netns, owners.of_inode(socket.inode))).collect())
    }

    /// The state and remaining time of the mini-socket that a closed connection left: TIME_WAIT, or FIN_WAIT2 for an
    /// orphan's. `endpoints` are the endpoints as the socket had them.
    ///
    /// Takes microseconds: the kernel looks up one hash bucket. Only for link-local addresses must it walk the whole
    /// table, since the socket is bound to a device; other sockets bound to a device are not found.
    pub fn mini_socket(
        &mut self,
        netns: u32,
        endpoints: Endpoints,
        family: Family,
    ) -> Option<(State, Duration)> {
        let found = self.query(netns, |diag| {
            let exact = diag.one(family, endpoints).ok()?;
            if exact.is_some() || !is_link_local(endpoints) {
                return exact;
            }
            let port = endpoints.local.port?.get();
            let all = diag.with_local_port(port).ok()?;
            all.into_iter().find(|socket| socket.endpoints == endpoints && socket.expires.is_some())
        })?;
        Some((found.state, found.expires?))
    }

    /// Closes netlink sockets that were not used recently, so that their namespaces can vanish. To be called
    /// regularly, such as every second.
    pub fn close_idle(&mut self) {
        let home = self.home;
        self.open.retain(|netns, open| Some(*netns) == home || open.last_used.elapsed() < IDLE_TIMEOUT);
    }

    fn query<T>(&mut self, netns: u32, query: impl FnOnce(&mut SockDiag) -> Option<T>) -> Option<T> {
        if !self.open.contains_key(&netns) {
            self.close_idle();
            let diag = self.namespaces.get(netns)?.enter(SockDiag::open).ok()?.ok()?;
            if self.open.len() >= MAX_OPEN {
                let oldest = self.open.iter().min_by_key(|(_, open)| open.last_used).map(|(netns, _)| *netns);
                self.open.remove(&oldest?);
            }
            self.open.insert(netns, Open { diag, last_used: Instant::now() });
        }
        let open = self.open.get_mut(&netns)?;
        open.last_used = Instant::now();
        query(&mut open.diag)
    }
}

impl Default for Lookup {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether an endpoint is link-local, so that the socket is bound to a device (RFC 4291 §2.5.6).
fn is_link_local(endpoints: Endpoints) -> bool {
    [endpoints.local, endpoints.remote].iter().any(|end| match end.addr {
        IpAddr::V4(_) => false,
        IpAddr::V6(addr) => addr.is_unicast_link_local(),
    })
}

#[cfg(test)]
mod tests;
