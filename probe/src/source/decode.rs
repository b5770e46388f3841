//! From the ring's bytes to events: a [`Report`] each, or what explains one.

mod bind;
// Public for `probe/benches` only.
pub mod peek;
mod reset;
mod summary;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use probe_ebpf::{
    BindRecord, ClosedRecord, FLAGS_UNKNOWN, InCallRecord, KIND_BIND, KIND_CLOSED, KIND_IN_CALL, KIND_OPENED,
    KIND_RESET, KIND_SUMMARY, KIND_TRANSITION, OWNER_EXACT, OWNER_LISTENER, OWNER_MATCHES, OpenedRecord,
    RST_WATCHED, RecordHeader, ResetRecord, SOCKET_FIN_RECEIVED, SOCKET_ORPHANED, SOCKET_RST_RECEIVED,
    SummaryRecord, TaskRecord, TransitionRecord, UNKNOWN_U8, UNKNOWN_U32,
};
use thiserror::Error;
use zerocopy::FromBytes;

pub use self::reset::Reasons;
use crate::model::{
    Backend, Counters, Endpoint, Endpoints, Errno, Family, Input, Known, Mono, Name, Opened, Protocol,
    Report, State, Task,
};

/// A record that the two sides do not agree on.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// Of a length or kind that does not exist.
    #[error("a record of {length} bytes and kind {kind:?} came out of the ring")]
    Layout {
        /// Its length.
        length: usize,
        /// Its kind, where it is long enough to have one.
        kind: Option<u16>,
    },
    /// With a value that has no meaning.
    #[error("a record with {what} {value} came out of the ring")]
    Value {
        /// The field.
        what: &'static str,
        /// Its content.
        value: u32,
    },
}

/// Decodes one record, which begins with `header`. `reasons` names the reset reasons.
pub fn decode(
    header: &RecordHeader,
    bytes: &[u8],
    backend: Backend,
    reasons: &Reasons,
) -> Result<Input, DecodeError> {
    let layout = || DecodeError::Layout { length: bytes.len(), kind: Some(header.kind) };
    match header.kind {
        KIND_TRANSITION => {
            let record = TransitionRecord::read_from_bytes(bytes).map_err(|_| layout())?;
            Ok(Input::Report(report(&record, Sense::of(&record)?, Beside::default(), backend)))
        }
        KIND_IN_CALL => {
            let record = InCallRecord::read_from_bytes(bytes).map_err(|_| layout())?;
            let beside = Beside { task: task(&record.task), ..Beside::default() };
            Ok(Input::Report(report(&record.transition, Sense::of(&record.transition)?, beside, backend)))
        }
        KIND_OPENED => {
            let record = OpenedRecord::read_from_bytes(bytes).map_err(|_| layout())?;
            let opened = opened(record.generation, record.known, &record.owner, record.owner_cgroup);
            let on_cpu = if opened.known == Known::Listener { None } else { task(&record.owner) };
            let beside = Beside { task: on_cpu, opened: Some(opened), counters: None };
            Ok(Input::Report(report(&record.transition, Sense::of(&record.transition)?, beside, backend)))
        }
        KIND_CLOSED => {
            let record = ClosedRecord::read_from_bytes(bytes).map_err(|_| layout())?;
            Ok(Input::Report(closed(&record, Sense::of(&record.transition)?, None, backend)))
        }
        KIND_SUMMARY => {
            let record = SummaryRecord::read_from_bytes(bytes).map_err(|_| layout())?;
            summary::decode(&record, backend).map(Input::Summary)
        }
        KIND_BIND => {
            let record = BindRecord::read_from_bytes(bytes).map_err(|_| layout())?;
            Ok(Input::BindFailed(Box::new(bind::decode(&record)?)))
        }
        KIND_RESET => {
            let record = ResetRecord::read_from_bytes(bytes).map_err(|_| layout())?;
            Ok(Input::Reset(reset::decode(&record, reasons)?))
        }
        _ => Err(layout()),
    }
}

