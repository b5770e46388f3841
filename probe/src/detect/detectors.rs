//! All detectors at work, each asked where it may have something to say.

use super::{Context, Detector};
use crate::model::{BindFailure, Connection, Edge, Finding, Listed, Mono, State};

/// How many numbers states have, from 0.
const STATES: usize = State::NewSynRecv as usize + 1;

/// The detectors of one stream.
pub struct Detectors {
    all: Vec<Box<dyn Detector>>,
    /// Which of them watch an edge: a bit for each, by the state left and the state entered.
    watching: [[u16; STATES]; STATES],
}

impl Detectors {
    /// These detectors, in the order in which their findings are told. There may be sixteen.
    pub(super) fn of(all: Vec<Box<dyn Detector>>) -> Self {
        let mut watching = [[0; STATES]; STATES];
        for old in State::ALL {
            for new in State::ALL {
                watching[old as usize][new as usize] = watchers(&all, (old, new));
            }
        }
        Self { all, watching }
    }

    /// Takes the next transition, and says what it shows.
    pub fn observe(&mut self, context: &Context<'_>) -> Vec<Finding> {
        let (old, new) = context.transition.edge();
        let watching = self.watching[old as usize][new as usize];
        let is_out_of_order = !context.is_in_order();
        let asked = self
            .all
            .iter_mut()
            .enumerate()
            .filter(|(place, _)| is_out_of_order || watching >> place & 1 == 1);
        asked.filter_map(|(_, detector)| detector.observe(context)).collect()
    }

    /// Takes the sockets that were there before the stream began.
    pub fn existing(&mut self, at: Mono, sockets: &[Listed]) {
        self.all.iter_mut().for_each(|detector| detector.existing(at, sockets));
    }

    /// Takes a connection of which nothing but its end was reported, and says what that alone shows.
    pub fn ended(&mut self, connection: &Connection) -> Vec<Finding> {
        self.all.iter_mut().filter_map(|detector| detector.ended(connection)).collect()
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
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}

fn watchers(all: &[Box<dyn Detector>], edge: Edge) -> u16 {
    all.iter().enumerate().map(|(place, detector)| u16::from(detector.watches(edge)) << place).sum()
}
