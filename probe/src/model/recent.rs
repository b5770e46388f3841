//! The most recent of very many entries, of which few are ever looked up.

use std::{collections::VecDeque, hash::Hash};

use foldhash::HashMap;

/// A bounded queue of entries; the last one under a key can be looked up.
///
/// A lookup first updates an index of the queue: without lookups, an entry costs no more than its slot in the queue.
#[derive(Debug)]
pub struct Recent<K, V> {
    capacity: usize,
    entries: VecDeque<(K, V)>,
    /// How many entries were removed: the number of the oldest entry in the queue.
    removed: u64,
    /// The number of the last entry under each key, of those before `indexed`. Removed entries may be among them.
    index: HashMap<K, u64>,
    indexed: u64,
}

impl<K: Clone + Eq + Hash, V> Recent<K, V> {
    /// An empty queue of at most `capacity` entries.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { capacity, entries: VecDeque::new(), removed: 0, index: HashMap::default(), indexed: 0 }
    }

    /// Adds an entry; removes the oldest one where the queue is full.
    pub fn push(&mut self, key: K, value: V) {
        if self.entries.len() == self.capacity {
            self.remove_oldest();
        }
        self.entries.push_back((key, value));
    }

    /// The oldest entry.
    #[must_use]
    pub fn oldest(&self) -> Option<&V> {
        self.entries.front().map(|(_, value)| value)
    }

    /// Removes the oldest entry.
    pub fn remove_oldest(&mut self) {
        self.removed += u64::from(self.entries.pop_front().is_some());
    }

    /// Removes all entries.
    pub fn clear(&mut self) {
        *self = Self::new(self.capacity);
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The last entry under this key.
    pub fn last(&mut self, key: &K) -> Option<&V> {
        self.update_index();
        let position = self.index.get(key)?.checked_sub(self.removed)?;
        self.entries.get(position as usize).map(|(_, value)| value)
    }

    fn update_index(&mut self) {
        if self.index.len() > 2 * self.capacity {
            self.index.retain(|_, number| *number >= self.removed);
        }
        let known = self.indexed.saturating_sub(self.removed) as usize;
        let numbers = self.removed + known as u64..;
        self.index.extend(self.entries.range(known..).map(|(key, _)| key.clone()).zip(numbers));
        self.indexed = self.removed + self.entries.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MOST: usize = 16;

    #[test]
    fn a_full_queue_removes_the_oldest_entry() {
        let mut recent = Recent::new(MOST);
        (0..=MOST).for_each(|at| recent.push(at, at));
        for (key, last) in [(0, None), (1, Some(&1)), (MOST, Some(&MOST))] {
            assert_eq!(recent.last(&key), last);
        }
        assert_eq!(recent.oldest(), Some(&1));
        recent.clear();
        assert!(recent.last(&1).is_none() && recent.is_empty());
    }

    #[test]
    fn lookups_do_not_grow_the_index_without_bound() {
        let mut recent = Recent::new(MOST);
        for at in 0..100 * MOST {
            recent.push(at, at);
            assert_eq!(recent.last(&at), Some(&at));
            assert!(recent.index.len() <= 3 * MOST);
        }
    }

    proptest! {
        /// A lookup finds what a search through the queue finds.
        #[test]
        fn the_last_entry_under_a_key_is_found(steps in prop::collection::vec((0..8_u8, 0..4_u8), 0..200)) {
            let mut recent = Recent::new(MOST);
            for (at, (key, step)) in steps.into_iter().enumerate() {
                match step {
                    0 => {
                        let last = recent.entries.iter().rev().find(|(other, _)| *other == key).map(|(_, at)| *at);
                        prop_assert_eq!(recent.last(&key).copied(), last);
                    }
                    1 => recent.remove_oldest(),
                    _ => recent.push(key, at),
                }
                prop_assert!(recent.entries.len() <= MOST);
            }
        }
    }
}
