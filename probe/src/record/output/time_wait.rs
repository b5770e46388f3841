//! The object of the mini-socket that replaces a closed connection.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    nested::{EndpointObject, OwnerObject},
    time::{StreamTime, Time},
    value::{Decimal, Version, generation},
};
use crate::{
    model::{State, TimeWaitEntry},
    record::named::ByName,
};

/// What sock_diag reports of a connection after its CLOSE: the TIME_WAIT or FIN_WAIT2 mini-socket that replaced it.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct TimeWaitObject<'a> {
    v: Version,
    /// When sock_diag was queried: RFC 3339, UTC, nanoseconds.
    time: Option<Time>,
    /// The same moment on CLOCK_MONOTONIC, in nanoseconds.
    mono_ns: u64,
    /// The cookie or address of the closed socket, as in its transitions.
    socket: Decimal,
    /// The number of the connection on that socket, from 1; null if the socket was opened before the trace.
    generation: Option<NonZeroU32>,
    /// The inode number of the network namespace; null if the kernel does not report it.
    netns: Option<u32>,
    /// The connection's own endpoint.
    local: EndpointObject,
    /// The peer's endpoint.
    remote: EndpointObject,
    /// The state of the mini-socket: TIME_WAIT, or FIN_WAIT2 if the closed socket was an orphan; null if there is no
    /// mini-socket.
    state: Option<ByName<State>>,
    /// When the mini-socket expires, RFC 3339; null if there is none or the kernel does not report its timer.
    until: Option<Time>,
    /// The process that owned the closed socket.
    owner: OwnerObject<'a>,
}

impl<'a> TimeWaitObject<'a> {
    pub fn of(entry: &'a TimeWaitEntry, time: StreamTime) -> Self {
        Self {
            v: Version,
            time: time.of(entry.at),
            mono_ns: entry.at.0,
            socket: Decimal(entry.socket.number),
            generation: generation(entry.socket),
            netns: entry.identity.netns,
            local: entry.identity.endpoints.local.into(),
            remote: entry.identity.endpoints.remote.into(),
            state: entry.state.map(ByName),
            until: entry.until.and_then(|until| time.of(until)),
            owner: (&entry.owner).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Mono, Owner, SocketIdentity},
        record::output::testing::{SOCKET, endpoints, expected, time},
    };

    #[test]
    fn a_mini_socket_has_a_state_and_an_expiry() {
        let mut entry = TimeWaitEntry {
            at: Mono(5),
            socket: SOCKET,
            identity: SocketIdentity::tcp(None, endpoints()),
            state: Some(State::TimeWait),
            until: Some(Mono(60_000_000_005)),
            owner: Owner::UNKNOWN,
        };
        let before = r#""time":"2023-11-14T22:13:20.000000005Z","mono_ns":5,"socket":"4711","generation":1,"netns":null"#;
        let text =
            |entry: &TimeWaitEntry| serde_json::to_string(&TimeWaitObject::of(entry, time())).expect("JSON");
        let time_wait = r#""state":"TIME_WAIT","until":"2023-11-14T22:14:20.000000005Z""#;
        assert_eq!(text(&entry), expected(before, time_wait, ""));
        (entry.state, entry.until) = (None, None);
        assert_eq!(text(&entry), expected(before, r#""state":null,"until":null"#, ""));
    }
}
