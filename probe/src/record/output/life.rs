//! The objects about sockets: transitions, connections, findings.

use std::net::IpAddr;

use serde::Serialize;

use super::{Calendar, VERSION};
use crate::{
    model::{
        Cause, Connection, Counters, Endpoint, Errno, Finding, Mono, Owner, SocketId, State, Transition,
    },
    record::nanoseconds,
};

#[derive(Debug, Serialize)]
pub struct TransitionObject<'a> {
    v: u8,
    time: Option<String>,
    mono_ns: u64,
    seq: u64,
    socket: String,
    generation: Option<u32>,
    netns: Option<u32>,
    protocol: &'static str,
    family: &'static str,
    local: EndpointObject,
    remote: EndpointObject,
    old: &'static str,
    new: &'static str,
    cause: Option<CauseObject<'a>>,
    owner: OwnerObject,
    cpu: u32,
    since_ns: Option<u64>,
}

impl<'a> TransitionObject<'a> {
    pub fn of(transition: &'a Transition, calendar: Calendar) -> Self {
        Self {
            v: VERSION,
            time: calendar.time(transition.at),
            mono_ns: transition.at.0,
            seq: transition.seq,
            socket: transition.socket.number.to_string(),
            generation: generation(transition.socket),
            netns: transition.netns,
            protocol: transition.protocol.name(),
            family: transition.family.name(),
            local: transition.ends.local.into(),
            remote: transition.ends.remote.into(),
            old: transition.old.name(),
            new: transition.new.name(),
            cause: transition.cause.as_ref().map(Into::into),
            owner: (&transition.owner).into(),
            cpu: transition.cpu,
            since_ns: transition.since.map(nanoseconds),
        }
    }
}

#[derive(Debug, Serialize)]
pub struct ConnectionObject<'a> {
    v: u8,
    socket: String,
    generation: Option<u32>,
    netns: Option<u32>,
    protocol: &'static str,
    family: &'static str,
    local: EndpointObject,
    remote: EndpointObject,
    open: &'static str,
    close: Option<CauseObject<'a>>,
    opened: Option<String>,
    established: Option<String>,
    closed: Option<String>,
    path: Vec<&'static str>,
    duration_ns: Option<u64>,
    handshake_ns: Option<u64>,
    bytes_sent: Option<u64>,
    bytes_received: Option<u64>,
    segs_out: Option<u32>,
    segs_in: Option<u32>,
    retransmits: Option<u32>,
    srtt_us: Option<u32>,
    owner: OwnerObject,
    complete: bool,
}

impl<'a> ConnectionObject<'a> {
    pub fn of(connection: &'a Connection, calendar: Calendar) -> Self {
        let closed = connection.close.as_ref().map(|close| close.at);
        let time = |at: Option<Mono>| at.and_then(|at| calendar.time(at));
        let between = |from: Option<Mono>, to: Option<Mono>| Some(nanoseconds(to?.since(from?)));
        let counted = connection.counters;
        let bytes = |field: fn(Counters) -> u64| counted.map(field);
        let segments = |field: fn(Counters) -> u32| counted.map(field);
        Self {
            v: VERSION,
            socket: connection.socket.number.to_string(),
            generation: generation(connection.socket),
            netns: connection.netns,
            protocol: connection.protocol.name(),
            family: connection.family.name(),
            local: connection.ends.local.into(),
            remote: connection.ends.remote.into(),
            open: connection.open.name(),
            close: connection.close.as_ref().and_then(|close| close.cause.as_ref()).map(Into::into),
            opened: time(connection.opened),
            established: time(connection.established),
            closed: time(closed),
            path: connection.path.iter().map(|state: &State| state.name()).collect(),
            duration_ns: between(connection.opened, closed),
            handshake_ns: between(connection.opened, connection.established),
            bytes_sent: bytes(|counters| counters.bytes_sent),
            bytes_received: bytes(|counters| counters.bytes_received),
            segs_out: segments(|counters| counters.segs_out),
            segs_in: segments(|counters| counters.segs_in),
            retransmits: segments(|counters| counters.retransmits),
            srtt_us: counted.and_then(|counters| counters.srtt_us),
            owner: (&connection.owner).into(),
            complete: connection.complete,
        }
    }
}

#[derive(Debug, Serialize)]
pub struct FindingObject<'a> {
    v: u8,
    time: Option<String>,
    mono_ns: u64,
    kind: &'static str,
    socket: Option<String>,
    generation: Option<u32>,
    local: EndpointObject,
    remote: EndpointObject,
    netns: Option<u32>,
    owner: OwnerObject,
    explain: &'a str,
    cure: Option<&'a str>,
    evidence: &'a [u64],
}

impl<'a> FindingObject<'a> {
    pub fn of(finding: &'a Finding, calendar: Calendar) -> Self {
        Self {
            v: VERSION,
            time: calendar.time(finding.at),
            mono_ns: finding.at.0,
            kind: finding.kind.name(),
            socket: finding.socket.map(|socket| socket.number.to_string()),
            generation: finding.socket.and_then(generation),
            local: finding.ends.local.into(),
            remote: finding.ends.remote.into(),
            netns: finding.netns,
            owner: (&finding.owner).into(),
            explain: &finding.explain,
            cure: finding.cure.as_deref(),
            evidence: &finding.evidence,
        }
    }
}

#[derive(Debug, Serialize)]
pub struct EndpointObject {
    addr: IpAddr,
    port: Option<u16>,
}

impl From<Endpoint> for EndpointObject {
    fn from(endpoint: Endpoint) -> Self {
        Self { addr: endpoint.addr, port: endpoint.port.map(Into::into) }
    }
}

#[derive(Debug, Serialize)]
struct CauseObject<'a> {
    kind: &'static str,
    detail: &'a str,
    errno: Option<String>,
}

impl<'a> From<&'a Cause> for CauseObject<'a> {
    fn from(cause: &'a Cause) -> Self {
        Self { kind: cause.kind.name(), detail: &cause.detail, errno: cause.errno.map(Errno::name) }
    }
}

#[derive(Debug, Serialize)]
pub struct OwnerObject {
    pid: Option<u32>,
    comm: Option<String>,
    uid: Option<u32>,
    cgroup: Option<String>,
    known: &'static str,
}

impl From<&Owner> for OwnerObject {
    fn from(owner: &Owner) -> Self {
        let task = owner.task.as_ref();
        Self {
            pid: task.map(|task| task.pid),
            comm: task.map(|task| task.comm.to_text()),
            uid: task.map(|task| task.uid),
            cgroup: owner.cgroup.as_ref().map(|cgroup| cgroup.id.to_string()),
            known: owner.known.name(),
        }
    }
}

/// Generation 0 is one that was not seen.
fn generation(socket: SocketId) -> Option<u32> {
    (socket.generation != 0).then_some(socket.generation)
}
