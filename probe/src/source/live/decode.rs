//! From the ring's bytes to a [`Report`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use probe_ebpf::{
    ClosedRecord, KIND_CLOSED, KIND_OPENED, KIND_TRANSITION, OWNER_EXACT, OWNER_LISTENER, OpenedRecord,
    RecordHeader, SOCKET_FIN_RECEIVED, SOCKET_ORPHANED, TaskRecord, TransitionRecord, UNKNOWN_U8,
    UNKNOWN_U32,
};
use thiserror::Error;
use zerocopy::FromBytes;

use crate::model::{
    Backend, Counters, Endpoint, Endpoints, Errno, Family, Known, Mono, Name, Opened, Protocol, Report,
    State, Task,
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
        kind: Option<u32>,
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

/// Decodes one record.
pub fn decode(bytes: &[u8], backend: Backend) -> Result<Report, DecodeError> {
    let kind = RecordHeader::read_from_prefix(bytes).ok().map(|(header, _)| header.kind);
    let layout = || DecodeError::Layout { length: bytes.len(), kind };
    match kind {
        Some(KIND_TRANSITION) => {
            report(&TransitionRecord::read_from_bytes(bytes).map_err(|_| layout())?, backend)
        }
        Some(KIND_OPENED) => {
            let record = OpenedRecord::read_from_bytes(bytes).map_err(|_| layout())?;
            Ok(Report { opened: Some(opened(&record)), ..report(&record.transition, backend)? })
        }
        Some(KIND_CLOSED) => {
            let record = ClosedRecord::read_from_bytes(bytes).map_err(|_| layout())?;
            Ok(Report { counters: counters(&record), ..report(&record.transition, backend)? })
        }
        _ => Err(layout()),
    }
}

fn report(record: &TransitionRecord, backend: Backend) -> Result<Report, DecodeError> {
    let protocol = match i32::from(record.protocol) {
        nix::libc::IPPROTO_TCP => Protocol::Tcp,
        nix::libc::IPPROTO_MPTCP => Protocol::Mptcp,
        other => return Err(DecodeError::Value { what: "protocol", value: other.unsigned_abs() }),
    };
    let family = match i32::from(record.family) {
        nix::libc::AF_INET => Family::Ipv4,
        nix::libc::AF_INET6 => Family::Ipv6,
        other => return Err(DecodeError::Value { what: "family", value: other.unsigned_abs() }),
    };
    let flag = |bit| (record.flags != UNKNOWN_U8).then_some(record.flags & bit != 0);
    Ok(Report {
        at: Mono(record.header.mono_ns),
        cpu: record.header.cpu,
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
        old: state("old state", record.old)?,
        new: state("new state", record.new)?,
        error: (record.error != UNKNOWN_U32)
            .then(|| i32::try_from(record.error).ok().filter(|error| *error != 0).map(Errno)),
        shutdown: (record.shutdown != UNKNOWN_U8).then_some(record.shutdown),
        orphaned: flag(SOCKET_ORPHANED),
        fin_received: flag(SOCKET_FIN_RECEIVED),
        rst_received: None,
        syscall: (record.syscall != UNKNOWN_U32).then_some(record.syscall),
        task: task(&record.task),
        owner_matches: None,
        opened: None,
        counters: None,
    })
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

fn opened(record: &OpenedRecord) -> Opened {
    let known = match record.known {
        OWNER_EXACT => Known::Exact,
        OWNER_LISTENER => Known::Listener,
        _ => Known::Unknown,
    };
    let owned = known != Known::Unknown;
    Opened {
        generation: record.generation,
        owner: owned.then(|| task(&record.owner)).flatten(),
        known,
        cgroup: (owned && record.owner_cgroup != 0).then_some(record.owner_cgroup),
    }
}

/// All or nothing: the counters of an MPTCP socket, or of a kernel without type information, are not
/// there at all.
fn counters(record: &ClosedRecord) -> Option<Counters> {
    // `bytes_received` follows `rcv_nxt`, and a FIN takes a sequence number (tcp_rcv_nxt_update).
    let flags = record.transition.flags;
    let fin = u64::from(flags != UNKNOWN_U8 && flags & SOCKET_FIN_RECEIVED != 0);
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

    fn record() -> TransitionRecord {
        let mut record = TransitionRecord::new_zeroed();
        record.header = RecordHeader { kind: KIND_TRANSITION, cpu: 1, mono_ns: 5 };
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

    #[test]
    fn a_record_becomes_a_report() {
        let report = decode(record().as_bytes(), Backend::TpBtf).expect("well-formed");
        assert_eq!(report.socket, 77);
        assert_eq!(report.error, Some(Some(Errno::ECONNREFUSED)));
        assert_eq!(report.ends.local.to_string(), "127.0.0.1:1314");
        assert_eq!(report.ends.remote.port, None);
        assert_eq!((report.netns, report.task, report.shutdown), (None, None, Some(0)));
        let classic = decode(record().as_bytes(), Backend::Tracepoint).expect("well-formed");
        assert_eq!((classic.socket, classic.cookie), (0xffff_8880_0000_1000, Some(77)));
    }

    #[test]
    fn unknown_is_not_zero() {
        let mut unknown = record();
        unknown.error = UNKNOWN_U32;
        unknown.shutdown = UNKNOWN_U8;
        unknown.syscall = UNKNOWN_U32;
        let report = decode(unknown.as_bytes(), Backend::TpBtf).expect("well-formed");
        assert_eq!((report.error, report.shutdown, report.syscall), (None, None, None));
        unknown.error = 0;
        let report = decode(unknown.as_bytes(), Backend::TpBtf).expect("well-formed");
        assert_eq!(report.error, Some(None));
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
