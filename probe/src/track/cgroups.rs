//! Cgroups by id: reports carry the number, people know the path.

use std::collections::VecDeque;

use foldhash::HashMap;

use crate::model::{Cgroup, Name, Owner};

/// How many are remembered; the oldest goes first. A host that starts containers all day makes ids
/// without end, and an owner that has its path keeps it.
const MOST: usize = if cfg!(test) { 16 } else { 1 << 16 };

/// The paths that are known.
#[derive(Debug, Default)]
pub struct Cgroups {
    paths: HashMap<u64, Name>,
    /// Their ids in the order in which they came.
    order: VecDeque<u64>,
}

impl Cgroups {
    /// Remembers a path. An id without one says nothing.
    pub fn add(&mut self, cgroup: &Cgroup) {
        let Some(path) = &cgroup.path else { return };
        if self.paths.insert(cgroup.id, path.clone()).is_none() {
            self.order.push_back(cgroup.id);
        }
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.paths.remove(&oldest);
        }
    }

    /// The cgroup of that id.
    pub fn by_id(&self, id: u64) -> Cgroup {
        Cgroup { id, path: self.paths.get(&id).cloned() }
    }

    /// Gives a cgroup its path, where it has none yet.
    pub fn name(&self, cgroup: &mut Option<Cgroup>) {
        if let Some(cgroup) = cgroup.as_mut().filter(|cgroup| cgroup.path.is_none()) {
            *cgroup = self.by_id(cgroup.id);
        }
    }

    /// The owner with its cgroup's path.
    pub fn named(&self, mut owner: Owner) -> Owner {
        self.name(&mut owner.cgroup);
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
    fn a_path_is_known_by_its_id() {
        let mut cgroups = Cgroups::default();
        cgroups.add(&cgroup(1));
        cgroups.add(&Cgroup { id: 2, path: None });
        assert_eq!(cgroups.by_id(1), cgroup(1));
        assert_eq!(cgroups.by_id(2).path, None);
        let mut own = Some(Cgroup { id: 1, path: Some(Name::from_bytes(b"/own")) });
        let kept = own.clone();
        cgroups.name(&mut own);
        assert_eq!(own, kept, "it was there at the time");
    }

    #[test]
    fn the_oldest_is_forgotten() {
        let mut cgroups = Cgroups::default();
        // Told twice, it counts once.
        (0..=MOST as u64).flat_map(|id| [id, id]).for_each(|id| cgroups.add(&cgroup(id)));
        assert_eq!((cgroups.paths.len(), cgroups.order.len()), (MOST, MOST));
        assert_eq!(cgroups.by_id(0).path, None);
        assert_eq!(cgroups.by_id(MOST as u64), cgroup(MOST as u64));
    }
}
