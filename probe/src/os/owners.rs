//! The owners of sockets, from the descriptors in /proc.

use std::{
    collections::{HashMap, HashSet},
    ops::ControlFlow,
    sync::Arc,
};

use super::{cgroup::Cgroups, process};
use crate::model::{Known, Owner};

/// The owners of sockets, by the sockets' inode numbers, which are unique on the host, across network namespaces.
///
/// Of several holders of a descriptor, the owner is the one with the lowest pid: the parent, where a child inherited it.
/// Pids are those of this process's /proc.
#[derive(Default)]
pub(crate) struct Owners {
    owners: Vec<Arc<Owner>>,
    /// From a socket's inode number to the index of its owner.
    by_inode: HashMap<u32, usize>,
    /// Processes whose descriptors this user may not read.
    pub(crate) hidden: usize,
}

impl Owners {
    /// The owners of all sockets that any process holds.
    pub(crate) fn of_all(cgroups: &mut Cgroups) -> Self {
        let (held, hidden) = process::all_sockets(&process::pids());
        let mut owners = Self { hidden, ..Self::default() };
        for (pid, inodes) in held {
            owners.add(pid, inodes, cgroups);
        }
        owners
    }

    /// The owners of the sockets with these inode numbers. The processes in the cgroups that the sockets were created in
    /// are searched first, which mostly avoids searching all others.
    pub(crate) fn of_sockets(
        inodes: impl IntoIterator<Item = u32>,
        created_in: impl IntoIterator<Item = u64>,
        cgroups: &mut Cgroups,
    ) -> Self {
        let mut missing: HashSet<u32> = inodes.into_iter().collect();
        let mut owners = Self::default();
        let created_in: HashSet<u64> = created_in.into_iter().collect();
        let mut likely: Vec<u32> = created_in.into_iter().flat_map(|id| cgroups.members(id)).collect();
        likely.sort_unstable();
        owners.find(&likely, &mut missing, cgroups);
        if !missing.is_empty() {
            let others: Vec<u32> =
                process::pids().into_iter().filter(|pid| likely.binary_search(pid).is_err()).collect();
            owners.find(&others, &mut missing, cgroups);
        }
        owners
    }

    /// The owner of the socket with this inode number; [`Owner::unknown`] where no process is known to hold it.
    pub(crate) fn of_inode(&self, inode: Option<u32>) -> Arc<Owner> {
        let owner = inode.and_then(|inode| self.owners.get(*self.by_inode.get(&inode)?));
        owner.map_or_else(Owner::unknown, Arc::clone)
    }

    /// Searches these processes until nothing is missing.
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
        let index = self.owners.len();
        let owner = Owner { task: Some(task), cgroup: cgroups.of_process(pid), known: Known::Inferred };
        self.owners.push(Arc::new(owner));
        for inode in inodes {
            self.by_inode.entry(inode).or_insert(index);
        }
    }
}
