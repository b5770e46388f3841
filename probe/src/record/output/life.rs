//! The objects about a socket's life: its transitions one by one, and the whole connection.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    parts::{CauseObject, EndpointObject, OwnerObject},
    time::{Calendar, Time},
    value::{Decimal, Version, generation},
};
use crate::{
    model::{Connection, Counters, Family, Mono, Open, Protocol, State, Transition},
    record::{named::ByName, nanoseconds},
};

/// One state transition of one socket.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct TransitionObject<'a> {
    v: Version,
    /// When, as RFC 3339 in UTC with nanoseconds; null before the host's clock is known.
    time: Option<Time>,
    /// When, on CLOCK_MONOTONIC, in nanoseconds.
    mono_ns: u64,
    /// The how-manieth transition of this stream it is, from 1.
    seq: u64,
    /// The socket's cookie, which SO_COOKIE and sock_diag give too; on backend `tracepoint` the address of
    /// its `struct sock`.
    socket: Decimal,
    /// Which of the socket's connections it is, from 1; null where its opening was not seen.
    generation: Option<NonZeroU32>,
    /// The network namespace's inode number; null where the kernel does not tell.
    netns: Option<u32>,
    /// TCP, or the MPTCP socket above its subflows.
    protocol: ByName<Protocol>,
    /// The socket's address family; a v4-mapped connection is an IPv6 socket's.
    family: ByName<Family>,
    /// This socket's end; where the kernel has cleared it already, the last known.
    local: EndpointObject,
    /// The peer's end; where the kernel has cleared it already, the last known.
    remote: EndpointObject,
    /// The state left.
    old: ByName<State>,
    /// The state entered.
    new: ByName<State>,
    /// Why; null where the kernel does not tell.
    cause: Option<CauseObject>,
    /// Whose socket it is.
    owner: OwnerObject<'a>,
    /// The CPU that it ran on.
    cpu: u32,
    /// How long the socket was in the old state, in nanoseconds; null where the beginning was not seen.
    state_duration_ns: Option<u64>,
}

impl<'a> TransitionObject<'a> {
    pub fn of(transition: &'a Transition, calendar: Calendar) -> Self {
        Self {
            v: Version,
            time: calendar.time(transition.at),
            mono_ns: transition.at.0,
            seq: transition.seq,
            socket: Decimal(transition.socket.number),
            generation: generation(transition.socket),
            netns: transition.netns,
            protocol: ByName(transition.protocol),
            family: ByName(transition.family),
            local: transition.ends.local.into(),
            remote: transition.ends.remote.into(),
            old: ByName(transition.old),
            new: ByName(transition.new),
            cause: transition.cause.map(Into::into),
            owner: (&*transition.owner).into(),
            cpu: transition.cpu,
            state_duration_ns: transition.state_duration.map(nanoseconds),
        }
    }
}

/// A connection that ended: its whole life.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct ConnectionObject<'a> {
    v: Version,
    /// The socket's identity, as in its transitions.
    socket: Decimal,
    /// Which of the socket's connections it is, from 1; null where its opening was not seen.
    generation: Option<NonZeroU32>,
    /// The network namespace's inode number; null where the kernel does not tell.
    netns: Option<u32>,
    /// TCP, or the MPTCP socket above its subflows.
    protocol: ByName<Protocol>,
    /// The socket's address family; a v4-mapped connection is an IPv6 socket's.
    family: ByName<Family>,
    /// This socket's end, as last known.
    local: EndpointObject,
    /// The peer's end, as last known.
    remote: EndpointObject,
    /// How it came to be; `preexisting` where it is older than the tracer.
    open: ByName<Open>,
    /// The cause of its last transition; null where the kernel does not tell.
    close: Option<CauseObject>,
    /// When its first transition was, as RFC 3339; null where that was not seen.
    opened: Option<Time>,
    /// When it reached ESTABLISHED, as RFC 3339; null where it never did, or that was not seen.
    established: Option<Time>,
    /// When it reached CLOSE, as RFC 3339; null where that was not seen.
    closed: Option<Time>,
    /// The states it went through, in order.
    path: Vec<ByName<State>>,
    /// From the first transition to CLOSE, the handshake included, in nanoseconds; null where either was not
    /// seen.
    duration_ns: Option<u64>,
    /// From the first transition to ESTABLISHED, in nanoseconds; null where either was not seen.
    handshake_ns: Option<u64>,
    /// Payload bytes sent, each counted once; null, as all counters are, where the backend gives none.
    bytes_sent: Option<u64>,
    /// Payload bytes received in order.
    bytes_received: Option<u64>,
    /// Segments sent, SYNs and bare ACKs included.
    segs_out: Option<u32>,
    /// Segments received.
    segs_in: Option<u32>,
    /// Segments retransmitted.
    retransmits: Option<u32>,
    /// The smoothed round-trip time at the end, in microseconds; null before the first sample.
    srtt_us: Option<u32>,
    /// Whose it is.
    owner: OwnerObject<'a>,
    /// False where the start was not seen, or events were lost while it lived.
    complete: bool,
}

