//! The course of a socket's life: the states that it goes through, and the transitions by number.

use super::{State, StatePath, state_path::Few};

/// How many transitions beyond the first lie in the value itself: an ordinary connection makes five in all.
const LATER: usize = 4;

/// The states that a connection went through, and the `seq` of each of its transitions.
///
/// Every open connection has one, so that an ordinary one takes 40 bytes and nothing elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateHistory {
    /// The `seq` of the first transition; 0 for none yet.
    first: u64,
    /// How much later the `seq` of each of the next is; 0 for none.
    later: [u32; LATER],
    /// The states in their order.
    states: Few,
    /// What has no room there.
    rest: Option<Box<Rest>>,
}

/// What goes on where there is no room, each in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rest {
    seqs: Vec<u64>,
    states: Vec<State>,
}

impl StateHistory {
    /// That of a socket that is in this state, before its first transition.
    #[must_use]
    pub fn from(state: State) -> Self {
        let mut course = Self::default();
        course.enter(state);
        course
    }

    /// The next state.
    pub fn enter(&mut self, state: State) {
        if !self.states.push(state) {
            self.rest.get_or_insert_default().states.push(state);
        }
    }

    /// The next transition.
    pub fn pass(&mut self, seq: u64) {
        if self.first == 0 {
            self.first = seq;
            return;
        }
        let offset = seq.checked_sub(self.first).and_then(|offset| u32::try_from(offset).ok());
        let place = self.later.iter_mut().find(|later| **later == 0);
        match (offset, place) {
            (Some(offset @ 1..), Some(place))
                if self.rest.as_ref().is_none_or(|rest| rest.seqs.is_empty()) =>
            {
                *place = offset;
            }
            _ => self.rest.get_or_insert_default().seqs.push(seq),
        }
    }

    /// Forgets the transitions.
    pub fn clear_transitions(&mut self) {
        (self.first, self.later) = (0, [0; LATER]);
        self.rest.iter_mut().for_each(|rest| rest.seqs.clear());
    }

    /// The `seq` of the first transition.
    #[must_use]
    pub fn first(&self) -> Option<u64> {
        (self.first != 0).then_some(self.first)
    }

    /// The `seq` of each transition.
    #[must_use]
    pub fn seqs(&self) -> Vec<u64> {
        let later =
            self.later.iter().filter(|later| **later != 0).map(|later| self.first + u64::from(*later));
        self.first()
            .into_iter()
            .chain(later)
            .chain(self.rest.iter().flat_map(|rest| rest.seqs.iter().copied()))
            .collect()
    }

    /// The states.
    #[must_use]
    pub fn path(&self) -> StatePath {
        StatePath::new(self.states, self.rest.as_ref().map_or(&[], |rest| &rest.states))
    }

    /// The `seq` of the first transition into that state; `None` where it was not seen.
    #[must_use]
    pub fn entry_into(&self, state: State) -> Option<u64> {
        let place = self.path().iter().skip(1).position(|entered| entered == state)?;
        self.seqs().get(place).copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    proptest! {
        #[test]
        fn what_went_in_comes_out(
            states in vec(select(State::ALL.to_vec()), 1..40),
            steps in vec(prop_oneof![1..9_u64, Just(1 << 33)], 0..40),
        ) {
            let mut course = StateHistory::from(states[0]);
            states[1..].iter().for_each(|state| course.enter(*state));
            let seqs: Vec<u64> =
                steps.iter().scan(0, |seq, step| { *seq += step; Some(*seq) }).collect();
            seqs.iter().for_each(|seq| course.pass(*seq));
            prop_assert_eq!(course.path(), states.iter().copied().collect::<StatePath>());
            prop_assert_eq!(course.seqs(), seqs.clone());
            prop_assert_eq!(course.first(), seqs.first().copied());
            let entry = states.iter().skip(1).zip(&seqs).find(|(state, _)| **state == State::Closing);
            let is_within = states.len() <= seqs.len() + 1;
            prop_assert!(!is_within || course.entry_into(State::Closing) == entry.map(|(_, seq)| *seq));
            course.clear_transitions();
            course.pass(7);
            prop_assert_eq!((course.seqs(), course.path().iter().collect()), (vec![7], states));
        }
    }

    #[test]
    fn an_ordinary_one_is_small_and_in_one_piece() {
        use State::{Close, CloseWait, Established, LastAck, SynSent};
        let mut course = StateHistory::from(Close);
        for (seq, state) in [SynSent, Established, CloseWait, LastAck, Close].into_iter().enumerate() {
            course.enter(state);
            course.pass(1_000_000 * (seq as u64 + 1));
        }
        assert_eq!((size_of::<StateHistory>(), course.rest), (40, None));
    }
}
