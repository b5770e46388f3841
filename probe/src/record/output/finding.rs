//! The object of what a detector found.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    parts::{EndpointObject, OwnerObject},
    time::{Calendar, Time},
    value::{Decimal, Version, generation},
};
use crate::{
    model::{Finding, FindingKind},
    record::named::ByName,
};

/// Something worth an engineer's attention.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct FindingObject<'a> {
    v: Version,
    /// When it became certain, as RFC 3339 in UTC with nanoseconds; null before the host's clock is known.
    time: Option<Time>,
    /// When it became certain, on CLOCK_MONOTONIC, in nanoseconds.
    mono_ns: u64,
    /// What kind of thing it is.
    kind: ByName<FindingKind>,
    /// The identity of the socket that it is about, as in its transitions; null where the kernel gave it none.
    socket: Option<Decimal>,
    /// Which of the socket's connections it is, from 1; null where its opening was not seen.
    generation: Option<NonZeroU32>,
    /// The socket's end.
    local: EndpointObject,
    /// The peer's end.
    remote: EndpointObject,
    /// The network namespace's inode number; null where the kernel does not tell.
    netns: Option<u32>,
    /// Whose socket it is.
    owner: OwnerObject<'a>,
    /// What happened, in one sentence.
    message: &'a str,
    /// What remedies it, in one sentence; null where nothing needs curing.
    remedy: Option<&'a str>,
    /// The transitions that show it, by their `seq`.
    evidence: &'a [u64],
}

impl<'a> FindingObject<'a> {
    pub fn of(finding: &'a Finding, calendar: Calendar) -> Self {
        Self {
            v: Version,
            time: calendar.time(finding.at),
            mono_ns: finding.at.0,
            kind: ByName(finding.kind),
            socket: finding.socket.map(|socket| Decimal(socket.number)),
            generation: finding.socket.and_then(generation),
            local: finding.ends.local.into(),
            remote: finding.ends.remote.into(),
            netns: finding.netns,
            owner: (&*finding.owner).into(),
            message: &finding.message,
            remedy: finding.remedy.as_deref(),
            evidence: &finding.evidence,
        }
    }
}