impl<'a> ConnectionObject<'a> {
    pub fn of(connection: &'a Connection, calendar: Calendar) -> Self {
        let closed = connection.close.as_ref().map(|close| close.at);
        let time = |at: Option<Mono>| at.and_then(|at| calendar.time(at));
        let between = |from: Option<Mono>, to: Option<Mono>| Some(to?.nanoseconds_since(from?));
        let counted = connection.counters;
        let bytes = |field: fn(Counters) -> u64| counted.map(field);
        let segments = |field: fn(Counters) -> u32| counted.map(field);
        Self {
            v: Version,
            socket: Decimal(connection.socket.number),
            generation: generation(connection.socket),
            netns: connection.netns,
            protocol: ByName(connection.protocol),
            family: ByName(connection.family),
            local: connection.ends.local.into(),
            remote: connection.ends.remote.into(),
            open: ByName(connection.open),
            close: connection.close.as_ref().and_then(|close| close.cause).map(Into::into),
            opened: time(connection.opened),
            established: time(connection.established),
            closed: time(closed),
            path: connection.path.iter().map(ByName).collect(),
            duration_ns: between(connection.opened, closed),
            handshake_ns: between(connection.opened, connection.established),
            bytes_sent: bytes(|counters| counters.bytes_sent),
            bytes_received: bytes(|counters| counters.bytes_received),
            segs_out: segments(|counters| counters.segs_out),
            segs_in: segments(|counters| counters.segs_in),
            retransmits: segments(|counters| counters.retransmits),
            srtt_us: counted.and_then(|counters| counters.srtt_us),
            owner: (&*connection.owner).into(),
            complete: connection.complete,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Clock, Endpoint, Endpoints, Owner, SocketId, StatePath};

    #[test]
    fn what_was_not_seen_is_null() {
        let end = Endpoint::new([127, 0, 0, 1].into(), 0);
        let connection = Connection {
            socket: SocketId { number: u64::MAX, generation: 0 },
            netns: None,
            protocol: Protocol::Tcp,
            family: Family::Ipv4,
            ends: Endpoints { local: end, remote: end },
            open: Open::Preexisting,
            opened: None,
            established: Some(Mono(1)),
            close: None,
            path: StatePath::default(),
            counters: None,
            owner: Owner::unknown(),
            complete: false,
        };
        let calendar = Calendar(Some(Clock { realtime_offset_ns: 0 }));
        let object = serde_json::to_value(ConnectionObject::of(&connection, calendar)).expect("JSON");
        let unknown = [
            "bytes_received",
            "bytes_sent",
            "close",
            "closed",
            "duration_ns",
            "generation",
            "handshake_ns",
            "netns",
            "opened",
            "retransmits",
            "segs_in",
            "segs_out",
            "srtt_us",
        ];
        for (name, value) in object.as_object().expect("an object") {
            assert_eq!(value.is_null(), unknown.contains(&name.as_str()), "{name}: {value}");
        }
        assert_eq!(object["open"], "preexisting");
        assert_eq!(object["established"], "1970-01-01T00:00:00.000000001Z");
        assert_eq!(object["socket"], "18446744073709551615");
        assert_eq!(object["local"], serde_json::json!({ "addr": "127.0.0.1", "port": null }));
    }
}
