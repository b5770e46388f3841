//! The states that a connection goes through, in little memory.

use std::fmt;

use super::{Edge, State};

/// States in their order, as long as a number has room for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Few(u64);

impl Few {
    /// So many, of four bits each.
    const ROOM: u32 = u64::BITS / Self::BITS;

    const BITS: u32 = 4;

    /// The first lowest: none has the number 0.
    fn at(place: u32, state: State) -> u64 {
        (state as u64) << (Self::BITS * place)
    }

    /// Puts one behind the last; `false` where there is no room.
    pub fn push(&mut self, state: State) -> bool {
        let has_room = self.len() < Self::ROOM;
        if has_room {
            self.0 |= Self::at(self.len(), state);
        }
        has_room
    }

    /// The states.
    pub fn iter(self) -> impl Iterator<Item = State> + Clone {
        (0..self.len()).filter_map(move |place| self.get(place))
    }

    /// Every two that follow each other.
    fn edges(self) -> impl Iterator<Item = Edge> {
        (1..self.len()).filter_map(move |place| Some((self.get(place - 1)?, self.get(place)?)))
    }

    fn get(self, place: u32) -> Option<State> {
        NUMBERED[usize::from(number_at(self.0, place))]
    }

    fn last(self) -> Option<State> {
        self.get(self.len().checked_sub(1)?)
    }

    fn len(self) -> u32 {
        (u64::BITS - self.0.leading_zeros()).div_ceil(Self::BITS)
    }
}

/// The states by their numbers, which have four bits: to look one up here takes no comparison.
const NUMBERED: [Option<State>; 1 << Few::BITS] = {
    let mut numbered = [None; 1 << Few::BITS];
    let mut place = 0;
    while place < State::ALL.len() {
        let state = State::ALL[place];
        numbered[state as usize] = Some(state);
        place += 1;
    }
    numbered
};

fn number_at(states: u64, place: u32) -> u8 {
    (states >> (Few::BITS * place) & 0xf) as u8
}

/// The states that a connection went through, in order. One of sixteen, which hardly any exceeds, takes no memory
/// elsewhere.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StatePath {
    first: Few,
    /// What has no room there.
    rest: Vec<State>,
}

impl StatePath {
    pub(super) fn new(first: Few, rest: &[State]) -> Self {
        Self { first, rest: rest.to_vec() }
    }

    /// The first `length` of the states that a record has: four bits each, the first one lowest, sixteen at most.
    ///
    /// # Errors
    /// The first number among them that no state has.
    pub fn unpack(states: u64, length: u32) -> Result<Self, u8> {
        let known = |known, place| {
            let number = number_at(states, place);
            NUMBERED[usize::from(number)].map(|state| known | Few::at(place, state)).ok_or(number)
        };
        let first = Few((0..length.min(Few::ROOM)).try_fold(0, known)?);
        Ok(Self { first, rest: Vec::new() })
    }

    /// The first sixteen states in the form that a record has them in.
    #[must_use]
    pub fn packed(&self) -> u64 {
        self.first.0
    }

    /// The next state.
    pub fn push(&mut self, state: State) {
        if !self.first.push(state) {
            self.rest.push(state);
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first == Few::default()
    }

    /// The states.
    pub fn iter(&self) -> impl Iterator<Item = State> + Clone {
        self.first.iter().chain(self.rest.iter().copied())
    }

    /// Every two states that follow each other.
    pub fn edges(&self) -> impl Iterator<Item = Edge> {
        let beyond = self.rest.iter().scan(self.first.last(), |old, new| Some((old.replace(*new)?, *new)));
        self.first.edges().chain(beyond)
    }

    /// Whether it went from one state right to the other.
    #[must_use]
    pub fn takes(&self, edge: Edge) -> bool {
        self.edges().any(|taken| taken == edge)
    }

    /// The first edge of it; `None` for less than two states.
    #[must_use]
    pub fn first_edge(&self) -> Option<Edge> {
        self.edges().next()
    }

    /// The last edge of it; `None` for less than two states.
    #[must_use]
    pub fn last_edge(&self) -> Option<Edge> {
        match self.rest[..] {
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
        fn it_is_its_states_however_long(states in vec(select(State::ALL.to_vec()), 0..24)) {
            let path: StatePath = states.iter().copied().collect();
            prop_assert_eq!(path.iter().collect::<Vec<_>>(), states.clone());
            prop_assert_eq!(path.is_empty(), states.is_empty());
            prop_assert_eq!(format!("{path:?}"), format!("{states:?}"));
            let edges: Vec<Edge> = states.windows(2).map(|edge| (edge[0], edge[1])).collect();
            prop_assert_eq!((path.first_edge(), path.last_edge()), (edges.first().copied(), edges.last().copied()));
            for (old, new) in State::ALL.into_iter().flat_map(|old| State::ALL.map(|new| (old, new))) {
                prop_assert_eq!(path.takes((old, new)), edges.contains(&(old, new)));
            }
            let first: StatePath = states.iter().take(16).copied().collect();
            prop_assert_eq!(StatePath::unpack(path.packed(), states.len() as u32), Ok(first));
        }
    }

    #[test]
    fn what_no_state_has_is_refused() {
        assert_eq!(StatePath::unpack(0xd_27, 3), Err(13));
        assert_eq!(StatePath::unpack(0x27, 3), Err(0));
        assert_eq!(StatePath::unpack(0xd_27, 2), Ok([State::Close, State::SynSent].into()));
    }
}
