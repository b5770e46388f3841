//! A list of events as a source: what tests feed to everything downstream.

use super::{Flow, Source, SourceError};
use crate::model::Event;

/// Events that are there already.
#[derive(Debug, Default)]
pub struct Memory {
    events: std::vec::IntoIter<Event>,
    batch: usize,
}

impl Memory {
    /// A source of these events, all in one batch.
    #[must_use]
    pub fn new(events: Vec<Event>) -> Self {
        let batch = events.len();
        Self::in_batches(events, batch)
    }

    /// The same, at most so many at a time (at least one): batches must make no difference.
    #[must_use]
    pub fn in_batches(events: Vec<Event>, batch: usize) -> Self {
        Self { events: events.into_iter(), batch: batch.max(1) }
    }
}

impl Source for Memory {
    async fn batch(&mut self, out: &mut Vec<Event>) -> Result<Flow, SourceError> {
        out.extend(self.events.by_ref().take(self.batch));
        Ok(if self.events.as_slice().is_empty() { Flow::Ended } else { Flow::More })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn batches_leave_nothing_out() {
        let events: Vec<Event> = (0..5).map(|number| Event::Note(number.to_string())).collect();
        for batch in [0, 1, 2, 5, 9] {
            let mut source = Memory::in_batches(events.clone(), batch);
            let mut out = Vec::new();
            while source.batch(&mut out).await.expect("memory cannot fail") == Flow::More {}
            assert_eq!(out, events, "{batch}");
        }
    }
}
