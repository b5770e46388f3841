//! The receiving end of a source.

use std::{collections::BTreeMap, ops::ControlFlow};

use super::RawRecord;
use crate::model::Input;

/// Receives what a [`Source`](super::Source) delivers. Each method says whether the sink takes more now: after `Break`
/// the source stops, and delivers what follows the next time.
pub trait RecordSink {
    /// Takes an input that is not a record of the ring buffer, or one that the source has decoded.
    fn input(&mut self, input: Input) -> ControlFlow<()>;

    /// Takes a record of the ring buffer.
    fn record(&mut self, record: &RawRecord<'_>) -> ControlFlow<()>;

    /// Takes the names of the reset reasons, by the numbers that later records use.
    fn reset_reasons(&mut self, _names: &BTreeMap<u32, String>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// Whether the transition in a record follows from the last one of its socket, as far as the sink knows.
    fn follows(&self, _record: &RawRecord<'_>) -> bool {
        true
    }

    /// Whether records may be delivered late, in larger batches, because they are not shown live.
    fn tolerates_delay(&self) -> bool {
        false
    }
}

/// Collects the inputs, with the records decoded.
impl RecordSink for Vec<Input> {
    fn input(&mut self, input: Input) -> ControlFlow<()> {
        self.push(input);
        ControlFlow::Continue(())
    }

    fn record(&mut self, record: &RawRecord<'_>) -> ControlFlow<()> {
        self.push(record.decode_or_lost());
        ControlFlow::Continue(())
    }
}
