//! The objects about the run: its host, its scenarios, its end.

use serde::Serialize;

use super::{
    VERSION,
    life::{EndpointObject, OwnerObject},
};
use crate::{
    model::{Backend, Check, End, Host, Phase, SocketId, SocketRow, Verdict},
    record::nanoseconds,
};

#[derive(Debug, Serialize)]
pub struct ReadyObject<'a> {
    v: u8,
    host: HostObject<'a>,
    backend: &'static str,
    off: &'a [String],
    existing: Option<u64>,
}

#[derive(Debug, Serialize)]
struct HostObject<'a> {
    kernel: &'a str,
    arch: &'a str,
    hostname: &'a str,
}

impl<'a> ReadyObject<'a> {
    pub fn of(host: &'a Host, backend: Backend, off: &'a [String], existing: Option<u64>) -> Self {
        Self {
            v: VERSION,
            host: HostObject { kernel: &host.kernel, arch: &host.arch, hostname: &host.hostname },
            backend: backend.name(),
            off,
            existing,
        }
    }
}

#[derive(Debug, Serialize)]
pub struct LostObject<'a> {
    v: u8,
    count: u64,
    r#where: &'a str,
}

impl<'a> LostObject<'a> {
    pub fn of(count: u64, place: &'a str) -> Self {
        Self { v: VERSION, count, r#where: place }
    }
}

/// `summary` belongs to the start; `verdict` and `reason` to the end.
#[derive(Debug, Serialize)]
pub struct ScenarioObject<'a> {
    v: u8,
    name: &'a str,
    phase: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<&'a str>,
    #[serde(flatten)]
    verdict: Option<VerdictObject<'a>>,
}

#[derive(Debug, Serialize)]
struct VerdictObject<'a> {
    verdict: &'static str,
    /// Why it is unsupported.
    reason: Option<&'a str>,
}

impl<'a> ScenarioObject<'a> {
    pub fn of(name: &'a str, phase: &'a Phase) -> Self {
        let (phase, summary, verdict) = match phase {
            Phase::Start { summary } => ("start", Some(summary.as_str()), None),
            Phase::End { verdict } => {
                let (verdict, reason) = match verdict {
                    Verdict::Passed => ("passed", None),
                    Verdict::Failed => ("failed", None),
                    Verdict::Unsupported(why) => ("unsupported", Some(why.as_str())),
                    Verdict::Interrupted => ("interrupted", None),
                };
                ("end", None, Some(VerdictObject { verdict, reason }))
            }
        };
        Self { v: VERSION, name, phase, summary, verdict }
    }
}

#[derive(Debug, Serialize)]
pub struct CheckObject<'a> {
    v: u8,
    scenario: &'a str,
    name: &'a str,
    expected: &'a str,
    observed: &'a str,
    pass: bool,
}

impl<'a> CheckObject<'a> {
    pub fn of(check: &'a Check) -> Self {
        Self {
            v: VERSION,
            scenario: &check.scenario,
            name: &check.name,
            expected: &check.expected,
            observed: &check.observed,
            pass: check.pass,
        }
    }
}

/// What the scenario calls the sockets of its transitions.
#[derive(Debug, Serialize)]
pub struct LabelsObject<'a> {
    v: u8,
    labels: Vec<LabelObject<'a>>,
}

#[derive(Debug, Serialize)]
struct LabelObject<'a> {
    socket: String,
    generation: Option<u32>,
    label: &'a str,
}

impl<'a> LabelsObject<'a> {
    pub fn of(labels: &'a [(SocketId, String)]) -> Self {
        let object = |(socket, label): &'a (SocketId, String)| LabelObject {
            socket: socket.number.to_string(),
            generation: (socket.generation != 0).then_some(socket.generation),
            label,
        };
        Self { v: VERSION, labels: labels.iter().map(object).collect() }
    }
}

#[derive(Debug, Serialize)]
pub struct SocketsObject<'a> {
    v: u8,
    sockets: Vec<SocketObject<'a>>,
}

#[derive(Debug, Serialize)]
struct SocketObject<'a> {
    label: &'a str,
    socket: String,
    state: &'static str,
    local: EndpointObject,
    remote: EndpointObject,
    owner: OwnerObject,
}

impl<'a> SocketsObject<'a> {
    pub fn of(rows: &'a [SocketRow]) -> Self {
        let sockets = rows
            .iter()
            .map(|row| SocketObject {
                label: &row.label,
                socket: row.cookie.to_string(),
                state: row.state.name(),
                local: row.ends.local.into(),
                remote: row.ends.remote.into(),
                owner: (&row.owner).into(),
            })
            .collect();
        Self { v: VERSION, sockets }
    }
}

#[derive(Debug, Serialize)]
pub struct NoteObject<'a> {
    v: u8,
    text: &'a str,
}

impl<'a> NoteObject<'a> {
    pub fn of(text: &'a str) -> Self {
        Self { v: VERSION, text }
    }
}

#[derive(Debug, Serialize)]
pub struct EndObject {
    v: u8,
    transitions: u64,
    connections: u64,
    findings: u64,
    lost: u64,
    checks_passed: u64,
    checks_failed: u64,
    duration_ns: u64,
    attach_ns: Option<u64>,
}

impl EndObject {
    pub fn of(end: &End) -> Self {
        Self {
            v: VERSION,
            transitions: end.transitions,
            connections: end.connections,
            findings: end.findings,
            lost: end.lost,
            checks_passed: end.checks_passed,
            checks_failed: end.checks_failed,
            duration_ns: nanoseconds(end.duration),
            attach_ns: end.attach.map(nanoseconds),
        }
    }
}
