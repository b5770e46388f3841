//! Whose sockets are, by /proc.

use std::{
    collections::{HashMap, HashSet},
    ops::ControlFlow,
    sync::Arc,
};

use super::{cgroup::Cgroups, process, sock_diag::DiagSocket};
use crate::model::{DiagEntry, Known, Owner};

/// The owners of sockets, by the sockets' inode numbers, which are the host's: no two namespaces share one.
///
/// Of several holders the one with the lowest pid counts: the parent, where a descriptor was inherited. The
/// pids are those of this /proc.
#[derive(Default)]
pub(super) struct Owners {
    owners: Vec<Arc<Owner>>,
    /// Which of them holds a socket.
    by_inode: HashMap<u32, usize>,
    /// How many processes there were whose descriptors this user may not see.
    pub(super) hidden: usize,
}

impl Owners {
    /// Those of all sockets that processes hold.
    pub(super) fn of_all(cgroups: &mut Cgroups) -> Self {
        let (held, hidden) = process::all_sockets(&process::pids());
        let mut owners = Self { hidden, ..Self::default() };
        for (pid, inodes) in held {
            owners.add(pid, inodes, cgroups);
        }
        owners
    }

    /// Those of some sockets. The processes in the cgroups that the sockets were made in come first, which
    /// mostly spares looking at all the others.
    pub(super) fn of(sockets: &[DiagSocket], cgroups: &mut Cgroups) -> Self {
        let mut missing: HashSet<u32> = sockets.iter().filter_map(|socket| socket.inode).collect();
        let mut owners = Self::default();
        let made_in: HashSet<u64> = sockets.iter().filter_map(|socket| socket.cgroup).collect();
        let mut likely: Vec<u32> = made_in.into_iter().flat_map(|id| cgroups.members(id)).collect();
        likely.sort_unstable();
        owners.find(&likely, &mut missing, cgroups);
        if !missing.is_empty() {
            let others: Vec<u32> =
                process::pids().into_iter().filter(|pid| likely.binary_search(pid).is_err()).collect();
            owners.find(&others, &mut missing, cgroups);
        }
        owners
    }

    /// The socket as the model has it.
    pub(super) fn list(&self, netns: u32, socket: &DiagSocket) -> DiagEntry {
        socket.listed(netns, self.of_inode(socket.inode))
    }

    /// Who holds the socket with that inode number.
    pub(super) fn of_inode(&self, inode: Option<u32>) -> Arc<Owner> {
        let owner = inode.and_then(|inode| self.owners.get(*self.by_inode.get(&inode)?));
        owner.map_or_else(Owner::nobody, Arc::clone)
    }

    /// Looks through these processes until nothing is missing.
    fn find(&mut self, pids: &[u32], missing: &mut HashSet<u32>, cgroups: &mut Cgroups) {
        if missing.is_empty() {
            return;
        }
        self.hidden += process::visit_sockets(pids, |pid, inodes| {
            let found: Vec<u32> = inodes.iter().copied().filter(|inode| missing.remove(inode)).collect();
            if !found.is_empty() {
                self.add(pid, found, cgroups);
            }
            if missing.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }

    fn add(&mut self, pid: u32, inodes: impl IntoIterator<Item = u32>, cgroups: &mut Cgroups) {
        let Some(task) = process::task(pid) else { return };
        let number = self.owners.len();
        let owner = Owner { task: Some(task), cgroup: cgroups.of_process(pid), known: Known::Inferred };
        self.owners.push(Arc::new(owner));
        for inode in inodes {
            self.by_inode.entry(inode).or_insert(number);
        }
    }
}
