//! A report from the kernel, as a recording keeps it.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::owner::{TaskLine, address};
use crate::{
    model::{Counters, Endpoints, Errno, Family, Known, Mono, Opened, Protocol, Report, State},
    record::named::ByName,
};

/// [`Report`], with what is unknown left out.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ReportLine {
    at: u64,
    cpu: u32,
    socket: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cookie: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    netns: Option<u32>,
    protocol: ByName<Protocol>,
    family: ByName<Family>,
    local: SocketAddr,
    remote: SocketAddr,
    old: ByName<State>,
    new: ByName<State>,
    /// 0 is no error; left out where it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shutdown: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    orphaned: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fin_received: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rst_received: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    syscall: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    task: Option<TaskLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner_matches: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    opened: Option<OpenedLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    counters: Option<CountersLine>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct OpenedLine {
    generation: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<TaskLine>,
    known: ByName<Known>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cgroup: Option<u64>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct CountersLine {
    bytes_sent: u64,
    bytes_received: u64,
    segs_out: u32,
    segs_in: u32,
    retransmits: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    srtt_us: Option<u32>,
}

impl From<&Report> for ReportLine {
    fn from(report: &Report) -> Self {
        Self {
            at: report.at.0,
            cpu: report.cpu,
            socket: report.socket,
            cookie: report.cookie,
            netns: report.netns,
            protocol: ByName(report.protocol),
            family: ByName(report.family),
            local: address(report.ends.local),
            remote: address(report.ends.remote),
            old: ByName(report.old),
            new: ByName(report.new),
            error: report.error.map(|error| error.map_or(0, |errno| errno.0)),
            shutdown: report.shutdown,
            orphaned: report.orphaned,
            fin_received: report.fin_received,
            rst_received: report.rst_received,
            syscall: report.syscall,
            task: report.task.as_ref().map(Into::into),
            owner_matches: report.owner_matches,
            opened: report.opened.as_ref().map(Into::into),
            counters: report.counters.map(Into::into),
        }
    }
}

impl From<ReportLine> for Report {
    fn from(line: ReportLine) -> Self {
        Self {
            at: Mono(line.at),
            cpu: line.cpu,
            socket: line.socket,
            cookie: line.cookie,
            netns: line.netns,
            protocol: line.protocol.0,
            family: line.family.0,
            ends: Endpoints { local: line.local.into(), remote: line.remote.into() },
            old: line.old.0,
            new: line.new.0,
            error: line.error.map(|number| (number != 0).then_some(Errno(number))),
            shutdown: line.shutdown,
            orphaned: line.orphaned,
            fin_received: line.fin_received,
            rst_received: line.rst_received,
            syscall: line.syscall,
            task: line.task.map(Into::into),
            owner_matches: line.owner_matches,
            opened: line.opened.map(Into::into),
            counters: line.counters.map(Into::into),
        }
    }
}

impl From<&Opened> for OpenedLine {
    fn from(opened: &Opened) -> Self {
        Self {
            generation: opened.generation,
            owner: opened.owner.as_ref().map(Into::into),
            known: ByName(opened.known),
            cgroup: opened.cgroup,
        }
    }
}

impl From<OpenedLine> for Opened {
    fn from(line: OpenedLine) -> Self {
        Self {
            generation: line.generation,
            owner: line.owner.map(Into::into),
            known: line.known.0,
            cgroup: line.cgroup,
        }
    }
}

impl From<Counters> for CountersLine {
    fn from(counters: Counters) -> Self {
        Self {
            bytes_sent: counters.bytes_sent,
            bytes_received: counters.bytes_received,
            segs_out: counters.segs_out,
            segs_in: counters.segs_in,
            retransmits: counters.retransmits,
            srtt_us: counters.srtt_us,
        }
    }
}

impl From<CountersLine> for Counters {
    fn from(line: CountersLine) -> Self {
        Self {
            bytes_sent: line.bytes_sent,
            bytes_received: line.bytes_received,
            segs_out: line.segs_out,
            segs_in: line.segs_in,
            retransmits: line.retransmits,
            srtt_us: line.srtt_us,
        }
    }
}
