//! The objects about the stream itself: the host it is taken on, its gaps, its end.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;

use super::value::Version;
use crate::{
    model::{Backend, End, Host},
    record::{
        named::{ByName, STAGES},
        nanoseconds,
    },
};

/// Every program is attached and the snapshot taken: from here on nothing is missed.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct ReadyObject<'a> {
    v: Version,
    /// The machine.
    host: HostObject<'a>,
    /// The kernel interface that the transitions come from.
    backend: ByName<Backend>,
    /// What this host cannot give, a sentence each.
    unavailable: &'a [String],
    /// How many sockets were there already; null where nobody looked.
    existing: Option<u64>,
}

/// The machine that the stream is taken on.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "host", deny_unknown_fields)]
struct HostObject<'a> {
    /// The kernel's release: `uname -r`.
    kernel: &'a str,
    /// The machine's architecture: `uname -m`.
    arch: &'a str,
    /// The name that it has in its network: `uname -n`.
    hostname: &'a str,
}

impl<'a> ReadyObject<'a> {
    pub fn of(host: &'a Host, backend: Backend, unavailable: &'a [String], existing: Option<u64>) -> Self {
        Self {
            v: Version,
            host: HostObject { kernel: &host.kernel, arch: &host.arch, hostname: &host.hostname },
            backend: ByName(backend),
            unavailable,
            existing,
        }
    }
}

/// Events are missing here.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct LostObject<'a> {
    v: Version,
    /// How many.
    count: u64,
    /// Where they went missing: the ring was full, the reader could not make sense of one, or the kernel passed over
    /// an event because it came while the program was running on that CPU.
    #[schemars(schema_with = "stage")]
    stage: &'a str,
}

fn stage(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": STAGES })
}

impl<'a> LostObject<'a> {
    pub fn of(count: u64, stage: &'a str) -> Self {
        Self { v: Version, count, stage }
    }
}

/// A line of explanation, for people.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct NoteObject<'a> {
    v: Version,
    /// The line.
    text: &'a str,
}

impl<'a> NoteObject<'a> {
    pub fn of(text: &'a str) -> Self {
        Self { v: Version, text }
    }
}

/// The stream is over: its figures.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct EndObject {
    v: Version,
    /// Transitions seen; null, here and below, where reports were recorded and not looked at.
    transitions: Option<u64>,
    /// Connections that ended.
    connections: Option<u64>,
    /// Findings made.
    findings: Option<u64>,
    /// Reports that were recorded and not looked at; left out where they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    recorded: Option<u64>,
    /// Events lost.
    lost: u64,
    /// Checks that passed; of an audit, behaviours that are as expected.
    checks_passed: u64,
    /// Checks that failed; of an audit, behaviours that differ.
    checks_failed: u64,
    /// From start to end, in nanoseconds.
    duration_ns: u64,
    /// How long loading and attaching the programs took, in nanoseconds; null without a kernel.
    attach_ns: Option<u64>,
}

impl EndObject {
    pub fn of(end: &End) -> Self {
        let seen = |number: u64| end.recorded.is_none().then_some(number);
        Self {
            v: Version,
            transitions: seen(end.transitions),
            connections: seen(end.connections),
            findings: seen(end.findings),
            recorded: end.recorded,
            lost: end.lost,
            checks_passed: end.checks_passed,
            checks_failed: end.checks_failed,
            duration_ns: nanoseconds(end.duration),
            attach_ns: end.attach.map(nanoseconds),
        }
    }
}
