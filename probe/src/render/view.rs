//! What of a stream is shown, and how its times are.

use crate::model::Output;

/// Which events a stream is read for. Scenarios are always shown whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// Every transition, and everything else.
    #[default]
    Transitions,
    /// Connections that ended, instead of their transitions.
    Connections,
    /// What the detectors found, and nothing besides.
    Findings,
}

impl View {
    /// Whether the event belongs to the view. What makes no sense of its own (the stream's beginning, its
    /// end, what was lost, scenarios) always does.
    #[must_use]
    pub fn shows(self, event: &Output) -> bool {
        match event {
            Output::Transition(_) => self == Self::Transitions,
            Output::Connection(_) | Output::Reset(_) | Output::TimeWaitEntry(_) => self != Self::Findings,
            _ => true,
        }
    }
}

/// How a table shows the time of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeFormat {
    /// Milliseconds since the first line.
    #[default]
    Elapsed,
    /// The time of day, in UTC.
    Absolute,
    /// Milliseconds since the line before.
    Delta,
}
