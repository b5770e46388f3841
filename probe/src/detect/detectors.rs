//! Runs the detectors, each only on the transitions that it watches.

use std::iter;

use super::detector::{Context, Detector};
use crate::model::{BindFailure, Connection, DiagEntry, Edge, Finding, Mono, State};

/// The number of state numbers, from 0.
const STATES: usize = State::NewSynRecv as usize + 1;

/// The detectors of one stream.
pub struct Detectors {
    all: Vec<Box<dyn Detector>>,
    /// Which detectors watch an edge.
    watching: DetectorsByEdge,
    /// Which detectors examine a connection whose path has an edge.
    examining: DetectorsByEdge,
}

/// One bit for each detector, by the state left and the state entered.
type DetectorsByEdge = [[u16; STATES]; STATES];

impl Detectors {
    /// These detectors, at most sixteen, in the order in which their findings are emitted.
    pub(super) fn new(all: Vec<Box<dyn Detector>>) -> Self {
        let watching = by_edge(&all, |detector, edge| detector.watches(edge));
        let examining = by_edge(&all, |detector, edge| detector.examines(edge));
        Self { all, watching, examining }
    }

    /// No detectors.
    #[must_use]
    pub fn none() -> Self {
        Self::new(Vec::new())
    }

    /// The findings of the next transition.
    pub fn observe(&mut self, context: &Context<'_>) -> Vec<Finding> {
        let watching = match context.is_in_order() {
            true => of_edge(&self.watching, context.transition.edge()),
            false => u16::MAX,
        };
        let all = &mut self.all;
        indices(watching, all.len()).filter_map(|index| all[index].observe(context)).collect()
    }

    /// Adds the pre-existing sockets.
    pub fn existing(&mut self, at: Mono, sockets: &[DiagEntry]) {
        self.all.iter_mut().for_each(|detector| detector.existing(at, sockets));
    }

    /// The findings of a connection of which only the summary was reported.
    pub fn ended(&mut self, connection: &Connection) -> Vec<Finding> {
        let examining = connection.path.edges().fold(0, |all, edge| all | of_edge(&self.examining, edge));
        // No detector examines most connections.
        if examining == 0 {
            return Vec::new();
        }
        let all = &mut self.all;
        indices(examining, all.len()).filter_map(|index| all[index].ended(connection)).collect()
    }

    /// The findings of a bind(2) that failed.
    pub fn bind_failed(&mut self, failure: &BindFailure) -> Vec<Finding> {
        self.all.iter_mut().filter_map(|detector| detector.bind_failed(failure)).collect()
    }

    /// The findings that are due at this time.
    pub fn tick(&mut self, now: Mono) -> Vec<Finding> {
        self.all.iter_mut().flat_map(|detector| detector.tick(now)).collect()
    }

    /// Reports were lost: no detector can rely on what it remembers.
    pub fn lost(&mut self) {
        self.all.iter_mut().for_each(|detector| detector.lost());
    }

    #[cfg(test)]
    pub(super) fn all(&mut self) -> &mut [Box<dyn Detector>] {
        &mut self.all
    }
}

/// The indices below `end` whose bits are set.
fn indices(mut bits: u16, end: usize) -> impl Iterator<Item = usize> {
    iter::from_fn(move || {
        let index = bits.trailing_zeros() as usize;
        bits &= bits.wrapping_sub(1);
        (index < end).then_some(index)
    })
}

fn by_edge(all: &[Box<dyn Detector>], selects: impl Fn(&dyn Detector, Edge) -> bool) -> DetectorsByEdge {
    let mut by_edge = [[0; STATES]; STATES];
    for (old, new) in State::ALL.into_iter().flat_map(|old| State::ALL.map(|new| (old, new))) {
        let bits = all
            .iter()
            .enumerate()
            .map(|(index, detector)| u16::from(selects(&**detector, (old, new))) << index);
        by_edge[old as usize][new as usize] = bits.sum();
    }
    by_edge
}

fn of_edge(by_edge: &DetectorsByEdge, (old, new): Edge) -> u16 {
    by_edge[old as usize][new as usize]
}
