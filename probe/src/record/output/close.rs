//! The objects about what happens around CLOSE: the RST that a socket sent, and what stayed of its connection.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    parts::{EndpointObject, OwnerObject},
    time::{Calendar, Time},
    value::{Decimal, Version, generation},
};
use crate::{
    model::{Family, Reset, State, TimeWaitEntry},
    record::named::ByName,
};

/// An RST that a socket of this host sent. On the ways of close it comes after the transition to CLOSE.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct ResetObject<'a> {
    v: Version,
    /// When, as RFC 3339 in UTC with nanoseconds; null before the host's clock is known.
    time: Option<Time>,
    /// When, on CLOCK_MONOTONIC, in nanoseconds.
    mono_ns: u64,
    /// The socket's identity, as in its transitions.
    socket: Decimal,
    /// Which of the socket's connections it is, from 1; null where its opening was not seen.
    generation: Option<NonZeroU32>,
    /// The network namespace's inode number; null where the kernel does not tell.
    netns: Option<u32>,
    /// The socket's address family.
    family: ByName<Family>,
    /// This socket's end.
    local: EndpointObject,
    /// The peer's end.
    remote: EndpointObject,
    /// The socket's state at that moment.
    state: ByName<State>,
    /// Why, by the kernel's name without SK_RST_REASON_, such as TCP_ABORT_ON_CLOSE; null before Linux 6.10.
    reason: Option<&'a str>,
    /// Whose socket it is.
    owner: OwnerObject<'a>,
    /// The CPU that it ran on.
    cpu: u32,
}

impl<'a> ResetObject<'a> {
    pub fn of(reset: &'a Reset, calendar: Calendar) -> Self {
        Self {
            v: Version,
            time: calendar.time(reset.at),
            mono_ns: reset.at.0,
            socket: Decimal(reset.socket.number),
            generation: generation(reset.socket),
            netns: reset.netns,
            family: ByName(reset.family),
            local: reset.ends.local.into(),
            remote: reset.ends.remote.into(),
            state: ByName(reset.state),
            reason: reset.reason.as_deref(),
            owner: (&reset.owner).into(),
            cpu: reset.cpu,
        }
    }
}

/// What stayed of a connection after CLOSE, as sock_diag says.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct TimeWaitObject<'a> {
    v: Version,
    /// When sock_diag was asked, as RFC 3339 in UTC with nanoseconds; null before the host's clock is known.
    time: Option<Time>,
    /// When sock_diag was asked, on CLOCK_MONOTONIC, in nanoseconds.
    mono_ns: u64,
    /// The socket's identity, as in its transitions.
    socket: Decimal,
    /// Which of the socket's connections it was, from 1; null where its opening was not seen.
    generation: Option<NonZeroU32>,
    /// The network namespace's inode number; null where the kernel does not tell.
    netns: Option<u32>,
    /// This socket's end.
    local: EndpointObject,
    /// The peer's end.
    remote: EndpointObject,
    /// TIME_WAIT, or FIN_WAIT2 for the mini-socket that an orphan leaves; null where nothing stayed.
    state: Option<ByName<State>>,
    /// When the mini-socket will be gone, as RFC 3339; null where nothing stayed, or the kernel does not tell.
    until: Option<Time>,
    /// Whose the connection was.
    owner: OwnerObject<'a>,
}

impl<'a> TimeWaitObject<'a> {
    pub fn of(remains: &'a TimeWaitEntry, calendar: Calendar) -> Self {
        Self {
            v: Version,
            time: calendar.time(remains.at),
            mono_ns: remains.at.0,
            socket: Decimal(remains.socket.number),
            generation: generation(remains.socket),
            netns: remains.netns,
            local: remains.ends.local.into(),
            remote: remains.ends.remote.into(),
            state: remains.state.map(ByName),
            until: remains.until.and_then(|until| calendar.time(until)),
            owner: (&remains.owner).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Clock, Endpoint, Endpoints, Mono, Owner, SocketId};

    const SOCKET: SocketId = SocketId { number: 4711, generation: 1 };

    fn calendar() -> Calendar {
        Calendar(Some(Clock { realtime_offset_ns: 1_700_000_000_000_000_000 }))
    }

    fn ends() -> Endpoints {
        let end = |port| Endpoint::new([127, 0, 0, 1].into(), port);
        Endpoints { local: end(80), remote: end(4321) }
    }

    fn text(object: impl Serialize) -> String {
        serde_json::to_string(&object).expect("memory takes everything")
    }

    /// The object's beginning and end, with what both have between them.
    fn expected(before: &str, between: &str, after: &str) -> String {
        let ends = r#""local":{"addr":"127.0.0.1","port":80},"remote":{"addr":"127.0.0.1","port":4321}"#;
        let owner = r#""owner":{"pid":null,"comm":null,"uid":null,"cgroup":null,"cgroup_path":null,"container":null,"known":"unknown"}"#;
        format!(r#"{{"v":1,{before},{ends},{between},{owner}{after}}}"#)
    }

    #[test]
    fn a_reset_says_why() {
        let mut reset = Reset {
            at: Mono(5),
            cpu: 3,
            socket: SOCKET,
            netns: Some(4026531840),
            family: Family::Ipv4,
            ends: ends(),
            state: State::Close,
            reason: Some("TCP_ABORT_ON_CLOSE".to_owned()),
            owner: Owner::UNKNOWN,
        };
        let before = r#""time":"2023-11-14T22:13:20.000000005Z","mono_ns":5,"socket":"4711","generation":1,"netns":4026531840,"family":"ipv4""#;
        let with = |reason| expected(before, &format!(r#""state":"CLOSE","reason":{reason}"#), r#","cpu":3"#);
        assert_eq!(text(ResetObject::of(&reset, calendar())), with(r#""TCP_ABORT_ON_CLOSE""#));
        reset.reason = None;
        assert_eq!(text(ResetObject::of(&reset, calendar())), with("null"));
    }

    #[test]
    fn what_stayed_has_a_state_and_an_end() {
        let mut remains = TimeWaitEntry {
            at: Mono(5),
            socket: SOCKET,
            netns: None,
            ends: ends(),
            state: Some(State::TimeWait),
            until: Some(Mono(60_000_000_005)),
            owner: Owner::UNKNOWN,
        };
        let before = r#""time":"2023-11-14T22:13:20.000000005Z","mono_ns":5,"socket":"4711","generation":1,"netns":null"#;
        let stayed = r#""state":"TIME_WAIT","until":"2023-11-14T22:14:20.000000005Z""#;
        assert_eq!(text(TimeWaitObject::of(&remains, calendar())), expected(before, stayed, ""));
        (remains.state, remains.until) = (None, None);
        let nothing = r#""state":null,"until":null"#;
        assert_eq!(text(TimeWaitObject::of(&remains, calendar())), expected(before, nothing, ""));
    }
}
