//! The object of a connection that ended.

use std::num::{NonZeroU8, NonZeroU32};

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    nested::{CauseObject, EndpointObject, OwnerObject},
    time::{StreamTime, Time},
    value::{Decimal, Version, generation},
};
use crate::{
    model::{ClosedBy, Connection, Counters, Family, Mono, Open, Protocol, State},
    record::named::ByName,
};

/// A connection that ended, from its first transition to CLOSE.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct ConnectionObject<'a> {
    v: Version,
    /// When the connection closed: RFC 3339, UTC, nanoseconds. If that was not observed, the last moment known of it.
    time: Option<Time>,
    /// The socket's cookie or address, as in its transitions.
    socket: Decimal,
    /// The number of the connection on this socket, from 1; null if the socket was opened before the trace.
    generation: Option<NonZeroU32>,
    /// The inode number of the socket's network namespace; null if the kernel does not report it.
    netns: Option<u32>,
    /// `tcp`, or `mptcp` for the MPTCP socket above its subflows.
    protocol: ByName<Protocol>,
    /// The socket's address family; a v4-mapped connection belongs to an IPv6 socket.
    family: ByName<Family>,
    /// The socket's own endpoint, as last known.
    local: EndpointObject,
    /// The peer's endpoint, as last known.
    remote: EndpointObject,
    /// How the connection was opened; `preexisting` if that happened before the trace.
    open: ByName<Open>,
    /// The cause of the last transition; null if the kernel does not report it.
    close: Option<CauseObject>,
    /// Which side closed the connection, or what else ended it. `local`: this side sent the first FIN or gave up its
    /// connect; `remote`: the peer sent the first FIN; `both`: the FINs crossed; `reset-local`, `reset-remote`: this side or
    /// the peer sent an RST; `timeout`: a timer of this side expired; `kernel`: the kernel of this side, or an administrator.
    /// Null if it is not certain.
    closed_by: Option<ByName<ClosedBy>>,
    /// The time of the first transition, RFC 3339; null if it was not observed.
    opened: Option<Time>,
    /// The time at which the connection reached ESTABLISHED, RFC 3339; null if it never did or it was not observed.
    established: Option<Time>,
    /// The time at which the connection reached CLOSE, RFC 3339; null if it was not observed.
    closed: Option<Time>,
    /// The states of the connection, in order.
    path: Vec<ByName<State>>,
    /// The time from the first transition to CLOSE, handshake included, in nanoseconds; null if either was not
    /// observed.
    duration_ns: Option<u64>,
    /// The time from the first transition to ESTABLISHED, in nanoseconds; null if either was not observed.
    handshake_ns: Option<u64>,
    /// Payload bytes that were acknowledged or in flight at the end: retransmissions, and what the local device refused,
    /// count once or not at all. Null, like all counters, if the backend does not report them.
    bytes_sent: Option<u64>,
    /// Payload bytes received in order.
    bytes_received: Option<u64>,
    /// Segments sent, including SYNs and pure ACKs, as TCP_INFO counts them (`tcpi_segs_out`): a passive connection's SYN+ACKs
    /// are in `synacks` only, and a segment that the local device refused counts.
    segs_out: Option<u32>,
    /// SYN+ACKs sent by a passive connection, retransmissions included; 255 for more. With a SYN cookie, only the last one
    /// counts. Null if the connection is not passive, or the end of its handshake was not observed.
    synacks: Option<NonZeroU8>,
    /// Segments received, as TCP_INFO counts them (`tcpi_segs_in`).
    segs_in: Option<u32>,
    /// Segments retransmitted, SYNs and SYN+ACKs included, as TCP_INFO counts them (`tcpi_total_retrans`).
    retransmits: Option<u32>,
    /// The smoothed round-trip time at the close, in microseconds; null if there was no sample.
    srtt_us: Option<u32>,
    /// The process that owns the socket.
    owner: OwnerObject<'a>,
    /// False if the start of the connection was not observed or events were lost while it was open.
    complete: bool,
}

impl<'a> ConnectionObject<'a> {
    pub fn of(connection: &'a Connection, time: StreamTime) -> Self {
        let closed = connection.close.as_ref().map(|close| close.at);
        let known = |at: Option<Mono>| at.and_then(|at| time.of(at));
        let between = |from: Option<Mono>, to: Option<Mono>| Some(to?.nanoseconds_since(from?));
        let counters = connection.counters;
        let bytes = |field: fn(Counters) -> u64| counters.map(field);
        let segments = |field: fn(Counters) -> u32| counters.map(field);
        Self {
            v: Version,
            time: time.of_connection(connection),
            socket: Decimal(connection.socket.number),
            generation: generation(connection.socket),
            netns: connection.netns,
            protocol: ByName(connection.protocol),
            family: ByName(connection.family),
            local: connection.ends.local.into(),
            remote: connection.ends.remote.into(),
            open: ByName(connection.open),
            close: connection.close.as_ref().and_then(|close| close.cause).map(Into::into),
            closed_by: connection.closed_by().map(ByName),
            opened: known(connection.opened),
            established: known(connection.established),
            closed: known(closed),
            path: connection.path.iter().map(ByName).collect(),
            duration_ns: between(connection.opened, closed),
            handshake_ns: between(connection.opened, connection.established),
            bytes_sent: bytes(|counters| counters.bytes_sent),
            bytes_received: bytes(|counters| counters.bytes_received),
            segs_out: segments(|counters| counters.segs_out),
            synacks: counters.and_then(|counters| counters.synacks),
            segs_in: segments(|counters| counters.segs_in),
            retransmits: segments(|counters| counters.retransmits),
            srtt_us: counters.and_then(|counters| counters.srtt_us),
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
    fn unobserved_values_are_null() {
        let endpoint = Endpoint::new([127, 0, 0, 1].into(), 0);
        let connection = Connection {
            socket: SocketId { number: u64::MAX, generation: 0 },
            netns: None,
            protocol: Protocol::Tcp,
            family: Family::Ipv4,
            ends: Endpoints { local: endpoint, remote: endpoint },
            open: Open::Preexisting,
            opened: None,
            established: Some(Mono(1)),
            close: None,
            path: StatePath::default(),
            counters: None,
            owner: Owner::unknown(),
            complete: false,
        };
        let time = StreamTime::with_clock(Some(Clock { realtime_offset_ns: 0 }));
        let object = serde_json::to_value(ConnectionObject::of(&connection, time)).expect("JSON");
        let nulls = [
            "bytes_received",
            "bytes_sent",
            "close",
            "closed",
            "closed_by",
            "duration_ns",
            "generation",
            "handshake_ns",
            "netns",
            "opened",
            "retransmits",
            "segs_in",
            "segs_out",
            "srtt_us",
            "synacks",
        ];
        for (name, value) in object.as_object().expect("an object") {
            assert_eq!(value.is_null(), nulls.contains(&name.as_str()), "{name}: {value}");
        }
        assert_eq!(object["open"], "preexisting");
        assert_eq!(object["time"], object["established"]);
        assert_eq!(object["established"], "1970-01-01T00:00:00.000000001Z");
        assert_eq!(object["socket"], "18446744073709551615");
        assert_eq!(object["local"], serde_json::json!({ "addr": "127.0.0.1", "port": null }));
    }
}