fn closed(record: &ClosedRecord, sense: Sense, opened: Option<Opened>, backend: Backend) -> Report {
    let beside = Beside { task: task(&record.task), opened, counters: counters(record) };
    report(&record.transition, sense, beside, backend)
}

/// What of a record may have no meaning, as it is meant. It is looked at first: with nothing left that could fail, the report
/// is put together where it stays.
#[derive(Clone, Copy)]
struct Sense {
    protocol: Protocol,
    family: Family,
    old: State,
    new: State,
}

impl Sense {
    fn of(record: &TransitionRecord) -> Result<Self, DecodeError> {
        Ok(Self {
            protocol: protocol(record.protocol)?,
            family: family(record.family)?,
            old: state("old state", record.old)?,
            new: state("new state", record.new)?,
        })
    }
}

/// What a record may have beside the transition.
#[derive(Default)]
struct Beside {
    /// Who was on the CPU, where that may say something.
    task: Option<Task>,
    opened: Option<Opened>,
    counters: Option<Counters>,
}

fn report(record: &TransitionRecord, sense: Sense, beside: Beside, backend: Backend) -> Report {
    let Sense { protocol, family, old, new } = sense;
    let Beside { task, opened, counters } = beside;
    let has = |bit| record.flags & bit != 0;
    let flag = |bit| (!has(FLAGS_UNKNOWN)).then_some(has(bit));
    Report {
        at: Mono(record.header.mono_ns),
        cpu: record.header.cpu.into(),
        socket: match backend {
            Backend::TpBtf => record.cookie,
            Backend::Tracepoint => record.skaddr,
        },
        cookie: (record.cookie != 0).then_some(record.cookie),
        netns: (record.netns != 0).then_some(record.netns),
        protocol,
        family,
        ends: Endpoints {
            local: Endpoint::new(address(family, record.local_addr), record.local_port),
            remote: Endpoint::new(address(family, record.remote_addr), record.remote_port),
        },
        old,
        new,
        error: (record.error != UNKNOWN_U32)
            .then(|| i32::try_from(record.error).ok().filter(|error| *error != 0).map(Errno)),
        shutdown: (record.shutdown != UNKNOWN_U8).then_some(record.shutdown),
        orphaned: flag(SOCKET_ORPHANED),
        fin_received: flag(SOCKET_FIN_RECEIVED),
        rst_received: has(RST_WATCHED).then_some(has(SOCKET_RST_RECEIVED)),
        syscall: (record.syscall != UNKNOWN_U32).then_some(record.syscall),
        task,
        owner_matches: has(OWNER_MATCHES).then_some(true),
        opened,
        counters,
    }
}

fn protocol(number: u16) -> Result<Protocol, DecodeError> {
    match i32::from(number) {
        nix::libc::IPPROTO_TCP => Ok(Protocol::Tcp),
        nix::libc::IPPROTO_MPTCP => Ok(Protocol::Mptcp),
        _ => Err(DecodeError::Value { what: "protocol", value: number.into() }),
    }
}

fn family(number: u16) -> Result<Family, DecodeError> {
    match i32::from(number) {
        nix::libc::AF_INET => Ok(Family::Ipv4),
        nix::libc::AF_INET6 => Ok(Family::Ipv6),
        _ => Err(DecodeError::Value { what: "family", value: number.into() }),
    }
}

fn address(family: Family, bytes: [u8; 16]) -> IpAddr {
    match family {
        Family::Ipv4 => Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).into(),
        Family::Ipv6 => Ipv6Addr::from(bytes).into(),
    }
}

fn state(what: &'static str, number: u8) -> Result<State, DecodeError> {
    State::from_kernel(number).ok_or(DecodeError::Value { what, value: number.into() })
}

