//! The objects about the stream itself: ready, lost, note, end.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    time::{StreamTime, Time},
    value::Version,
};
use crate::{
    model::{Backend, End, Host, LossStage},
    record::{named::ByName, nanoseconds},
};

/// All BPF programs are attached and the snapshot is taken: every event from here on is reported, or counted as lost.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct ReadyObject<'a> {
    v: Version,
    /// When the programs were attached: RFC 3339, UTC, nanoseconds.
    time: Option<Time>,
    /// The traced host.
    host: HostObject<'a>,
    /// The kernel interface that reports the transitions.
    backend: ByName<Backend>,
    /// What this host cannot provide, one sentence each.
    unavailable: &'a [String],
    /// The number of pre-existing sockets; null if they were not or could not be listed.
    existing: Option<u64>,
}

/// The traced host.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "host", deny_unknown_fields)]
struct HostObject<'a> {
    /// The kernel release: `uname -r`.
    kernel: &'a str,
    /// The machine architecture: `uname -m`.
    arch: &'a str,
    /// The host name: `uname -n`.
    hostname: &'a str,
}

impl<'a> ReadyObject<'a> {
    pub fn of(
        host: &'a Host,
        backend: Backend,
        unavailable: &'a [String],
        existing: Option<u64>,
        time: StreamTime,
    ) -> Self {
        Self {
            v: Version,
            time: time.of(host.ready_at),
            host: HostObject { kernel: &host.kernel, arch: &host.arch, hostname: &host.hostname },
            backend: ByName(backend),
            unavailable,
            existing,
        }
    }
}

/// Events were lost: they happened before this line and are not in the stream.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct LostObject {
    v: Version,
    /// When the loss was noticed, in the time of the stream: that of the latest event before it, shown or not; RFC 3339, UTC,
    /// nanoseconds.
    time: Option<Time>,
    /// The number of events lost.
    count: u64,
    /// Where they were lost. `ring`: the ring buffer was full; `reader`: the reader could not decode a record; `kernel`: the
    /// kernel did not run the program, because it was running on that CPU already.
    stage: ByName<LossStage>,
}

impl LostObject {
    pub fn of(count: u64, stage: LossStage, time: StreamTime) -> Self {
        Self { v: Version, time: time.latest(), count, stage: ByName(stage) }
    }
}

/// A remark for people.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct NoteObject<'a> {
    v: Version,
    /// When the note was written, in the time of the stream: that of the latest event before it, shown or not; RFC 3339, UTC,
    /// nanoseconds.
    time: Option<Time>,
    /// The text. Its wording may change.
    text: &'a str,
}

impl<'a> NoteObject<'a> {
    pub fn of(text: &'a str, time: StreamTime) -> Self {
        Self { v: Version, time: time.latest(), text }
    }
}

/// The end of the stream, with its totals.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct EndObject {
    v: Version,
    /// When the stream ended: RFC 3339, UTC, nanoseconds.
    time: Option<Time>,
    /// The number of transitions; null with `--connections`, and if reports were recorded without being decoded.
    transitions: Option<u64>,
    /// The number of connections that ended; null if reports were recorded without being decoded.
    connections: Option<u64>,
    /// The number of connections that are open at the end, pre-existing ones included; null if unknown: with
    /// `--connections`, a filter or lost events, and if reports were recorded without being decoded.
    open: Option<u64>,
    /// The number of findings; null if reports were recorded without being decoded.
    findings: Option<u64>,
    /// The number of events lost.
    lost: u64,
    /// The number of checks that passed; in an audit, of behaviours that are as expected.
    checks_passed: u64,
    /// The number of checks that failed; in an audit, of behaviours that differ.
    checks_failed: u64,
    /// The duration of the stream, in nanoseconds.
    duration_ns: u64,
    /// The time it took to load and attach the BPF programs, in nanoseconds; null if none were attached.
    attach_ns: Option<u64>,
    /// The number of reports that were recorded without being decoded; absent if reports were decoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    recorded: Option<u64>,
}

impl EndObject {
    pub fn of(end: &End, time: StreamTime) -> Self {
        let decoded = |number: u64| end.recorded.is_none().then_some(number);
        Self {
            v: Version,
            time: time.latest(),
            transitions: decoded(end.transitions),
            connections: decoded(end.connections),
            open: end.open.filter(|_| end.recorded.is_none()),
            findings: decoded(end.findings),
            lost: end.lost,
            checks_passed: end.checks_passed,
            checks_failed: end.checks_failed,
            duration_ns: nanoseconds(end.duration),
            attach_ns: end.attach.map(nanoseconds),
            recorded: end.recorded,
        }
    }

    pub fn without_transitions(self) -> Self {
        Self { transitions: None, open: None, ..self }
    }
}
