//! What can be told of a record without decoding it: what a recording has to know while it is made.

use probe_ebpf::{
    KIND_BIND, KIND_CALLED, KIND_CLOSED, KIND_OPENED, KIND_SUMMARY, KIND_TRANSITION, OWNER_EXACT,
    OWNER_LISTENER, OpenedRecord, RecordHeader, SummaryRecord, TransitionRecord,
};
use zerocopy::FromBytes as _;

use crate::model::{Mono, State};

/// What a record begins with.
pub fn header(record: &[u8]) -> Option<RecordHeader> {
    RecordHeader::read_from_prefix(record).ok().map(|(header, _)| header)
}

/// When it was.
pub fn at(header: &RecordHeader) -> Mono {
    Mono(header.mono_ns)
}

/// Whether it is of a failed bind.
pub fn is_bind(kind: u16) -> bool {
    kind == KIND_BIND
}

/// The cgroup of the owner that a record of this kind names.
pub fn cgroup(kind: u16, record: &[u8]) -> Option<u64> {
    let (known, cgroup) = match kind {
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

/// The socket, by the address of its structure, and the state that it enters; `None` where this is no transition.
pub fn entered(kind: u16, record: &[u8]) -> Option<(u64, State)> {
    if !matches!(kind, KIND_TRANSITION | KIND_CALLED | KIND_OPENED | KIND_CLOSED) {
        return None;
    }
    let (transition, _) = TransitionRecord::read_from_prefix(record).ok()?;
    Some((transition.skaddr, State::from_kernel(transition.new)?))
}
