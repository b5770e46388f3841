//! Decodes the ring buffer's records: each becomes a [`Report`](crate::model::Report) or another input.

mod bind;
mod error;
mod reset;
mod summary;
mod transition;
mod values;

use probe_ebpf::{
    BindRecord, ClosedRecord, InCallRecord, KIND_BIND, KIND_CLOSED, KIND_IN_CALL, KIND_OPENED, KIND_RESET,
    KIND_SUMMARY, KIND_TRANSITION, OpenedRecord, RecordHeader, ResetRecord, SummaryRecord, TransitionRecord,
};
use zerocopy::{FromBytes, Immutable, KnownLayout};

use self::transition::CheckedFields;
pub use self::{error::DecodeError, reset::ResetReasons};
use crate::model::{Backend, Input};

/// Decodes one record, which begins with `header`. `reasons` names the reset reasons.
///
/// # Errors
/// [`DecodeError`]: the kind is unknown, the length is not that of the kind, or a field's value has no meaning.
pub fn decode(
    header: &RecordHeader,
    bytes: &[u8],
    backend: Backend,
    reasons: &ResetReasons,
) -> Result<Input, DecodeError> {
    match header.kind {
        KIND_TRANSITION => {
            let record = read::<TransitionRecord>(header, bytes)?;
            let fields = CheckedFields::of(&record)?;
            Ok(Input::Report(transition::bare(&record, fields, backend)))
        }
        KIND_IN_CALL => {
            let record = read::<InCallRecord>(header, bytes)?;
            let fields = CheckedFields::of(&record.transition)?;
            Ok(Input::Report(transition::in_call(&record, fields, backend)))
        }
        KIND_OPENED => {
            let record = read::<OpenedRecord>(header, bytes)?;
            let fields = CheckedFields::of(&record.transition)?;
            Ok(Input::Report(transition::opening(&record, fields, backend)))
        }
        KIND_CLOSED => {
            let record = read::<ClosedRecord>(header, bytes)?;
            let fields = CheckedFields::of(&record.transition)?;
            Ok(Input::Report(transition::closing(&record, fields, None, backend)))
        }
        KIND_SUMMARY => {
            let record = read::<SummaryRecord>(header, bytes)?;
            summary::decode(&record, backend).map(Input::Summary)
        }
        KIND_BIND => {
            let record = read::<BindRecord>(header, bytes)?;
            Ok(Input::BindFailed(Box::new(bind::decode(&record)?)))
        }
        KIND_RESET => {
            let record = read::<ResetRecord>(header, bytes)?;
            Ok(Input::Reset(reset::decode(&record, reasons)?))
        }
        _ => Err(layout_error(header, bytes)),
    }
}

fn read<T: FromBytes + KnownLayout + Immutable>(
    header: &RecordHeader,
    bytes: &[u8],
) -> Result<T, DecodeError> {
    T::read_from_bytes(bytes).map_err(|_| layout_error(header, bytes))
}

fn layout_error(header: &RecordHeader, bytes: &[u8]) -> DecodeError {
    DecodeError::Layout { length: bytes.len(), kind: Some(header.kind) }
}

#[cfg(test)]
mod tests {
    use probe_ebpf::{
        FLAGS_UNKNOWN, RST_WATCHED, SOCKET_ORPHANED, SOCKET_RST_RECEIVED, UNKNOWN_U8, UNKNOWN_U16,
    };
    use zerocopy::{FromZeros, IntoBytes};

    use super::*;
    use crate::{
        model::{Errno, Report, State},
        source::raw_record::Decoder,
    };

    fn decode(bytes: &[u8], backend: Backend) -> Result<Input, DecodeError> {
        Decoder::new(backend, ResetReasons::default()).decode(bytes)
    }

