//! Encodes an input that was never in a ring as the ring record that it would have been.

use std::{
    net::IpAddr,
    num::{NonZeroU8, NonZeroU16},
};

use nix::libc::{AF_INET, AF_INET6, IPPROTO_MPTCP, IPPROTO_TCP};
use probe_ebpf::{
    COMM_LEN, ClosedRecord, FLAGS_UNKNOWN, InCallRecord, KIND_CLOSED, KIND_IN_CALL, KIND_OPENED, KIND_RESET,
    KIND_SUMMARY, KIND_TRANSITION, OWNER_EXACT, OWNER_LISTENER, OWNER_MATCHES, OWNER_UNKNOWN, OpenedRecord,
    PATH_STATES, RST_WATCHED, RecordHeader, ResetRecord, SOCKET_FIN_RECEIVED, SOCKET_IN_REPAIR,
    SOCKET_IS_SUBFLOW, SOCKET_ORPHANED, SOCKET_RST_RECEIVED, STACK_DEPTH, SummaryRecord, TASK_EXITING,
    TaskRecord, TransitionRecord, UNKNOWN_U8, UNKNOWN_U16, UNKNOWN_U32,
};
use zerocopy::{FromZeros as _, IntoBytes as _};

use crate::model::{
    Backend, Counters, Endpoint, Errno, Family, Input, KernelStack, Known, Mono, Opened, Protocol, Report,
    Reset, Summary, Task,
};

/// The input as a record of the ring buffer, with what a record holds of it; `None` for an input that is never one. The
/// reason of a reset is left out: a record has the kernel's number for it.
pub fn encode(input: &Input, backend: Backend) -> Option<Vec<u8>> {
    match input {
        Input::Report(report) => Some(encode_report(report, backend)),
        Input::Summary(summary) => Some(encode_summary(summary, backend).as_bytes().to_vec()),
        Input::Reset(reset) => Some(encode_reset(reset).as_bytes().to_vec()),
        _ => None,
    }
}

fn encode_report(report: &Report, backend: Backend) -> Vec<u8> {
    if let Some(opened) = &report.opened {
        let (known, owner, owner_cgroup) = encode_owner(opened, report);
        let transition = encode_transition(KIND_OPENED, report, backend);
        let generation = opened.generation;
        OpenedRecord { transition, known, generation, owner_cgroup, owner }.as_bytes().to_vec()
    } else if report.counters.is_some() {
        encode_closed(KIND_CLOSED, report, backend).as_bytes().to_vec()
    } else if let Some(task) = &report.task {
        let transition = encode_transition(KIND_IN_CALL, report, backend);
        InCallRecord { transition, task: encode_task(Some(task)) }.as_bytes().to_vec()
    } else {
        encode_transition(KIND_TRANSITION, report, backend).as_bytes().to_vec()
    }
}

fn encode_transition(kind: u16, report: &Report, backend: Backend) -> TransitionRecord {
    let bit = |is_set: Option<bool>, bit: u8| if is_set == Some(true) { bit } else { 0 };
    let mut flags = bit(report.orphaned, SOCKET_ORPHANED)
        | bit(report.fin_received, SOCKET_FIN_RECEIVED)
        | bit(report.rst_received, SOCKET_RST_RECEIVED)
        | bit(report.in_repair, SOCKET_IN_REPAIR)
        | bit(Some(report.is_subflow), SOCKET_IS_SUBFLOW)
        | bit(Some(report.task_exits), TASK_EXITING)
        | bit(report.owner_matches, OWNER_MATCHES);
    if report.orphaned.is_none() || report.fin_received.is_none() {
        flags |= FLAGS_UNKNOWN;
    }
    if report.rst_received.is_some() {
        flags |= RST_WATCHED;
    }
    let (cookie, skaddr) = match backend {
        Backend::TpBtf => (report.socket, report.address),
        Backend::Tracepoint => (report.cookie.unwrap_or(0), report.socket),
    };
    TransitionRecord {
        header: header(kind, report.cpu, report.at),
        cookie,
        skaddr,
        netns: report.identity.netns.unwrap_or(0),
        stack: report.stack.map_or([0; STACK_DEPTH], KernelStack::codes),
        error: error(report.error),
        syscall: report.syscall.map_or(UNKNOWN_U16, |number| number as u16),
        protocol: protocol(report.identity.protocol),
        family: family(report.identity.family) as u8,
        synacks: report.synacks.map_or(0, NonZeroU8::get),
        local_port: report.identity.endpoints.local.port_or_zero(),
        remote_port: report.identity.endpoints.remote.port_or_zero(),
        old: report.old as u8,
        new: report.new as u8,
        shutdown: report.shutdown.unwrap_or(UNKNOWN_U8),
        flags,
        local_addr: address(report.identity.endpoints.local),
        remote_addr: address(report.identity.endpoints.remote),
    }
}

fn error(error: Option<Option<Errno>>) -> u16 {
    error.map_or(UNKNOWN_U16, |error| error.map_or(0, |errno| errno.0 as u16))
}

