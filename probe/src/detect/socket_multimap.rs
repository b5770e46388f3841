//! Which sockets are at which places.

use foldhash::HashMap;

/// The numbers of the sockets at each place, in the order in which they came. A place is known by its hash, and hardly any
/// has more than one: a hundred thousand take two megabytes.
#[derive(Default)]
pub struct SocketMultimap {
    first: HashMap<u64, u64>,
    /// Those that came where one was already.
    more: HashMap<u64, Vec<u64>>,
}

impl SocketMultimap {
    /// Adds a socket, after the others.
    pub fn add(&mut self, place: u64, number: u64) {
        let first = *self.first.entry(place).or_insert(number);
        if first != number {
            let more = self.more.entry(place).or_default();
            if !more.contains(&number) {
                more.push(number);
            }
        }
    }

    /// Takes away those that are it.
    pub fn remove(&mut self, place: u64, is_it: impl Fn(u64) -> bool) {
        let Some(first) = self.first.get_mut(&place) else { return };
        let mut none = Vec::new();
        let more = if self.more.is_empty() { None } else { self.more.get_mut(&place) };
        let are_more = more.is_some();
        let more = more.unwrap_or(&mut none);
        more.retain(|number| !is_it(*number));
        let is_alone = more.is_empty();
        if is_it(*first) {
            if is_alone {
                self.first.remove(&place);
            } else {
                *first = more.remove(0);
            }
        }
        if are_more && more.is_empty() {
            self.more.remove(&place);
        }
    }

    /// The sockets there.
    pub fn at(&self, place: u64) -> impl Iterator<Item = u64> {
        let more = self.more.get(&place).into_iter().flatten();
        self.first.get(&place).into_iter().chain(more).copied()
    }

    /// Takes away all.
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
        fn they_are_there_in_the_order_in_which_they_came(steps in vec((0..3_u64, 0..6_u64, any::<bool>()), 0..60)) {
            let mut socket_multimap = SocketMultimap::default();
            let mut plain: Vec<(u64, u64)> = Vec::new();
            for (place, number, comes) in steps {
                if comes {
                    socket_multimap.add(place, number);
                    if !plain.contains(&(place, number)) {
                        plain.push((place, number));
                    }
                } else {
                    socket_multimap.remove(place, |other| other == number);
                    plain.retain(|there| *there != (place, number));
                }
                let there = plain.iter().filter(|there| there.0 == place).map(|there| there.1);
                prop_assert_eq!(socket_multimap.at(place).collect::<Vec<_>>(), there.collect::<Vec<_>>());
            }
            let mut places: Vec<u64> = plain.iter().map(|there| there.0).collect();
            places.dedup();
            prop_assert!(socket_multimap.first.keys().all(|place| places.contains(place)));
            prop_assert!(socket_multimap.more.values().all(|more| !more.is_empty()));
        }
    }
}
