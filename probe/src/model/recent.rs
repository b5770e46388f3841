//! The last of very many things, of which hardly anybody asks for one.

use std::{collections::VecDeque, hash::Hash};

use foldhash::HashMap;

/// Values in the order in which they came, so many at most; the last one under a key can be found.
///
/// They are put in a row, and looked up in an index that is brought up to date when it is asked for: as long as nobody asks,
/// one costs no more than its place.
#[derive(Debug)]
pub struct Recent<K, V> {
    most: usize,
    row: VecDeque<(K, V)>,
    /// How many are forgotten: so many does the first one's number count.
    forgotten: u64,
    /// The number of the last one under each key, of those before `indexed`; forgotten ones are among them.
    index: HashMap<K, u64>,
    indexed: u64,
}

impl<K: Clone + Eq + Hash, V> Recent<K, V> {
    /// So many at most.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, row: VecDeque::new(), forgotten: 0, index: HashMap::default(), indexed: 0 }
    }

    /// Adds one, for which the oldest may have to go.
    pub fn push(&mut self, key: K, value: V) {
        if self.row.len() == self.most {
            self.forget_oldest();
        }
        self.row.push_back((key, value));
    }

    /// The oldest one.
    #[must_use]
    pub fn oldest(&self) -> Option<&V> {
        self.row.front().map(|(_, value)| value)
    }

    /// Forgets the oldest one.
    pub fn forget_oldest(&mut self) {
        self.forgotten += u64::from(self.row.pop_front().is_some());
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        *self = Self::new(self.most);
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.row.is_empty()
    }

    /// The last one under this key.
    pub fn last(&mut self, key: &K) -> Option<&V> {
        self.bring_up_to_date();
        let place = self.index.get(key)?.checked_sub(self.forgotten)?;
        self.row.get(place as usize).map(|(_, value)| value)
    }

    fn bring_up_to_date(&mut self) {
        if self.index.len() > 2 * self.most {
            self.index.retain(|_, number| *number >= self.forgotten);
        }
        let known = self.indexed.saturating_sub(self.forgotten) as usize;
        let numbers = self.forgotten + known as u64..;
        self.index.extend(self.row.range(known..).map(|(key, _)| key.clone()).zip(numbers));
        self.indexed = self.forgotten + self.row.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MOST: usize = 16;

    #[test]
    fn the_oldest_goes() {
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
    fn what_is_asked_for_does_not_pile_up() {
        let mut recent = Recent::new(MOST);
        for at in 0..100 * MOST {
            recent.push(at, at);
            assert_eq!(recent.last(&at), Some(&at));
            assert!(recent.index.len() <= 3 * MOST);
        }
    }

    proptest! {
        /// Whenever somebody asks, the answer is that of one who goes through the row.
        #[test]
        fn the_last_one_is_found(steps in prop::collection::vec((0..8_u8, 0..4_u8), 0..200)) {
            let mut recent = Recent::new(MOST);
            for (at, (key, step)) in steps.into_iter().enumerate() {
                match step {
                    0 => {
                        let row = recent.row.iter().rev().find(|(other, _)| *other == key).map(|(_, at)| *at);
                        prop_assert_eq!(recent.last(&key).copied(), row);
                    }
                    1 => recent.forget_oldest(),
                    _ => recent.push(key, at),
                }
                prop_assert!(recent.row.len() <= MOST);
            }
        }
    }
}