    fn record() -> TransitionRecord {
        let mut record = TransitionRecord::new_zeroed();
        record.header = RecordHeader { kind: KIND_TRANSITION, cpu: 1, lost: 0, mono_ns: 5 };
        record.cookie = 77;
        record.skaddr = 0xffff_8880_0000_1000;
        record.protocol = 6;
        record.family = 2;
        record.old = State::SynSent as u8;
        record.new = State::Close as u8;
        record.error = 111;
        record.local_addr[..4].copy_from_slice(&[127, 0, 0, 1]);
        record.local_port = 1314;
        record
    }

    fn decoded(record: &TransitionRecord, backend: Backend) -> Report {
        match decode(record.as_bytes(), backend) {
            Ok(Input::Report(report)) => report,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_record_becomes_a_report() {
        let report = decoded(&record(), Backend::TpBtf);
        assert_eq!(report.socket, 77);
        assert_eq!(report.error, Some(Some(Errno::ECONNREFUSED)));
        assert_eq!(report.identity.endpoints.local.to_string(), "127.0.0.1:1314");
        assert_eq!(report.identity.endpoints.remote.port, None);
        assert_eq!((report.identity.netns, report.task, report.shutdown), (None, None, Some(0)));
        let classic = decoded(&record(), Backend::Tracepoint);
        assert_eq!((classic.socket, classic.cookie), (0xffff_8880_0000_1000, Some(77)));
    }

    #[test]
    fn unknown_is_not_zero() {
        let mut unknown = record();
        unknown.error = UNKNOWN_U16;
        unknown.shutdown = UNKNOWN_U8;
        unknown.syscall = UNKNOWN_U16;
        let report = decoded(&unknown, Backend::TpBtf);
        assert_eq!((report.error, report.shutdown, report.syscall), (None, None, None));
        assert_eq!((report.orphaned, report.fin_received), (Some(false), Some(false)));
        unknown.flags = FLAGS_UNKNOWN | SOCKET_ORPHANED | RST_WATCHED;
        unknown.error = 0;
        let report = decoded(&unknown, Backend::TpBtf);
        assert_eq!(report.error, Some(None));
        assert_eq!((report.orphaned, report.fin_received), (None, None));
        assert_eq!(report.rst_received, Some(false));
    }

    #[test]
    fn the_absence_of_a_reset_is_known_only_where_resets_are_watched() {
        for (flags, received) in [
            (SOCKET_RST_RECEIVED | RST_WATCHED, Some(true)),
            (RST_WATCHED, Some(false)),
            (SOCKET_ORPHANED, None),
        ] {
            let record = TransitionRecord { flags, ..record() };
            let report = decoded(&record, Backend::TpBtf);
            assert_eq!(report.rst_received, received);
        }
    }

    #[test]
    fn a_record_shorter_than_its_kind_is_rejected() {
        let short = RecordHeader { kind: KIND_BIND, cpu: 0, lost: 0, mono_ns: 0 };
        for kind in [KIND_TRANSITION, KIND_OPENED, KIND_CLOSED, KIND_SUMMARY, KIND_BIND, KIND_RESET] {
            let header = RecordHeader { kind, ..short };
            let refused = decode(header.as_bytes(), Backend::TpBtf);
            assert_eq!(refused, Err(DecodeError::Layout { length: 16, kind: Some(kind) }));
        }
    }

    #[test]
    fn a_malformed_record_is_rejected() {
        let whole = record();
        assert!(matches!(decode(&whole.as_bytes()[..60], Backend::TpBtf), Err(DecodeError::Layout { .. })));
        assert!(matches!(decode(&[], Backend::TpBtf), Err(DecodeError::Layout { kind: None, .. })));
        let sctp = TransitionRecord { protocol: 132, ..whole };
        assert_eq!(
            decode(sctp.as_bytes(), Backend::TpBtf),
            Err(DecodeError::Value { field: "protocol", value: 132 })
        );
        let nowhere = TransitionRecord { new: 13, ..whole };
        assert_eq!(
            decode(nowhere.as_bytes(), Backend::TpBtf),
            Err(DecodeError::Value { field: "new state", value: 13 })
        );
    }
}