fn encode_closed(kind: u16, report: &Report, backend: Backend) -> ClosedRecord {
    let unknown = Counters {
        bytes_sent: u64::MAX,
        bytes_received: u64::MAX,
        segs_out: UNKNOWN_U32,
        synacks: None,
        segs_in: UNKNOWN_U32,
        retransmits: UNKNOWN_U32,
        srtt_us: None,
    };
    let counters = report.counters.unwrap_or(unknown);
    let fields = report.final_fields.as_ref();
    ClosedRecord {
        transition: encode_transition(kind, report, backend),
        bytes_sent: counters.bytes_sent,
        bytes_retrans: 0,
        bytes_received: counters.bytes_received,
        segs_out: counters.segs_out,
        segs_in: counters.segs_in,
        retransmits: counters.retransmits,
        srtt_us: counters.srtt_us.unwrap_or(UNKNOWN_U32),
        bytes_acked: fields.and_then(|fields| fields.bytes_acked).unwrap_or(u64::MAX),
        in_flight: fields.and_then(|fields| fields.in_flight).unwrap_or(UNKNOWN_U32),
        error_soft: error(fields.and_then(|fields| fields.error_soft)),
        linger2_is_negative: fields
            .and_then(|fields| fields.linger2_is_negative)
            .map_or(UNKNOWN_U8, u8::from),
        has_unsent: fields.and_then(|fields| fields.has_unsent).map_or(UNKNOWN_U8, u8::from),
        task: encode_task(report.task.as_ref()),
    }
}

fn encode_summary(summary: &Summary, backend: Backend) -> SummaryRecord {
    let none = Opened { generation: 0, owner: None, known: Known::Unknown, cgroup: None };
    let opened = summary.end.opened.as_ref().unwrap_or(&none);
    let (known, owner, owner_cgroup) = encode_owner(opened, &summary.end);
    // The record leaves out the CLOSE at the end.
    let path_length = (summary.path.iter().count() as u32).saturating_sub(1);
    let states = summary.path.iter().take(path_length.min(PATH_STATES.into()) as usize);
    SummaryRecord {
        closed: encode_closed(KIND_SUMMARY, &summary.end, backend),
        opened_ns: summary.opened.map_or(0, |at| at.0),
        established_ns: summary.established.map_or(0, |at| at.0),
        path: states.enumerate().fold(0, |path, (number, state)| path | (state as u64) << (4 * number)),
        path_length,
        known,
        generation: opened.generation,
        first_port: summary.first_port.map_or(0, NonZeroU16::get),
        has_gap: u16::from(!summary.path_is_complete),
        owner_cgroup,
        owner,
    }
}

fn encode_reset(reset: &Reset) -> ResetRecord {
    let mut record = ResetRecord::new_zeroed();
    record.header = header(KIND_RESET, reset.cpu, reset.at);
    record.cookie = reset.socket.number;
    record.netns = reset.identity.netns.unwrap_or(0);
    record.reason = UNKNOWN_U32;
    record.protocol = protocol(reset.identity.protocol);
    record.family = family(reset.identity.family);
    record.local_port = reset.identity.endpoints.local.port_or_zero();
    record.remote_port = reset.identity.endpoints.remote.port_or_zero();
    record.state = reset.state as u32;
    record.local_addr = address(reset.identity.endpoints.local);
    record.remote_addr = address(reset.identity.endpoints.remote);
    record
}

/// How the owner is known, the owner or else the task on the CPU, and its cgroup.
fn encode_owner(opened: &Opened, report: &Report) -> (u32, TaskRecord, u64) {
    let known = match opened.known {
        Known::Exact => OWNER_EXACT,
        Known::Listener => OWNER_LISTENER,
        _ => OWNER_UNKNOWN,
    };
    let task = opened.owner.as_ref().or(report.task.as_ref());
    (known, encode_task(task), opened.cgroup.unwrap_or(0))
}

fn encode_task(task: Option<&Task>) -> TaskRecord {
    let mut record = TaskRecord::new_zeroed();
    if let Some(task) = task {
        record.tgid = task.pid;
        record.uid = task.uid;
        let name = task.comm.as_bytes();
        let length = name.len().min(COMM_LEN);
        record.comm[..length].copy_from_slice(&name[..length]);
    }
    record
}

fn header(kind: u16, cpu: u16, at: Mono) -> RecordHeader {
    RecordHeader { kind, cpu, lost: 0, mono_ns: at.0 }
}

fn protocol(protocol: Protocol) -> u16 {
    match protocol {
        Protocol::Tcp => IPPROTO_TCP as u16,
        Protocol::Mptcp => IPPROTO_MPTCP as u16,
    }
}

fn family(family: Family) -> u16 {
    match family {
        Family::Ipv4 => AF_INET as u16,
        Family::Ipv6 => AF_INET6 as u16,
    }
}

fn address(endpoint: Endpoint) -> [u8; 16] {
    match endpoint.addr {
        IpAddr::V4(addr) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&addr.octets());
            bytes
        }
        IpAddr::V6(addr) => addr.octets(),
    }
}
