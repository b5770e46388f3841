//! Records that found no room in their ring.
//!
//! The BPF programs count them, and every record contains the count before it. So the loss is reported right before the
//! first record that follows it: none is missing between two adjacent records without a loss between them.

use probe_ebpf::RecordHeader;

use crate::model::{Input, LossStage};

/// A number of lost records or events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    pub count: u64,
    /// The stage at which they were lost, as in [`Input::Lost`](crate::model::Input::Lost).
    pub stage: LossStage,
}

impl From<Gap> for Input {
    fn from(gap: Gap) -> Self {
        Self::Lost { count: gap.count, stage: gap.stage }
    }
}

/// The part of the count that was reported. The count wraps.
#[derive(Default)]
pub struct Losses(u32);

impl Losses {
    /// The records lost before this one that were not reported yet.
    pub fn before(&mut self, record: &RecordHeader) -> Option<Gap> {
        self.up_to(record.lost)
    }

    /// The records lost up to this count that were not reported yet. A record that was reserved before others were lost
    /// may be read after records with a higher count.
    pub fn up_to(&mut self, count: u32) -> Option<Gap> {
        let new = count.wrapping_sub(self.0);
        if new == 0 || new > u32::MAX / 2 {
            return None;
        }
        self.0 = count;
        Some(Gap { count: new.into(), stage: LossStage::Ring })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_loss_is_reported_once() {
        let mut losses = Losses::default();
        let mut new = |count: u32| losses.up_to(count).map_or(0, |gap| gap.count);
        assert_eq!(
            [0, 3, 3, 2, 10, u32::MAX / 2].map(&mut new),
            [0, 3, 0, 0, 7, u64::from(u32::MAX / 2) - 10]
        );
        assert_eq!([u32::MAX - 1, 1].map(&mut new), [u64::from(u32::MAX / 2), 3]);
    }
}
