//! What a recording needs to know of a record while it is made, without decoding it.

use probe_ebpf::{
    KIND_BIND, KIND_CLOSED, KIND_IN_CALL, KIND_OPENED, KIND_SUMMARY, KIND_TRANSITION, OWNER_EXACT,
    OWNER_LISTENER, OpenedRecord, RecordHeader, SummaryRecord, TransitionRecord,
};
use zerocopy::FromBytes as _;

use super::DecodeError;
use crate::model::State;

/// Parses the header of a record.
#[inline]
pub fn header(record: &[u8]) -> Result<RecordHeader, DecodeError> {
    match RecordHeader::read_from_prefix(record) {
        Ok((header, _)) => Ok(header),
        Err(_) => Err(DecodeError::Layout { length: record.len(), kind: None }),
    }
}

/// Whether the record reports a bind(2) that failed.
pub fn is_bind(header: &RecordHeader) -> bool {
    header.kind == KIND_BIND
}

/// The id of the owner's cgroup, if the record names one.
pub fn cgroup(header: &RecordHeader, record: &[u8]) -> Option<u64> {
    let (known, cgroup) = match header.kind {
        KIND_OPENED => {
            let opened = OpenedRecord::read_from_bytes(record).ok()?;
            (opened.known, opened.owner_cgroup)
        }
        KIND_SUMMARY => {
            let summary = SummaryRecord::read_from_bytes(record).ok()?;
            (summary.known, summary.owner_cgroup)
        }
        _ => return None,
    };
    (matches!(known, OWNER_EXACT | OWNER_LISTENER) && cgroup != 0).then_some(cgroup)
}

/// A transition's socket, by the address of its structure in the kernel, and its states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    pub socket: u64,
    pub old: State,
    pub new: State,
}

/// The transition that the record reports by itself, if it does.
pub fn change(header: &RecordHeader, record: &[u8]) -> Option<Change> {
    if !matches!(header.kind, KIND_TRANSITION | KIND_IN_CALL | KIND_OPENED | KIND_CLOSED) {
        return None;
    }
    let (transition, _) = TransitionRecord::read_from_prefix(record).ok()?;
    Some(Change {
        socket: transition.skaddr,
        old: State::from_kernel(transition.old)?,
        new: State::from_kernel(transition.new)?,
    })
}
