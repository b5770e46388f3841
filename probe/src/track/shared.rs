//! Owners that many sockets have, in memory once.

use std::sync::Arc;

use foldhash::HashMap;

use crate::model::Owner;

/// How many owners are kept to be shared.
pub const MOST: usize = 1024;

/// The last owner of each process: its sockets are many, and mostly one after the other.
#[derive(Debug, Default)]
pub struct Shared(HashMap<u32, Arc<Owner>>);

impl Shared {
    /// The same owner in memory once; `None` for nobody known.
    pub fn share(&mut self, owner: &Owner) -> Option<Arc<Owner>> {
        let pid = owner.task.as_ref()?.pid;
        if let Some(shared) = self.0.get(&pid).filter(|shared| ***shared == *owner) {
            return Some(Arc::clone(shared));
        }
        if self.0.len() == MOST {
            self.0.clear();
        }
        let shared = Arc::new(owner.clone());
        self.0.insert(pid, Arc::clone(&shared));
        Some(shared)
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}