/// Thread group 0 is the idle task or a kernel thread: a bystander, nobody's process.
fn task(record: &TaskRecord) -> Option<Task> {
    (record.tgid != 0).then(|| Task {
        pid: record.tgid,
        uid: record.uid,
        comm: Name::from_bytes(&record.comm),
    })
}

fn opened(generation: u32, known: u32, owner: &TaskRecord, cgroup: u64) -> Opened {
    let known = match known {
        OWNER_EXACT => Known::Exact,
        OWNER_LISTENER => Known::Listener,
        _ => Known::Unknown,
    };
    let owned = known != Known::Unknown;
    Opened {
        generation,
        owner: owned.then(|| task(owner)).flatten(),
        known,
        cgroup: (owned && cgroup != 0).then_some(cgroup),
    }
}

/// All or nothing: the counters of an MPTCP socket, or of a kernel without type information, are not
/// there at all.
fn counters(record: &ClosedRecord) -> Option<Counters> {
    // `bytes_received` follows `rcv_nxt`, and a FIN takes a sequence number (tcp_rcv_nxt_update).
    let flags = record.transition.flags;
    let fin = u64::from(flags & FLAGS_UNKNOWN == 0 && flags & SOCKET_FIN_RECEIVED != 0);
    (record.segs_out != UNKNOWN_U32).then(|| Counters {
        bytes_sent: record.bytes_sent.saturating_sub(record.bytes_retrans),
        bytes_received: record.bytes_received.saturating_sub(fin),
        segs_out: record.segs_out,
        segs_in: record.segs_in,
        retransmits: record.retransmits,
        srtt_us: (record.srtt_us != 0 && record.srtt_us != UNKNOWN_U32).then_some(record.srtt_us),
    })
}

#[cfg(test)]
mod tests {
    use zerocopy::{FromZeros, IntoBytes};

    use super::*;

    fn decode(bytes: &[u8], backend: Backend) -> Result<Input, DecodeError> {
        super::decode(&peek::header(bytes)?, bytes, backend, &Reasons::default())
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
        assert_eq!(report.ends.local.to_string(), "127.0.0.1:1314");
        assert_eq!(report.ends.remote.port, None);
        assert_eq!((report.netns, report.task, report.shutdown), (None, None, Some(0)));
        let classic = decoded(&record(), Backend::Tracepoint);
        assert_eq!((classic.socket, classic.cookie), (0xffff_8880_0000_1000, Some(77)));
    }

    #[test]
    fn unknown_is_not_zero() {
        let mut unknown = record();
        unknown.error = UNKNOWN_U32;
        unknown.shutdown = UNKNOWN_U8;
        unknown.syscall = UNKNOWN_U32;
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
    fn that_no_reset_came_is_known_where_they_are_watched() {
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
    fn every_kind_is_cut_to_its_own_length() {
        let short = RecordHeader { kind: KIND_BIND, cpu: 0, lost: 0, mono_ns: 0 };
        for kind in [KIND_TRANSITION, KIND_OPENED, KIND_CLOSED, KIND_SUMMARY, KIND_BIND, KIND_RESET] {
            let header = RecordHeader { kind, ..short };
            let refused = decode(header.as_bytes(), Backend::TpBtf);
            assert_eq!(refused, Err(DecodeError::Layout { length: 16, kind: Some(kind) }));
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let whole = record();
        assert!(matches!(decode(&whole.as_bytes()[..60], Backend::TpBtf), Err(DecodeError::Layout { .. })));
        assert!(matches!(decode(&[], Backend::TpBtf), Err(DecodeError::Layout { kind: None, .. })));
        let sctp = TransitionRecord { protocol: 132, ..whole };
        assert_eq!(
            decode(sctp.as_bytes(), Backend::TpBtf),
            Err(DecodeError::Value { what: "protocol", value: 132 })
        );
        let nowhere = TransitionRecord { new: 13, ..whole };
        assert_eq!(
            decode(nowhere.as_bytes(), Backend::TpBtf),
            Err(DecodeError::Value { what: "new state", value: 13 })
        );
    }
}
