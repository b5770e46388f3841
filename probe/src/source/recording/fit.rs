//! Ring records of other versions, made as long as this version decodes them.
//!
//! Within one layout, fields are only added at the end of a record. A longer record is read up to the fields that this
//! version knows. A shorter one gets the fields that it lacks, with the values that stand for unknown.

use std::sync::LazyLock;

use probe_ebpf::{
    BindRecord, ClosedRecord, InCallRecord, KIND_BIND, KIND_CLOSED, KIND_IN_CALL, KIND_OPENED, KIND_RESET,
    KIND_SUMMARY, KIND_TRANSITION, OpenedRecord, ResetRecord, SummaryRecord, TransitionRecord, UNKNOWN_U8,
    UNKNOWN_U16, UNKNOWN_U32,
};
use zerocopy::{FromZeros as _, IntoBytes as _};

use crate::record::peek;

/// A record of this version's length.
#[derive(Debug, PartialEq, Eq)]
pub enum Fitted<'a> {
    /// One that can be decoded, or is too short to be.
    Record(&'a [u8]),
    /// One of a kind that this version does not know.
    UnknownKind(u16),
}

/// Makes the record as long as this version decodes it; `buffer` holds one that had to be extended.
#[inline]
pub fn fit<'a>(record: &'a [u8], buffer: &'a mut Vec<u8>) -> Fitted<'a> {
    let Some(header) = peek::header(record) else { return Fitted::Record(record) };
    let Some(length) = length(header.kind) else { return Fitted::UnknownKind(header.kind) };
    match record.get(..length) {
        Some(known) => Fitted::Record(known),
        None => Fitted::Record(extend(header.kind, record, buffer)),
    }
}

/// The bytes of a record of this kind.
const fn length(kind: u16) -> Option<usize> {
    Some(match kind {
        KIND_TRANSITION => size_of::<TransitionRecord>(),
        KIND_IN_CALL => size_of::<InCallRecord>(),
        KIND_OPENED => size_of::<OpenedRecord>(),
        KIND_CLOSED => size_of::<ClosedRecord>(),
        KIND_SUMMARY => size_of::<SummaryRecord>(),
        KIND_BIND => size_of::<BindRecord>(),
        KIND_RESET => size_of::<ResetRecord>(),
        _ => return None,
    })
}

/// Appends the unknown fields, where what identifies the event is there.
#[cold]
fn extend<'a>(kind: u16, record: &'a [u8], buffer: &'a mut Vec<u8>) -> &'a [u8] {
    let unknown = match kind {
        KIND_IN_CALL => IN_CALL.as_bytes(),
        KIND_OPENED => OPENED.as_bytes(),
        KIND_CLOSED => SUMMARY.closed.as_bytes(),
        KIND_SUMMARY => SUMMARY.as_bytes(),
        KIND_BIND if record.len() >= std::mem::offset_of!(BindRecord, task) => BIND.as_bytes(),
        _ => return record,
    };
    if kind != KIND_BIND && record.len() < size_of::<TransitionRecord>() {
        return record;
    }
    buffer.clear();
    buffer.extend_from_slice(record);
    buffer.extend_from_slice(&unknown[record.len()..]);
    buffer
}

/// No task on the CPU.
static IN_CALL: LazyLock<InCallRecord> = LazyLock::new(InCallRecord::new_zeroed);

/// No owner.
static OPENED: LazyLock<OpenedRecord> = LazyLock::new(OpenedRecord::new_zeroed);

/// No caller, and no options.
static BIND: LazyLock<BindRecord> = LazyLock::new(|| {
    let mut record = BindRecord::new_zeroed();
    (record.options, record.device, record.uid) = (UNKNOWN_U32, UNKNOWN_U32, UNKNOWN_U32);
    record
});

