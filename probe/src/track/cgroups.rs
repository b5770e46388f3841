//! Cgroup paths by id: reports carry only the id.

use std::collections::VecDeque;

use foldhash::HashMap;

use crate::model::{Cgroup, Name, Owner};

/// The maximum number of paths; the oldest is evicted first. A host that starts containers all day creates ever new ids, and
/// an owner with its path keeps it.
const MAX: usize = if cfg!(test) { 16 } else { 1 << 16 };

/// The known paths.
#[derive(Debug, Default)]
pub struct Cgroups {
    paths: HashMap<u64, Name>,
    /// Their ids, in the order in which they were added.
    order: VecDeque<u64>,
}

impl Cgroups {
    /// Adds a path. Ignores a cgroup without one.
    pub fn add(&mut self, cgroup: &Cgroup) {
        let Some(path) = &cgroup.path else { return };
        if self.paths.insert(cgroup.id, path.clone()).is_none() {
            self.order.push_back(cgroup.id);
        }
        if self.order.len() > MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.paths.remove(&oldest);
        }
    }

    /// The cgroup with this id, with its path where known.
    pub fn by_id(&self, id: u64) -> Cgroup {
        Cgroup { id, path: self.paths.get(&id).cloned() }
    }

    /// Sets a cgroup's path, where it has none.
    pub fn set_path(&self, cgroup: &mut Option<Cgroup>) {
        if let Some(cgroup) = cgroup.as_mut().filter(|cgroup| cgroup.path.is_none()) {
            *cgroup = self.by_id(cgroup.id);
        }
    }

    /// The owner with its cgroup's path.
    pub fn with_path(&self, mut owner: Owner) -> Owner {
        self.set_path(&mut owner.cgroup);
        owner
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cgroup(id: u64) -> Cgroup {
        Cgroup { id, path: Some(Name::from_bytes(format!("/{id}").as_bytes())) }
    }

    #[test]
    fn a_path_is_found_by_id_and_not_overwritten() {
        let mut cgroups = Cgroups::default();
        cgroups.add(&cgroup(1));
        cgroups.add(&Cgroup { id: 2, path: None });
        assert_eq!(cgroups.by_id(1), cgroup(1));
        assert_eq!(cgroups.by_id(2).path, None);
        let mut own = Some(Cgroup { id: 1, path: Some(Name::from_bytes(b"/own")) });
        let before = own.clone();
        cgroups.set_path(&mut own);
        assert_eq!(own, before, "a cgroup with a path keeps it");
    }

    #[test]
    fn the_oldest_path_is_evicted() {
        let mut cgroups = Cgroups::default();
        // Added twice, it counts once.
        (0..=MAX as u64).flat_map(|id| [id, id]).for_each(|id| cgroups.add(&cgroup(id)));
        assert_eq!((cgroups.paths.len(), cgroups.order.len()), (MAX, MAX));
        assert_eq!(cgroups.by_id(0).path, None);
        assert_eq!(cgroups.by_id(MAX as u64), cgroup(MAX as u64));
    }
}
