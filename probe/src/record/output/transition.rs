//! The object of a state transition.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    nested::{CauseObject, EndpointObject, OwnerObject},
    time::{StreamTime, Time},
    value::{Decimal, Version, generation},
};
use crate::{
    model::{Family, Protocol, State, Transition},
    record::{named::ByName, nanoseconds},
};

/// One state transition of one socket.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct TransitionObject<'a> {
    v: Version,
    /// When the kernel changed the state: RFC 3339, UTC, nanoseconds.
    time: Option<Time>,
    /// The same moment on CLOCK_MONOTONIC, in nanoseconds.
    mono_ns: u64,
    /// The number of the transition in this stream, from 1.
    seq: u64,
    /// The socket's cookie, which SO_COOKIE and sock_diag report too; on backend `tracepoint` the address of its
    /// `struct sock`. With `generation` it identifies a connection uniquely in the stream. Null at an accepted socket's first
    /// transition where the kernel has not given it a cookie yet, up to Linux 6.14.
    socket: Option<Decimal>,
    /// The number of the connection on this socket, from 1; null if the socket was opened before the trace.
    generation: Option<NonZeroU32>,
    /// The inode number of the socket's network namespace; null if the kernel does not report it.
    netns: Option<u32>,
    /// `tcp`, or `mptcp` for the MPTCP socket above its subflows.
    protocol: ByName<Protocol>,
    /// The socket's address family; a v4-mapped connection belongs to an IPv6 socket.
    family: ByName<Family>,
    /// The socket's own endpoint; the last known one if the kernel has cleared it.
    local: EndpointObject,
    /// The peer's endpoint; the last known one if the kernel has cleared it.
    remote: EndpointObject,
    /// The state before the transition.
    old: ByName<State>,
    /// The state after the transition.
    new: ByName<State>,
    /// What caused the transition; null if the kernel does not report it.
    cause: Option<CauseObject>,
    /// The process that owns the socket.
    owner: OwnerObject<'a>,
    /// The number of the CPU on which the transition was made.
    cpu: u32,
    /// The time spent in `old`, in nanoseconds; null if its start was not observed.
    state_duration_ns: Option<u64>,
}

impl<'a> TransitionObject<'a> {
    pub fn of(transition: &'a Transition, time: StreamTime) -> Self {
        Self {
            v: Version,
            time: time.of(transition.at),
            mono_ns: transition.at.0,
            seq: transition.seq,
            socket: transition.identity().map(|socket| Decimal(socket.number)),
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
