//! The states of a connection, and its transitions by `seq`.

use super::{State, StatePath, state_path::PackedStates};

/// How many transitions after the first are stored inline: an ordinary connection makes five in all.
const INLINE_LATER: usize = 4;

/// The states that a connection went through, and the `seq` of each of its transitions.
///
/// Every open connection has one: an ordinary one takes 40 bytes and no heap memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateHistory {
    /// The `seq` of the first transition; 0 for none.
    first: u64,
    /// The `seq` of each of the next ones, minus the first; 0 for none.
    later: [u32; INLINE_LATER],
    /// The states, in order.
    states: PackedStates,
    /// What does not fit inline.
    overflow: Option<Box<Overflow>>,
}

/// Transitions and states that do not fit inline, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Overflow {
    seqs: Vec<u64>,
    states: Vec<State>,
}

impl StateHistory {
    /// The history of a socket in this state, before its first transition.
    #[must_use]
    pub fn from(state: State) -> Self {
        let mut history = Self::default();
        history.add_state(state);
        history
    }

    /// Appends a state.
    pub fn add_state(&mut self, state: State) {
        if !self.states.push(state) {
            self.overflow.get_or_insert_default().states.push(state);
        }
    }

    /// Appends a transition.
    pub fn add_transition(&mut self, seq: u64) {
        if self.first == 0 {
            self.first = seq;
            return;
        }
        let offset = seq.checked_sub(self.first).and_then(|offset| u32::try_from(offset).ok());
        let slot = self.later.iter_mut().find(|later| **later == 0);
        match (offset, slot) {
            (Some(offset @ 1..), Some(slot))
                if self.overflow.as_ref().is_none_or(|overflow| overflow.seqs.is_empty()) =>
            {
                *slot = offset;
            }
            _ => self.overflow.get_or_insert_default().seqs.push(seq),
        }
    }

    /// Removes the transitions; the states remain.
    pub fn clear_transitions(&mut self) {
        (self.first, self.later) = (0, [0; INLINE_LATER]);
        self.overflow.iter_mut().for_each(|overflow| overflow.seqs.clear());
    }

    /// The `seq` of the first transition.
    #[must_use]
    pub fn first_seq(&self) -> Option<u64> {
        (self.first != 0).then_some(self.first)
    }

    /// The `seq` of each transition.
    #[must_use]
    pub fn seqs(&self) -> Vec<u64> {
        let later =
            self.later.iter().filter(|later| **later != 0).map(|later| self.first + u64::from(*later));
        self.first_seq()
            .into_iter()
            .chain(later)
            .chain(self.overflow.iter().flat_map(|overflow| overflow.seqs.iter().copied()))
            .collect()
    }

    /// The states.
    #[must_use]
    pub fn path(&self) -> StatePath {
        StatePath::new(self.states, self.overflow.as_ref().map_or(&[], |overflow| &overflow.states))
    }

    /// The `seq` of the first transition into this state; `None` where there is none.
    #[must_use]
    pub fn first_entry_into(&self, state: State) -> Option<u64> {
        let index = self.path().iter().skip(1).position(|entered| entered == state)?;
        self.seqs().get(index).copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    proptest! {
        #[test]
        fn every_state_and_transition_is_returned(
            states in vec(select(State::ALL.to_vec()), 1..40),
            steps in vec(prop_oneof![1..9_u64, Just(1 << 33)], 0..40),
        ) {
            let mut history = StateHistory::from(states[0]);
            states[1..].iter().for_each(|state| history.add_state(*state));
            let seqs: Vec<u64> =
                steps.iter().scan(0, |seq, step| { *seq += step; Some(*seq) }).collect();
            seqs.iter().for_each(|seq| history.add_transition(*seq));
            prop_assert_eq!(history.path(), states.iter().copied().collect::<StatePath>());
            prop_assert_eq!(history.seqs(), seqs.clone());
            prop_assert_eq!(history.first_seq(), seqs.first().copied());
            let entry = states.iter().skip(1).zip(&seqs).find(|(state, _)| **state == State::Closing);
            let is_within = states.len() <= seqs.len() + 1;
            prop_assert!(!is_within || history.first_entry_into(State::Closing) == entry.map(|(_, seq)| *seq));
            history.clear_transitions();
            history.add_transition(7);
            prop_assert_eq!((history.seqs(), history.path().iter().collect()), (vec![7], states));
        }
    }

    #[test]
    fn an_ordinary_history_takes_40_bytes_and_no_heap() {
        use State::{Close, CloseWait, Established, LastAck, SynSent};
        let mut history = StateHistory::from(Close);
        for (seq, state) in [SynSent, Established, CloseWait, LastAck, Close].into_iter().enumerate() {
            history.add_state(state);
            history.add_transition(1_000_000 * (seq as u64 + 1));
        }
        assert_eq!((size_of::<StateHistory>(), history.overflow), (40, None));
    }
}
