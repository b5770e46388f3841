//! Where in a batch of records the kernel skipped an event. It says only how many it skipped, but the next record of the
//! socket does not start in the state that the one before it entered.

use std::collections::HashMap;

use crate::{
    model::{State, is_of_listener},
    record::peek::Change,
};

/// The states that the records of a batch entered, by socket.
#[derive(Default)]
pub struct Skips(HashMap<u64, State>);

impl Skips {
    /// Whether an event of its socket was skipped before this one. `follows`: whether it follows from the records before
    /// the batch.
    pub fn precede(&mut self, change: Change, follows: impl FnOnce() -> bool) -> bool {
        let Change { socket, old, new } = change;
        // A listener's child is a new socket. Its address may be that of one that has ended.
        let is_child = old == State::Listen && !is_of_listener((old, new));
        let before = if is_child { State::Close } else { old };
        match self.0.insert(socket, new) {
            Some(entered) => entered != before,
            None => !follows(),
        }
    }
}

#[cfg(test)]
mod tests {
    use State::{Close, CloseWait, Established, FinWait1, FinWait2, Listen, SynRecv, SynSent};

    use super::*;

    /// Those of a batch before which an event was skipped.
    fn skipped(batch: &[(u64, State, State)], follows: bool) -> Vec<usize> {
        let mut skips = Skips::default();
        let precede = |(_, (socket, old, new)): &(usize, &(u64, State, State))| {
            skips.precede(Change { socket: *socket, old: *old, new: *new }, || follows)
        };
        batch.iter().enumerate().filter(precede).map(|(index, _)| index).collect()
    }

    #[test]
    fn a_skip_is_where_a_state_does_not_follow() {
        let batch = [
            (1, Close, SynSent),
            (2, Listen, SynRecv),
            (1, SynSent, Established),
            (2, Established, CloseWait),
            (1, Established, FinWait1),
            (1, FinWait2, Close),
            (1, Listen, SynRecv),
        ];
        assert_eq!(skipped(&batch, true), [3, 5]);
    }

    #[test]
    fn the_first_record_of_a_socket_follows_from_earlier_batches_or_not() {
        let batch = [(1, FinWait1, FinWait2), (1, FinWait2, Close)];
        assert_eq!(skipped(&batch, true), [0; 0]);
        assert_eq!(skipped(&batch, false), [0]);
    }

    #[test]
    fn a_listener_follows_from_its_own_state() {
        assert_eq!(skipped(&[(1, Close, Listen), (1, Listen, Close), (1, Close, Close)], true), [0; 0]);
    }
}
