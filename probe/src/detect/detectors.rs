//! All detectors at work, each asked where it may have something to say.

use std::iter;

use super::{Context, Detector};
use crate::model::{BindFailure, Connection, DiagEntry, Edge, Finding, Mono, State};

/// How many numbers states have, from 0.
const STATES: usize = State::NewSynRecv as usize + 1;

/// The detectors of one stream.
pub struct Detectors {
    all: Vec<Box<dyn Detector>>,
    /// Which of them watch an edge.
    watching: ByEdge,
    /// Which of them heed it in a connection.
    heeding: ByEdge,
}

/// Detectors by the state left and the state entered: a bit for each.
type ByEdge = [[u16; STATES]; STATES];

impl Detectors {
    /// These detectors, in the order in which their findings are told. There may be sixteen.
    pub(super) fn of(all: Vec<Box<dyn Detector>>) -> Self {
        let watching = by_edge(&all, |detector, edge| detector.watches(edge));
        let heeding = by_edge(&all, |detector, edge| detector.heeds(edge));
        Self { all, watching, heeding }
    }

    /// No detectors.
    #[must_use]
    pub fn none() -> Self {
        Self::of(Vec::new())
    }

    /// Takes the next transition, and says what it shows.
    pub fn observe(&mut self, context: &Context<'_>) -> Vec<Finding> {
        let watching = match context.is_in_order() {
            true => of_edge(&self.watching, context.transition.edge()),
            false => u16::MAX,
        };
        let all = &mut self.all;
        places(watching, all.len()).filter_map(|place| all[place].observe(context)).collect()
    }

    /// Takes the sockets that were there before the stream began.
    pub fn existing(&mut self, at: Mono, sockets: &[DiagEntry]) {
        self.all.iter_mut().for_each(|detector| detector.existing(at, sockets));
    }

    /// Takes a connection of which nothing but its end was reported, and says what that alone shows.
    pub fn ended(&mut self, connection: &Connection) -> Vec<Finding> {
        let heeding = connection.path.edges().fold(0, |all, edge| all | of_edge(&self.heeding, edge));
        // Most show nothing.
        if heeding == 0 {
            return Vec::new();
        }
        let all = &mut self.all;
        places(heeding, all.len()).filter_map(|place| all[place].ended(connection)).collect()
    }

    /// Takes a bind(2) that was refused, and says what that shows.
    pub fn bind_failed(&mut self, failure: &BindFailure) -> Vec<Finding> {
        self.all.iter_mut().filter_map(|detector| detector.bind_failed(failure)).collect()
    }

    /// So late is it now: what that shows.
    pub fn tick(&mut self, now: Mono) -> Vec<Finding> {
        self.all.iter_mut().flat_map(|detector| detector.tick(now)).collect()
    }

    /// Reports were lost.
    pub fn lost(&mut self) {
        self.all.iter_mut().for_each(|detector| detector.lost());
    }

    #[cfg(test)]
    pub(super) fn all(&mut self) -> &mut [Box<dyn Detector>] {
        &mut self.all
    }
}

/// The places below `end` that have a bit.
fn places(mut bits: u16, end: usize) -> impl Iterator<Item = usize> {
    iter::from_fn(move || {
        let place = bits.trailing_zeros() as usize;
        bits &= bits.wrapping_sub(1);
        (place < end).then_some(place)
    })
}

fn by_edge(all: &[Box<dyn Detector>], wants: impl Fn(&dyn Detector, Edge) -> bool) -> ByEdge {
    let mut by_edge = [[0; STATES]; STATES];
    for (old, new) in State::ALL.into_iter().flat_map(|old| State::ALL.map(|new| (old, new))) {
        let bits = all
            .iter()
            .enumerate()
            .map(|(place, detector)| u16::from(wants(&**detector, (old, new))) << place);
        by_edge[old as usize][new as usize] = bits.sum();
    }
    by_edge
}

fn of_edge(by_edge: &ByEdge, (old, new): Edge) -> u16 {
    by_edge[old as usize][new as usize]
}
