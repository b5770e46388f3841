//! Socket numbers by a hash of what they share.

use foldhash::HashMap;

/// The numbers of the sockets under each hash, in the order in which they were added. Hardly any hash has more than one
/// socket: a hundred thousand take two megabytes.
#[derive(Default)]
pub struct SocketMultimap {
    first: HashMap<u64, u64>,
    /// The second socket of a hash and all later ones.
    more: HashMap<u64, Vec<u64>>,
}

impl SocketMultimap {
    /// Adds a socket, as the last one under its hash.
    pub fn add(&mut self, hash: u64, number: u64) {
        let first = *self.first.entry(hash).or_insert(number);
        if first != number {
            let more = self.more.entry(hash).or_default();
            if !more.contains(&number) {
                more.push(number);
            }
        }
    }

    /// Removes the sockets under a hash that match.
    pub fn remove(&mut self, hash: u64, matches: impl Fn(u64) -> bool) {
        let Some(first) = self.first.get_mut(&hash) else { return };
        let mut none = Vec::new();
        let more = if self.more.is_empty() { None } else { self.more.get_mut(&hash) };
        let has_more = more.is_some();
        let more = more.unwrap_or(&mut none);
        more.retain(|number| !matches(*number));
        let is_only = more.is_empty();
        if matches(*first) {
            if is_only {
                self.first.remove(&hash);
            } else {
                *first = more.remove(0);
            }
        }
        if has_more && more.is_empty() {
            self.more.remove(&hash);
        }
    }

    /// The sockets under a hash.
    pub fn get(&self, hash: u64) -> impl Iterator<Item = u64> {
        let more = self.more.get(&hash).into_iter().flatten();
        self.first.get(&hash).into_iter().chain(more).copied()
    }

    /// Removes all sockets.
    pub fn clear(&mut self) {
        self.first.clear();
        self.more.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn sockets_are_found_in_the_order_in_which_they_were_added(steps in vec((0..3_u64, 0..6_u64, any::<bool>()), 0..60)) {
            let mut sockets = SocketMultimap::default();
            let mut expected: Vec<(u64, u64)> = Vec::new();
            for (hash, number, adds) in steps {
                if adds {
                    sockets.add(hash, number);
                    if !expected.contains(&(hash, number)) {
                        expected.push((hash, number));
                    }
                } else {
                    sockets.remove(hash, |other| other == number);
                    expected.retain(|entry| *entry != (hash, number));
                }
                let under_hash = expected.iter().filter(|entry| entry.0 == hash).map(|entry| entry.1);
                prop_assert_eq!(sockets.get(hash).collect::<Vec<_>>(), under_hash.collect::<Vec<_>>());
            }
            let mut hashes: Vec<u64> = expected.iter().map(|entry| entry.0).collect();
            hashes.dedup();
            prop_assert!(sockets.first.keys().all(|hash| hashes.contains(hash)));
            prop_assert!(sockets.more.values().all(|more| !more.is_empty()));
        }
    }
}
