//! What of a stream is shown, and the format of its times.

use crate::model::Output;

/// The events of a stream that are shown. Scenarios are always shown completely.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// Every transition, and everything else.
    #[default]
    Transitions,
    /// Connections that ended, instead of their transitions.
    Connections,
    /// Only findings.
    Findings,
}

impl View {
    /// Whether the view shows the event. Every view shows events about the stream itself (ready, lost, end) and about
    /// scenarios.
    #[must_use]
    pub fn shows(self, event: &Output) -> bool {
        match event {
            Output::Transition(_) => self == Self::Transitions,
            Output::Connection(_) | Output::Reset(_) | Output::TimeWaitEntry(_) => self != Self::Findings,
            _ => true,
        }
    }
}

/// The format in which a table shows times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeFormat {
    /// Milliseconds since the first line.
    #[default]
    Elapsed,
    /// The time of day in UTC.
    Absolute,
    /// Milliseconds since the previous line.
    Delta,
}
