//! Owners that many sockets have, in memory once.

use std::sync::Arc;

use foldhash::HashMap;

use crate::model::{Known, Owner, Task};

/// How many owners are kept to be shared.
const MOST: usize = 1024;

/// The last owner of each process, as the process and as a listener: its sockets are many, and mostly one after the other.
#[derive(Debug, Default)]
pub struct Shared(HashMap<(u32, Known), Arc<Owner>>);

impl Shared {
    /// The owner that this is, where it was the process's last. Its cgroup is known by the id, until a path is told.
    pub fn find(&self, task: &Task, cgroup: Option<u64>, known: Known) -> Option<Arc<Owner>> {
        let is_the_same = |owner: &&Arc<Owner>| {
            owner.task.as_ref() == Some(task) && owner.cgroup.as_ref().map(|cgroup| cgroup.id) == cgroup
        };
        self.0.get(&(task.pid, known)).filter(is_the_same).cloned()
    }

    /// A path was told: from here on, owners have it.
    pub fn forget(&mut self) {
        self.0.clear();
    }

    /// The same owner in memory once.
    pub fn share(&mut self, owner: Owner) -> Arc<Owner> {
        let Some(task) = &owner.task else { return Owner::nobody() };
        let key = (task.pid, owner.known);
        if let Some(shared) = self.0.get(&key).filter(|shared| ***shared == owner) {
            return Arc::clone(shared);
        }
        if self.0.len() == MOST {
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
    fn an_owner_takes_memory_once() {
        let mut shared = Shared::default();
        // A server that connects to itself: each of its connections has one end of each kind.
        let all: Vec<_> = (0..9)
            .flat_map(|_| {
                [Known::Exact, Known::Listener].map(|known| shared.share(owner(1, "server", known)))
            })
            .collect();
        assert_eq!(*all[0], owner(1, "server", Known::Exact));
        assert_eq!(*all[1], owner(1, "server", Known::Listener));
        assert!(all.iter().all(|one| Arc::strong_count(one) == 10));
        assert_eq!(*shared.share(owner(1, "renamed", Known::Exact)), owner(1, "renamed", Known::Exact));
        assert_eq!(*shared.share(Owner::UNKNOWN), Owner::UNKNOWN);
    }

    #[test]
    fn there_are_not_too_many() {
        let mut shared = Shared::default();
        (0..2 * MOST as u32).for_each(|pid| drop(shared.share(owner(pid, "one of many", Known::Exact))));
        assert!(shared.0.len() <= MOST);
    }
}
