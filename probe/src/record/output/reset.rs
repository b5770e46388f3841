//! The object of an RST that a socket sent.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    nested::{EndpointObject, OwnerObject},
    time::{StreamTime, Time},
    value::{Decimal, Version, generation},
};
use crate::{
    model::{Family, Reset, State},
    record::named::ByName,
};

/// An RST that a socket on this host sent. When the socket closes, it follows the transition to CLOSE.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct ResetObject<'a> {
    v: Version,
    /// When the kernel sent the RST: RFC 3339, UTC, nanoseconds.
    time: Option<Time>,
    /// The same moment on CLOCK_MONOTONIC, in nanoseconds.
    mono_ns: u64,
    /// The socket's cookie or address, as in its transitions.
    socket: Decimal,
    /// The number of the connection on this socket, from 1; null if the socket was opened before the trace.
    generation: Option<NonZeroU32>,
    /// The inode number of the socket's network namespace; null if the kernel does not report it.
    netns: Option<u32>,
    /// The socket's address family.
    family: ByName<Family>,
    /// The socket's own endpoint.
    local: EndpointObject,
    /// The peer's endpoint.
    remote: EndpointObject,
    /// The socket's state when the RST was sent.
    state: ByName<State>,
    /// The kernel's reason without its prefix SK_RST_REASON_, such as TCP_ABORT_ON_CLOSE; null before Linux 6.10.
    reason: Option<&'a str>,
    /// The process that owns the socket.
    owner: OwnerObject<'a>,
    /// The number of the CPU on which the RST was sent.
    cpu: u32,
}

impl<'a> ResetObject<'a> {
    pub fn of(reset: &'a Reset, time: StreamTime) -> Self {
        Self {
            v: Version,
            time: time.of(reset.at),
            mono_ns: reset.at.0,
            socket: Decimal(reset.socket.number),
            generation: generation(reset.socket),
            netns: reset.identity.netns,
            family: ByName(reset.identity.family),
            local: reset.identity.endpoints.local.into(),
            remote: reset.identity.endpoints.remote.into(),
            state: ByName(reset.state),
            reason: reset.reason.as_deref(),
            owner: (&reset.owner).into(),
            cpu: reset.cpu.into(),
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
    fn a_reset_has_the_kernels_reason_or_null() {
        let mut reset = Reset {
            at: Mono(5),
            cpu: 3,
            socket: SOCKET,
            identity: SocketIdentity::tcp(Some(4026531840), endpoints()),
            state: State::Close,
            reason: Some("TCP_ABORT_ON_CLOSE".to_owned()),
            owner: Owner::UNKNOWN,
        };
        let before = r#""time":"2023-11-14T22:13:20.000000005Z","mono_ns":5,"socket":"4711","generation":1,"netns":4026531840,"family":"ipv4""#;
        let with = |reason| expected(before, &format!(r#""state":"CLOSE","reason":{reason}"#), r#","cpu":3"#);
        let text = |reset: &Reset| serde_json::to_string(&ResetObject::of(reset, time())).expect("JSON");
        assert_eq!(text(&reset), with(r#""TCP_ABORT_ON_CLOSE""#));
        reset.reason = None;
        assert_eq!(text(&reset), with("null"));
    }
}
