//! Records for which a ring had no room, told where they are missing.
//!
//! The kernel side counts them, and every record says how many there had been before it. So the loss is told right
//! before the first record after it: between two reports that follow each other in the stream, none is missing.

use probe_ebpf::RecordHeader;

use crate::model::Input;

/// So many records are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    pub count: u64,
    /// Where they went missing: one of the stream's words for that.
    pub place: &'static str,
}

impl From<Gap> for Input {
    fn from(gap: Gap) -> Self {
        Self::Lost { count: gap.count, stage: gap.place.into() }
    }
}

/// How much has been told of the kernel side's count, which wraps.
#[derive(Default)]
pub struct Losses(u32);

impl Losses {
    /// What is missing before this record.
    pub fn before(&mut self, record: &RecordHeader) -> Option<Gap> {
        self.up_to(record.lost)
    }

    /// What is new. A record that waited for its place while others were lost has an older count than the one before.
    pub fn up_to(&mut self, count: u32) -> Option<Gap> {
        let new = count.wrapping_sub(self.0);
        if new == 0 || new > u32::MAX / 2 {
            return None;
        }
        self.0 = count;
        Some(Gap { count: new.into(), place: "ring" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_loss_is_told_once() {
        let mut losses = Losses::default();
        let mut new = |count: u32| losses.up_to(count).map_or(0, |gap| gap.count);
        assert_eq!(
            [0, 3, 3, 2, 10, u32::MAX / 2].map(&mut new),
            [0, 3, 0, 0, 7, u64::from(u32::MAX / 2) - 10]
        );
        assert_eq!([u32::MAX - 1, 1].map(&mut new), [u64::from(u32::MAX / 2), 3]);
    }
}
