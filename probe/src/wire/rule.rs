//! Rules that make the wire hold, drop or duplicate segments.

use std::fmt;

use crate::model::{Segment, Side};

/// What a rule does with a matching segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Hold,
    Drop,
    Duplicate,
}

/// A rule of the wire: an action and the segments that it applies to. If several rules match a segment, the one
/// that was added first applies.
pub struct Rule {
    action: Action,
    from: Option<Side>,
    /// How many more segments the rule applies to; `None` for no limit.
    remaining: Option<usize>,
    matches: Box<dyn FnMut(&Segment) -> bool + Send>,
}

impl Rule {
    /// Holds matching segments until the rule is removed.
    pub fn hold(matches: impl FnMut(&Segment) -> bool + Send + 'static) -> Self {
        Self::new(Action::Hold, matches)
    }

    /// Drops matching segments.
    pub fn drop(matches: impl FnMut(&Segment) -> bool + Send + 'static) -> Self {
        Self::new(Action::Drop, matches)
    }

    /// Delivers matching segments twice, the copy right after the original.
    pub fn duplicate(matches: impl FnMut(&Segment) -> bool + Send + 'static) -> Self {
        Self::new(Action::Duplicate, matches)
    }

    fn new(action: Action, matches: impl FnMut(&Segment) -> bool + Send + 'static) -> Self {
        Self { action, from: None, remaining: None, matches: Box::new(matches) }
    }

    /// Restricts the rule to segments that `side` sends.
    #[must_use]
    pub fn sent_by(mut self, side: Side) -> Self {
        self.from = Some(side);
        self
    }

    /// Restricts the rule to the next matching segment.
    #[must_use]
    pub fn once(self) -> Self {
        self.times(1)
    }

    /// Restricts the rule to the next `count` matching segments.
    #[must_use]
    pub fn times(mut self, count: usize) -> Self {
        self.remaining = Some(count);
        self
    }

    /// The action for this segment; `None` if the rule does not match it.
    pub(super) fn action_for(&mut self, from: Side, segment: &Segment) -> Option<Action> {
        let applies = self.remaining != Some(0) && self.from.is_none_or(|side| side == from);
        if !applies || !(self.matches)(segment) {
            return None;
        }
        self.remaining = self.remaining.map(|remaining| remaining - 1);
        Some(self.action)
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { action, from, remaining, matches: _ } = self;
        f.debug_struct("Rule")
            .field("action", action)
            .field("from", from)
            .field("remaining", remaining)
            .finish_non_exhaustive()
    }
}
