//! What a recording needs to know of a ring record, without decoding it.

use std::mem::offset_of;

use probe_ebpf::{
    KIND_BIND, KIND_CLOSED, KIND_IN_CALL, KIND_OPENED, KIND_SUMMARY, KIND_TRANSITION, OWNER_EXACT,
    OWNER_LISTENER, OpenedRecord, RecordHeader, SummaryRecord, TransitionRecord,
};
use zerocopy::FromBytes;

use crate::model::State;

/// Parses the header of a record; `None` if it is shorter than one.
#[inline]
#[must_use]
pub fn header(record: &[u8]) -> Option<RecordHeader> {
    field(record, 0)
}

/// Whether the record reports a bind(2) that failed.
#[must_use]
pub fn is_bind(header: &RecordHeader) -> bool {
    header.kind == KIND_BIND
}

/// The id of the owner's cgroup, if the record names one.
#[inline]
#[must_use]
pub fn cgroup(header: &RecordHeader, record: &[u8]) -> Option<u64> {
    let (known, cgroup) = match header.kind {
        KIND_OPENED => (offset_of!(OpenedRecord, known), offset_of!(OpenedRecord, owner_cgroup)),
        KIND_SUMMARY => (offset_of!(SummaryRecord, known), offset_of!(SummaryRecord, owner_cgroup)),
        _ => return None,
    };
    let is_known = matches!(field(record, known)?, OWNER_EXACT | OWNER_LISTENER);
    field(record, cgroup).filter(|id| is_known && *id != 0)
}

/// A transition's socket, by the address of its structure in the kernel, and its states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The address.
    pub socket: u64,
    /// The state that the socket leaves.
    pub old: State,
    /// The state that it enters.
    pub new: State,
}

/// The transition that the record reports by itself, if it does.
#[must_use]
pub fn change(header: &RecordHeader, record: &[u8]) -> Option<Change> {
    if !matches!(header.kind, KIND_TRANSITION | KIND_IN_CALL | KIND_OPENED | KIND_CLOSED) {
        return None;
    }
    let socket = field(record, offset_of!(TransitionRecord, skaddr))?;
    let state = |offset| State::from_kernel(field(record, offset)?);
    let (old, new) = (offset_of!(TransitionRecord, old), offset_of!(TransitionRecord, new));
    Some(Change { socket, old: state(old)?, new: state(new)? })
}

/// The field at this offset; `None` where the record ends before it.
#[inline]
fn field<T: FromBytes>(record: &[u8], offset: usize) -> Option<T> {
    T::read_from_prefix(record.get(offset..)?).ok().map(|(value, _)| value)
}
