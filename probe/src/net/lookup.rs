//! Questions about sockets while a trace runs: who has a port, what stayed of a connection.

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

/// How many namespaces are kept ready for the next question.
const MOST_OPEN: usize = 64;
/// For how long. An open netlink socket keeps its namespace alive, and so the devices of a container that has
/// ended.
const READY_FOR: Duration = Duration::from_secs(1);
/// For how long holders may be asked for without a pause, and the part of the time after that: one in so many.
/// A server may try to get its port in an endless loop.
const BURST: Duration = Duration::from_millis(100);
const SHARE: u32 = 5;

/// Asks sock_diag in any reachable namespace, and keeps the sockets to ask with for a short while.
///
/// A namespace that is gone or out of reach is nothing special: nothing is known of its sockets.
pub struct Lookup {
    namespaces: Namespaces,
    cgroups: Cgroups,
    /// The namespace of this process, which lives as long as it does.
    home: Option<u32>,
    open: HashMap<u32, Open>,
    /// The last question for holders, and its answer.
    last: Option<(u32, u16, Vec<DiagEntry>)>,
    /// How much of [`BURST`] has gone, and when it was seen to.
    spent: Duration,
    settled: Instant,
}

struct Open {
    diag: SockDiag,
    used: Instant,
}

impl Lookup {
    /// A way to ask in the namespaces that can be reached, and in those that come later.
    #[must_use]
    pub fn new() -> Self {
        let home = Namespace::host().ok().map(|namespace| namespace.inode());
        let (namespaces, cgroups) = (Namespaces::reachable(), Cgroups::new());
        let (spent, settled) = (Duration::ZERO, Instant::now());
        Self { namespaces, cgroups, home, open: HashMap::new(), last: None, spent, settled }
    }

    /// All TCP and MPTCP sockets with this local port, in every state, with their owners. Of sockets that are
    /// only bound (CLOSE) the kernel tells since Linux 6.8.
    ///
    /// It takes the kernel's walk over its tables, and a look into the descriptors of the processes that are
    /// in the cgroups of the sockets: some milliseconds. Where no process there has them, all are looked at.
    /// Whoever asks the same over and over gets the last answer.
    pub fn holders(&mut self, netns: u32, port: u16) -> Vec<DiagEntry> {
        let begin = Instant::now();
        self.spent = self.spent.saturating_sub((begin - self.settled) / SHARE);
        self.settled = begin;
        if self.spent > BURST
            && let Some((_, _, last)) = self.last.as_ref().filter(|last| (last.0, last.1) == (netns, port))
        {
            return last.clone();
        }
        let holders = self.find_holders(netns, port);
        self.spent += begin.elapsed();
        self.last = Some((netns, port, holders.clone()));
        holders
    }

    fn find_holders(&mut self, netns: u32, port: u16) -> Vec<DiagEntry> {
        let Some(sockets) = self.ask(netns, |diag| diag.with_local_port(port).ok()) else {
            return Vec::new();
        };
        let inodes = sockets.iter().filter_map(|socket| socket.inode);
        let created_in = sockets.iter().filter_map(|socket| socket.cgroup);
        let owners = Owners::of_sockets(inodes, created_in, &mut self.cgroups);
        sockets.iter().map(|socket| socket.listed(netns, owners.of_inode(socket.inode))).collect()
    }

    /// What stays of a connection that has ended, and for how long: TIME_WAIT, or FIN_WAIT2 for the mini-socket
    /// that an orphan leaves. `ends` are the socket's own, from its side.
    ///
    /// It takes microseconds: the kernel looks into one place of its table. Only for link-local addresses it
    /// must walk all of it, since the socket is bound to a device; other sockets that are bound to a device are
    /// not found.
    pub fn remains(&mut self, netns: u32, ends: Endpoints, family: Family) -> Option<(State, Duration)> {
        let found = self.ask(netns, |diag| {
            let exact = diag.one(family, ends).ok()?;
            if exact.is_some() || !is_link_local(ends) {
                return exact;
            }
            let port = ends.local.port?.get();
            let all = diag.with_local_port(port).ok()?;
            all.into_iter().find(|socket| socket.ends == ends && socket.expires.is_some())
        })?;
        Some((found.state, found.expires?))
    }

    /// Lets go of the namespaces that nobody asked about lately, so that they can go. To be called now and
    /// then, such as every second.
    pub fn tidy(&mut self) {
        let home = self.home;
        self.open.retain(|netns, open| Some(*netns) == home || open.used.elapsed() < READY_FOR);
    }

    fn ask<T>(&mut self, netns: u32, question: impl FnOnce(&mut SockDiag) -> Option<T>) -> Option<T> {
        if !self.open.contains_key(&netns) {
            self.tidy();
            let diag = self.namespaces.get(netns)?.enter(SockDiag::open).ok()?.ok()?;
            if self.open.len() >= MOST_OPEN {
                let oldest = self.open.iter().min_by_key(|(_, open)| open.used).map(|(netns, _)| *netns);
                self.open.remove(&oldest?);
            }
            self.open.insert(netns, Open { diag, used: Instant::now() });
        }
        let open = self.open.get_mut(&netns)?;
        open.used = Instant::now();
        question(&mut open.diag)
    }
}

impl Default for Lookup {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether a connection with these ends must be on one device (RFC 4291 §2.5.6).
fn is_link_local(ends: Endpoints) -> bool {
    [ends.local, ends.remote].iter().any(|end| match end.addr {
        IpAddr::V4(_) => false,
        IpAddr::V6(addr) => addr.is_unicast_link_local(),
    })
}

#[cfg(test)]
mod tests;
