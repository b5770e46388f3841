//! What a recording reads of ring records that it keeps as they are: their time, and the cgroup that they name.

use std::mem::offset_of;

use probe_ebpf::{
    BindRecord, KIND_BIND, KIND_OPENED, KIND_SUMMARY, OpenedRecord, RecordHeader, SummaryRecord,
};

/// CLOCK_MONOTONIC at the event, in nanoseconds.
#[inline]
pub fn time(record: &[u8]) -> Option<u64> {
    u64_at(record, offset_of!(RecordHeader, mono_ns))
}

/// The id of the cgroup that the record names.
#[inline]
pub fn cgroup(record: &[u8]) -> Option<u64> {
    let at = match u16::from_ne_bytes(*record.first_chunk()?) {
        KIND_OPENED => offset_of!(OpenedRecord, owner_cgroup),
        KIND_SUMMARY => offset_of!(SummaryRecord, owner_cgroup),
        KIND_BIND => offset_of!(BindRecord, cgroup),
        _ => return None,
    };
    u64_at(record, at).filter(|id| *id != 0)
}

#[inline]
fn u64_at(record: &[u8], at: usize) -> Option<u64> {
    record.get(at..)?.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes))
}