/// No counters, no times, and an incomplete path.
static SUMMARY: LazyLock<SummaryRecord> = LazyLock::new(|| {
    let mut record = SummaryRecord::new_zeroed();
    let closed = &mut record.closed;
    for bytes in [&mut closed.bytes_sent, &mut closed.bytes_retrans, &mut closed.bytes_received] {
        *bytes = u64::MAX;
    }
    for segments in [&mut closed.segs_out, &mut closed.segs_in, &mut closed.retransmits, &mut closed.srtt_us]
    {
        *segments = UNKNOWN_U32;
    }
    closed.bytes_acked = u64::MAX;
    closed.in_flight = UNKNOWN_U32;
    closed.error_soft = UNKNOWN_U16;
    (closed.linger2_is_negative, closed.has_unsent) = (UNKNOWN_U8, UNKNOWN_U8);
    record.has_gap = 1;
    record
});

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use probe_ebpf::RecordHeader;

    use super::*;
    use crate::{
        model::{Backend, BindOptions, Input, Known, Mono, State},
        source::{decode::ResetReasons, raw_record::Decoder},
    };

    fn decoded(record: &[u8]) -> Option<Input> {
        let mut buffer = Vec::new();
        let Fitted::Record(record) = fit(record, &mut buffer) else { return None };
        Decoder::new(Backend::TpBtf, ResetReasons::default()).decode(record).ok()
    }

    fn summary() -> SummaryRecord {
        let mut record = SummaryRecord::new_zeroed();
        let transition = &mut record.closed.transition;
        transition.header = RecordHeader { kind: KIND_SUMMARY, cpu: 1, lost: 0, mono_ns: 5 };
        (transition.protocol, transition.family) = (6, 2);
        (transition.old, transition.new) = (State::Established as u8, State::Close as u8);
        record.closed.segs_out = 3;
        record.closed.segs_in = 4;
        record.opened_ns = 2;
        record.generation = 7;
        record
    }

    /// The record as another kind, of which it has the fields.
    fn of_kind(kind: u16, length: usize) -> Vec<u8> {
        let mut record = summary();
        record.closed.transition.header.kind = kind;
        record.as_bytes()[..length].to_vec()
    }

    #[test]
    fn a_longer_record_is_decoded_by_the_fields_that_are_known() {
        for kind in [KIND_TRANSITION, KIND_IN_CALL, KIND_OPENED, KIND_CLOSED, KIND_SUMMARY] {
            let record = of_kind(kind, length(kind).expect("a known kind"));
            let longer = [&record[..], &[0xff; 16]].concat();
            assert!(decoded(&record).is_some());
            assert_eq!(decoded(&longer), decoded(&record), "kind {kind}");
        }
    }

    #[test]
    fn the_fields_that_a_shorter_record_lacks_are_unknown() {
        let Some(Input::Report(report)) = decoded(&of_kind(KIND_CLOSED, 88)) else { panic!("a report") };
        assert_eq!((report.counters, report.task), (None, None));
        assert_eq!((report.at, report.old, report.new), (Mono(5), State::Established, State::Close));
        let Some(Input::Report(report)) = decoded(&of_kind(KIND_OPENED, 88)) else { panic!("a report") };
        let opened = report.opened.expect("it opens a socket");
        assert_eq!((opened.owner, opened.known, opened.cgroup), (None, Known::Unknown, None));
        let Some(Input::Report(report)) = decoded(&of_kind(KIND_IN_CALL, 88)) else { panic!("a report") };
        assert_eq!(report.task, None);
        // Counters but no round-trip time, then counters but no path.
        let no_times = offset_of!(SummaryRecord, opened_ns);
        let no_path = offset_of!(SummaryRecord, established_ns);
        for length in [offset_of!(ClosedRecord, srtt_us), no_times, no_path] {
            let Some(Input::Summary(summary)) = decoded(&of_kind(KIND_SUMMARY, length)) else {
                panic!("a summary")
            };
            let counters = summary.end.counters.expect("it has counters");
            assert_eq!((counters.segs_out, counters.segs_in, counters.srtt_us), (3, 4, None));
            assert_eq!(summary.path, [State::Established, State::Close].into());
            assert!(!summary.path_is_complete);
            assert_eq!(summary.opened, (length == no_path).then_some(Mono(2)));
        }
    }

    #[test]
    fn a_record_without_its_addresses_is_not_decoded() {
        for kind in [KIND_TRANSITION, KIND_IN_CALL, KIND_OPENED, KIND_CLOSED, KIND_SUMMARY, KIND_RESET] {
            for length in [0, 15, 16, 80] {
                assert_eq!(decoded(&of_kind(kind, length)), None, "kind {kind}, {length} bytes");
            }
        }
    }

    #[test]
    fn a_failed_bind_may_lack_its_caller() {
        let mut record = BindRecord::new_zeroed();
        record.header.kind = KIND_BIND;
        (record.protocol, record.family, record.address_family) = (6, 2, 2);
        record.task.tgid = 9;
        let Some(Input::BindFailed(failure)) = decoded(&record.as_bytes()[..64]) else { panic!("a bind") };
        assert_eq!((failure.task, failure.options), (None, BindOptions::default()));
        assert_eq!(decoded(&record.as_bytes()[..56]), None);
    }

    #[test]
    fn an_unknown_kind_is_named() {
        assert_eq!(fit(&of_kind(41, 64), &mut Vec::new()), Fitted::UnknownKind(41));
    }
}
