//! The object of a finding.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    nested::{EndpointObject, OwnerObject},
    time::{StreamTime, Time},
    value::{Decimal, Version, generation},
};
use crate::{
    model::{Finding, FindingKind},
    record::named::ByName,
};

/// A condition that a detector found and that deserves attention.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct FindingObject<'a> {
    v: Version,
    /// When the evidence was complete: RFC 3339, UTC, nanoseconds.
    time: Option<Time>,
    /// The same moment on CLOCK_MONOTONIC, in nanoseconds.
    mono_ns: u64,
    /// The kind of finding.
    kind: ByName<FindingKind>,
    /// The cookie or address of the socket concerned, as in its transitions; null if the kernel has not assigned one.
    socket: Option<Decimal>,
    /// The number of the connection on this socket, from 1; null if the socket was opened before the trace.
    generation: Option<NonZeroU32>,
    /// The socket's own endpoint.
    local: EndpointObject,
    /// The peer's endpoint.
    remote: EndpointObject,
    /// The inode number of the socket's network namespace; null if the kernel does not report it.
    netns: Option<u32>,
    /// The process that owns the socket.
    owner: OwnerObject<'a>,
    /// What happened and why, in one sentence. For people: the wording may change.
    message: &'a str,
    /// What to do about it, in one sentence; null if there is nothing to do. For people: the wording may change.
    remedy: Option<&'a str>,
    /// The `seq` of each transition that proves the finding.
    evidence: &'a [u64],
}

impl<'a> FindingObject<'a> {
    pub fn of(finding: &'a Finding, time: StreamTime) -> Self {
        Self {
            v: Version,
            time: time.of(finding.at),
            mono_ns: finding.at.0,
            kind: ByName(finding.kind),
            socket: finding.socket.map(|socket| Decimal(socket.number)),
            generation: finding.socket.and_then(generation),
            local: finding.identity.endpoints.local.into(),
            remote: finding.identity.endpoints.remote.into(),
            netns: finding.identity.netns,
            owner: (&*finding.owner).into(),
            message: &finding.message,
            remedy: finding.remedy.as_deref(),
            evidence: &finding.evidence,
        }
    }
}
