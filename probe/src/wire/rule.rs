//! What the wire is to do with certain segments.

use std::fmt;

use crate::model::{Segment, Side};

/// What a rule does with a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Hold,
    Drop,
    Duplicate,
}

/// A rule of the wire: what to do with which segments. Of several rules that fit, the one that was
/// added first decides.
pub struct Rule {
    action: Action,
    from: Option<Side>,
    left: Option<usize>,
    fits: Box<dyn FnMut(&Segment) -> bool + Send>,
}

impl Rule {
    /// Holds back segments that fit, until the rule is lifted.
    pub fn hold(fits: impl FnMut(&Segment) -> bool + Send + 'static) -> Self {
        Self::new(Action::Hold, fits)
    }

    /// Loses segments that fit.
    pub fn drop(fits: impl FnMut(&Segment) -> bool + Send + 'static) -> Self {
        Self::new(Action::Drop, fits)
    }

    /// Delivers segments that fit twice, the copy right behind the original.
    pub fn duplicate(fits: impl FnMut(&Segment) -> bool + Send + 'static) -> Self {
        Self::new(Action::Duplicate, fits)
    }

    fn new(action: Action, fits: impl FnMut(&Segment) -> bool + Send + 'static) -> Self {
        Self { action, from: None, left: None, fits: Box::new(fits) }
    }

    /// The same rule for what this side sends only.
    #[must_use]
    pub fn sent_by(mut self, side: Side) -> Self {
        self.from = Some(side);
        self
    }

    /// The same rule for the next segment that fits only.
    #[must_use]
    pub fn once(self) -> Self {
        self.times(1)
    }

    /// The same rule for that many segments only.
    #[must_use]
    pub fn times(mut self, count: usize) -> Self {
        self.left = Some(count);
        self
    }

    /// What to do with this segment; `None` where it does not fit.
    pub(super) fn decide(&mut self, from: Side, segment: &Segment) -> Option<Action> {
        let open = self.left != Some(0) && self.from.is_none_or(|side| side == from);
        if !open || !(self.fits)(segment) {
            return None;
        }
        self.left = self.left.map(|left| left - 1);
        Some(self.action)
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { action, from, left, fits: _ } = self;
        f.debug_struct("Rule")
            .field("action", action)
            .field("from", from)
            .field("left", left)
            .finish_non_exhaustive()
    }
}
