//! State transitions.

use std::num::NonZeroU8;

use probe_ebpf::{
    ClosedRecord, FLAGS_UNKNOWN, InCallRecord, OWNER_EXACT, OWNER_LISTENER, OWNER_MATCHES, OpenedRecord,
    RST_WATCHED, SOCKET_FIN_RECEIVED, SOCKET_IN_REPAIR, SOCKET_IS_SUBFLOW, SOCKET_ORPHANED,
    SOCKET_RST_RECEIVED, TASK_EXITING, TaskRecord, TransitionRecord, UNKNOWN_U8, UNKNOWN_U16, UNKNOWN_U32,
};

use super::{
    error::DecodeError,
    values::{endpoint, family, netns, protocol, state, task},
};
use crate::model::{
    Backend, Counters, Endpoint, Endpoints, Errno, Family, FinalFields, KernelStack, Known, Mono, Opened,
    Protocol, Report, SocketIdentity, State, Task, is_of_listener,
};

/// The report of a bare transition.
pub(super) fn bare(record: &TransitionRecord, fields: CheckedFields, backend: Backend) -> Report {
    report(record, fields, OptionalParts::default(), backend)
}

/// The report of a transition that may have run in a call on the socket.
pub(super) fn in_call(record: &InCallRecord, fields: CheckedFields, backend: Backend) -> Report {
    let parts = OptionalParts { task: task(&record.task), ..OptionalParts::default() };
    report(&record.transition, fields, parts, backend)
}

/// The report of a transition that opens a socket.
pub(super) fn opening(record: &OpenedRecord, fields: CheckedFields, backend: Backend) -> Report {
    let opened = opened(record.generation, record.known, &record.owner, record.owner_cgroup);
    let current = if opened.known == Known::Listener { None } else { task(&record.owner) };
    let parts = OptionalParts { task: current, opened: Some(opened), ..OptionalParts::default() };
    report(&record.transition, fields, parts, backend)
}

/// The report of a transition into CLOSE. `opened` is set for a whole connection.
pub(super) fn closing(
    record: &ClosedRecord,
    fields: CheckedFields,
    opened: Option<Opened>,
    backend: Backend,
) -> Report {
    let parts = OptionalParts {
        task: task(&record.task),
        opened,
        counters: counters(record),
        final_fields: Some(final_fields(record)),
    };
    report(&record.transition, fields, parts, backend)
}

/// The fields of a transition whose values may have no meaning. They are checked first: the report is then built in place
/// by code that cannot fail.
#[derive(Clone, Copy)]
pub(super) struct CheckedFields {
    protocol: Protocol,
    family: Family,
    old: State,
    new: State,
}

impl CheckedFields {
    pub(super) fn of(record: &TransitionRecord) -> Result<Self, DecodeError> {
        Ok(Self {
            protocol: protocol(record.protocol)?,
            family: family(record.family.into())?,
            old: state("old state", record.old)?,
            new: state("new state", record.new)?,
        })
    }
}

/// What some kinds of records add to the transition.
#[derive(Default)]
struct OptionalParts {
    /// The task that was current, if it may be the caller.
    task: Option<Task>,
    opened: Option<Opened>,
    counters: Option<Counters>,
    final_fields: Option<FinalFields>,
}

#[inline]
fn report(
    record: &TransitionRecord,
    fields: CheckedFields,
    parts: OptionalParts,
    backend: Backend,
) -> Report {
    let CheckedFields { protocol, family, old, new } = fields;
    let OptionalParts { task, opened, counters, final_fields } = parts;
    let has = |bit| record.flags & bit != 0;
    let flag = |bit| (!has(FLAGS_UNKNOWN)).then_some(has(bit));
    Report {
        at: Mono(record.header.mono_ns),
        cpu: record.header.cpu,
        socket: match backend {
            Backend::TpBtf => record.cookie,
            Backend::Tracepoint => record.skaddr,
        },
        address: record.skaddr,
        cookie: (record.cookie != 0).then_some(record.cookie),
        identity: SocketIdentity {
            netns: netns(record.netns),
            protocol,
            family,
            endpoints: Endpoints {
                local: endpoint(family, record.local_addr, record.local_port),
                remote: remote(record, fields),
            },
        },
        old,
        new,
        error: errno(record.error),
        shutdown: (record.shutdown != UNKNOWN_U8).then_some(record.shutdown),
        orphaned: flag(SOCKET_ORPHANED),
        fin_received: flag(SOCKET_FIN_RECEIVED),
        rst_received: has(RST_WATCHED).then_some(has(SOCKET_RST_RECEIVED)),
        stack: KernelStack::from_codes(record.stack),
        in_repair: flag(SOCKET_IN_REPAIR),
        is_subflow: new != State::Close && has(SOCKET_IS_SUBFLOW),
        task_exits: has(TASK_EXITING),
        synacks: NonZeroU8::new(record.synacks),
        syscall: (record.syscall != UNKNOWN_U16).then_some(record.syscall.into()),
        task,
        owner_matches: has(OWNER_MATCHES).then_some(true),
        opened,
        counters,
        final_fields,
    }
}

/// The remote endpoint. A listener has none: its fields are those of an earlier connection of the socket, or for an MPTCP
/// listener of an accepted one.
fn remote(record: &TransitionRecord, fields: CheckedFields) -> Endpoint {
    let CheckedFields { family, old, new, .. } = fields;
    if is_of_listener((old, new)) {
        return endpoint(family, [0; 16], 0);
    }
    endpoint(family, record.remote_addr, record.remote_port)
}

/// An error field of the socket: `None` where it could not be read, `Some(None)` where it is 0.
fn errno(error: u16) -> Option<Option<Errno>> {
    (error != UNKNOWN_U16).then(|| (error != 0).then(|| Errno(error.into())))
}

fn final_fields(record: &ClosedRecord) -> FinalFields {
    FinalFields {
        error_soft: errno(record.error_soft),
        in_flight: (record.in_flight != UNKNOWN_U32).then_some(record.in_flight),
        has_unsent: (record.has_unsent != UNKNOWN_U8).then_some(record.has_unsent == 1),
        linger2_is_negative: (record.linger2_is_negative != UNKNOWN_U8)
            .then_some(record.linger2_is_negative == 1),
        bytes_acked: (record.bytes_acked != u64::MAX).then_some(record.bytes_acked),
    }
}

/// The owner and the generation of a socket that has opened.
pub(super) fn opened(generation: u32, known: u32, owner: &TaskRecord, cgroup: u64) -> Opened {
    let known = match known {
        OWNER_EXACT => Known::Exact,
        OWNER_LISTENER => Known::Listener,
        _ => Known::Unknown,
    };
    let is_known = known != Known::Unknown;
    Opened {
        generation,
        owner: is_known.then(|| task(owner)).flatten(),
        known,
        cgroup: (is_known && cgroup != 0).then_some(cgroup),
    }
}

/// The counters: all, or none for an MPTCP socket or on a kernel without type information.
fn counters(record: &ClosedRecord) -> Option<Counters> {
    (record.segs_out != UNKNOWN_U32).then(|| Counters {
        bytes_sent: record.bytes_sent.saturating_sub(record.bytes_retrans),
        bytes_received: record.bytes_received,
        segs_out: record.segs_out,
        synacks: None,
        segs_in: record.segs_in,
        retransmits: record.retransmits,
        srtt_us: (record.srtt_us != 0 && record.srtt_us != UNKNOWN_U32).then_some(record.srtt_us),
    })
}
