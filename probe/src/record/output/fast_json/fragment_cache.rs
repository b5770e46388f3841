//! A cache of the text of fragments that recur from line to line.

use super::line::Line;

/// A part of a line that recurs in other lines.
pub trait Fragment {
    /// What the text depends on, as stored in the cache.
    type Key;

    /// A number that differs for most different keys; it selects the slot of the cache.
    fn hash(&self) -> usize;

    /// Whether the text of `key` is the text of this fragment.
    fn matches(&self, key: &Self::Key) -> bool;

    /// The key of this fragment.
    fn key(&self) -> Self::Key;

    /// Formats the fragment.
    fn write(&self, line: &mut Line<'_>);
}

/// The most recent fragment of each slot with its text.
#[derive(Debug)]
pub struct FragmentCache<Key, const SLOTS: usize>([Option<(Key, Vec<u8>)>; SLOTS]);

impl<Key, const SLOTS: usize> Default for FragmentCache<Key, SLOTS> {
    fn default() -> Self {
        Self([const { None }; SLOTS])
    }
}

impl<Key, const SLOTS: usize> FragmentCache<Key, SLOTS> {
    /// Appends a fragment, from the cache if possible; otherwise formats and caches it.
    pub fn write(&mut self, fragment: &impl Fragment<Key = Key>, line: &mut Line<'_>) {
        if self.copy(fragment, line) {
            return;
        }
        let start = line.len();
        fragment.write(line);
        let slot = &mut self.0[fragment.hash() % SLOTS];
        let mut text = slot.take().map(|(_, text)| text).unwrap_or_default();
        text.clear();
        text.extend_from_slice(line.since(start));
        *slot = Some((fragment.key(), text));
    }

    /// Appends a fragment if it is cached; returns whether it was.
    pub fn copy(&self, fragment: &impl Fragment<Key = Key>, line: &mut Line<'_>) -> bool {
        match &self.0[fragment.hash() % SLOTS] {
            Some((key, text)) if fragment.matches(key) => {
                line.bytes(text);
                true
            }
            _ => false,
        }
    }
}
