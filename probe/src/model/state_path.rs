//! The states that a connection went through, in little memory.

use std::fmt;

use super::{Edge, State};

/// Up to sixteen states in one number, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PackedStates(u64);

impl PackedStates {
    /// The number of states that fit.
    const CAPACITY: u32 = u64::BITS / Self::BITS;

    /// Bits for each state.
    const BITS: u32 = 4;

    /// A state at this index. The first is in the lowest bits; no state has the number 0.
    fn at(index: u32, state: State) -> u64 {
        (state as u64) << (Self::BITS * index)
    }

    /// Appends a state; `false` where it does not fit.
    pub fn push(&mut self, state: State) -> bool {
        let fits = self.len() < Self::CAPACITY;
        if fits {
            self.0 |= Self::at(self.len(), state);
        }
        fits
    }

    /// The states.
    pub fn iter(self) -> impl Iterator<Item = State> + Clone {
        (0..self.len()).filter_map(move |index| self.get(index))
    }

    /// Every two consecutive states.
    fn edges(self) -> impl Iterator<Item = Edge> {
        (1..self.len()).filter_map(move |index| Some((self.get(index - 1)?, self.get(index)?)))
    }

    fn get(self, index: u32) -> Option<State> {
        BY_NUMBER[usize::from(number_at(self.0, index))]
    }

    fn last(self) -> Option<State> {
        self.get(self.len().checked_sub(1)?)
    }

    fn len(self) -> u32 {
        (u64::BITS - self.0.leading_zeros()).div_ceil(Self::BITS)
    }
}

/// The states by their four-bit numbers: a lookup takes no comparison.
const BY_NUMBER: [Option<State>; 1 << PackedStates::BITS] = {
    let mut by_number = [None; 1 << PackedStates::BITS];
    let mut index = 0;
    while index < State::ALL.len() {
        let state = State::ALL[index];
        by_number[state as usize] = Some(state);
        index += 1;
    }
    by_number
};

fn number_at(states: u64, index: u32) -> u8 {
    (states >> (PackedStates::BITS * index) & 0xf) as u8
}

/// The states that a connection went through, in order. Up to sixteen, which hardly any connection exceeds, take no heap
/// memory.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StatePath {
    first: PackedStates,
    /// The states after the first sixteen.
    overflow: Vec<State>,
}

impl StatePath {
    pub(super) fn new(first: PackedStates, overflow: &[State]) -> Self {
        Self { first, overflow: overflow.to_vec() }
    }

    /// The first `length` states of a record: four bits each, the first in the lowest bits, sixteen at most.
    ///
    /// # Errors
    /// The first number that is no state's.
    pub fn unpack(states: u64, length: u32) -> Result<Self, u8> {
        let add = |packed, index| {
            let number = number_at(states, index);
            BY_NUMBER[usize::from(number)].map(|state| packed | PackedStates::at(index, state)).ok_or(number)
        };
        let first = PackedStates((0..length.min(PackedStates::CAPACITY)).try_fold(0, add)?);
        Ok(Self { first, overflow: Vec::new() })
    }

    /// The first sixteen states, packed as in a record.
    #[must_use]
    pub fn packed(&self) -> u64 {
        self.first.0
    }

    /// Appends a state.
    pub fn push(&mut self, state: State) {
        if !self.first.push(state) {
            self.overflow.push(state);
        }
    }

    /// Whether there are no states.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first == PackedStates::default()
    }

    /// The states.
    pub fn iter(&self) -> impl Iterator<Item = State> + Clone {
        self.first.iter().chain(self.overflow.iter().copied())
    }

    /// Every two consecutive states.
    pub fn edges(&self) -> impl Iterator<Item = Edge> {
        let beyond =
            self.overflow.iter().scan(self.first.last(), |old, new| Some((old.replace(*new)?, *new)));
        self.first.edges().chain(beyond)
    }

    /// Whether the second state of the edge directly follows the first.
    #[must_use]
    pub fn contains(&self, edge: Edge) -> bool {
        self.edges().any(|taken| taken == edge)
    }

    /// The first edge; `None` for fewer than two states.
    #[must_use]
    pub fn first_edge(&self) -> Option<Edge> {
        self.edges().next()
    }

    /// The last edge; `None` for fewer than two states.
    #[must_use]
    pub fn last_edge(&self) -> Option<Edge> {
        match self.overflow[..] {
            [] => {
                let last = self.first.len().checked_sub(1)?;
                Some((self.first.get(last.checked_sub(1)?)?, self.first.get(last)?))
            }
            [only] => Some((self.first.last()?, only)),
            [.., old, new] => Some((old, new)),
        }
    }
}

impl FromIterator<State> for StatePath {
    fn from_iter<I: IntoIterator<Item = State>>(states: I) -> Self {
        let mut path = Self::default();
        states.into_iter().for_each(|state| path.push(state));
        path
    }
}

impl<const LENGTH: usize> From<[State; LENGTH]> for StatePath {
    fn from(states: [State; LENGTH]) -> Self {
        states.into_iter().collect()
    }
}

impl fmt::Debug for StatePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    proptest! {
        #[test]
        fn a_path_of_any_length_keeps_its_states(states in vec(select(State::ALL.to_vec()), 0..24)) {
            let path: StatePath = states.iter().copied().collect();
            prop_assert_eq!(path.iter().collect::<Vec<_>>(), states.clone());
            prop_assert_eq!(path.is_empty(), states.is_empty());
            prop_assert_eq!(format!("{path:?}"), format!("{states:?}"));
            let edges: Vec<Edge> = states.windows(2).map(|edge| (edge[0], edge[1])).collect();
            prop_assert_eq!((path.first_edge(), path.last_edge()), (edges.first().copied(), edges.last().copied()));
            for (old, new) in State::ALL.into_iter().flat_map(|old| State::ALL.map(|new| (old, new))) {
                prop_assert_eq!(path.contains((old, new)), edges.contains(&(old, new)));
            }
            let first: StatePath = states.iter().take(16).copied().collect();
            prop_assert_eq!(StatePath::unpack(path.packed(), states.len() as u32), Ok(first));
        }
    }

    #[test]
    fn a_number_that_is_no_state_is_rejected() {
        assert_eq!(StatePath::unpack(0xd_27, 3), Err(13));
        assert_eq!(StatePath::unpack(0x27, 3), Err(0));
        assert_eq!(StatePath::unpack(0xd_27, 2), Ok([State::Close, State::SynSent].into()));
    }
}
