//! Owners that many sockets share, in memory once.

use std::sync::Arc;

use foldhash::HashMap;

use crate::model::{Known, Owner, Task};

/// The maximum number of owners in the cache.
const MAX: usize = 1024;

/// The last owner of each process, by how it is known: a process opens many sockets, mostly in sequence.
#[derive(Debug, Default)]
pub struct OwnerCache(HashMap<(u32, Known), Arc<Owner>>);

impl OwnerCache {
    /// The process's last owner, where it equals this one. Compares cgroups by id: [`clear`](Self::clear) when a path becomes
    /// known.
    pub fn find(&self, task: &Task, cgroup: Option<u64>, known: Known) -> Option<Arc<Owner>> {
        let is_equal = |owner: &&Arc<Owner>| {
            owner.task.as_ref() == Some(task) && owner.cgroup.as_ref().map(|cgroup| cgroup.id) == cgroup
        };
        self.0.get(&(task.pid, known)).filter(is_equal).cloned()
    }

    /// Removes all owners, since a cgroup's path became known.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// A shared owner that equals this one.
    pub fn share(&mut self, owner: Owner) -> Arc<Owner> {
        let Some(task) = &owner.task else { return Owner::unknown() };
        let key = (task.pid, owner.known);
        if let Some(shared) = self.0.get(&key).filter(|shared| ***shared == owner) {
            return Arc::clone(shared);
        }
        if self.0.len() == MAX {
            self.0.clear();
        }
        let shared = Arc::new(owner);
        self.0.insert(key, Arc::clone(&shared));
        shared
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::owner;

    #[test]
    fn equal_owners_share_one_allocation() {
        let mut owners = OwnerCache::default();
        // A server that connects to its own listener: each connection has one socket of each kind.
        let all: Vec<_> = (0..9)
            .flat_map(|_| {
                [Known::Exact, Known::Listener].map(|known| owners.share(owner(1, "server", known)))
            })
            .collect();
        assert_eq!(*all[0], owner(1, "server", Known::Exact));
        assert_eq!(*all[1], owner(1, "server", Known::Listener));
        assert!(all.iter().all(|one| Arc::strong_count(one) == 10));
        assert_eq!(*owners.share(owner(1, "renamed", Known::Exact)), owner(1, "renamed", Known::Exact));
        assert_eq!(*owners.share(Owner::UNKNOWN), Owner::UNKNOWN);
    }

    #[test]
    fn the_cache_is_bounded() {
        let mut owners = OwnerCache::default();
        (0..2 * MAX as u32).for_each(|pid| drop(owners.share(owner(pid, "one of many", Known::Exact))));
        assert!(owners.0.len() <= MAX);
    }
}
