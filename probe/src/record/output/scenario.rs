//! The objects of a scenario: its phases, its checks, the labels and the list of its sockets.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    nested::{EndpointObject, OwnerObject},
    time::{StreamTime, Time},
    value::{Decimal, Version, generation},
};
use crate::{
    model::{Check, Phase, SocketId, SocketRow, State, Verdict},
    record::named::ByName,
};

/// A scenario starts or ends.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct ScenarioObject<'a> {
    v: Version,
    /// The time of the latest event before this line: RFC 3339, UTC, nanoseconds.
    time: Option<Time>,
    /// The name of the scenario.
    name: &'a str,
    #[serde(flatten)]
    phase: PhaseObject<'a>,
}

#[derive(Debug, JsonSchema, Serialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
enum PhaseObject<'a> {
    /// The scenario starts.
    Start {
        /// What the scenario demonstrates, in one sentence. For people: the wording may change.
        summary: &'a str,
    },
    /// The scenario ended.
    End {
        /// The result of the scenario.
        verdict: VerdictName,
        /// Why this host cannot run it, with a remedy; null unless `verdict` is `unsupported`.
        reason: Option<&'a str>,
    },
}

/// The result of a scenario. `passed`: every check passed; `failed`: at least one failed; `unsupported`: this host cannot
/// run it; `interrupted`: it was stopped before its end.
#[derive(Debug, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "verdict")]
enum VerdictName {
    Passed,
    Failed,
    Unsupported,
    Interrupted,
}

impl<'a> ScenarioObject<'a> {
    pub fn of(name: &'a str, phase: &'a Phase, time: StreamTime) -> Self {
        let phase = match phase {
            Phase::Start { summary } => PhaseObject::Start { summary },
            Phase::End { verdict } => {
                let (verdict, reason) = match verdict {
                    Verdict::Passed => (VerdictName::Passed, None),
                    Verdict::Failed => (VerdictName::Failed, None),
                    Verdict::Unsupported(why) => (VerdictName::Unsupported, Some(why.as_str())),
                    Verdict::Interrupted => (VerdictName::Interrupted, None),
                };
                PhaseObject::End { verdict, reason }
            }
        };
        Self { v: Version, time: time.latest(), name, phase }
    }
}

/// One expectation of a scenario, compared with the observation.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct CheckObject<'a> {
    v: Version,
    /// The time of the latest event before this line: RFC 3339, UTC, nanoseconds.
    time: Option<Time>,
    /// The name of the scenario.
    scenario: &'a str,
    /// What is checked, in a few words.
    name: &'a str,
    /// What the RFC or the manual page specifies.
    expected: &'a str,
    /// What the kernel reported or the call returned.
    observed: &'a str,
    /// Whether the observation meets the expectation.
    pass: bool,
}

impl<'a> CheckObject<'a> {
    pub fn of(check: &'a Check, time: StreamTime) -> Self {
        Self {
            v: Version,
            time: time.latest(),
            scenario: &check.scenario,
            name: &check.name,
            expected: &check.expected,
            observed: &check.observed,
            pass: check.pass,
        }
    }
}

/// The labels that the scenario gives to the sockets of its transitions.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct LabelsObject<'a> {
    v: Version,
    /// The time of the latest event before this line: RFC 3339, UTC, nanoseconds.
    time: Option<Time>,
    /// One label for each socket.
    labels: Vec<LabelObject<'a>>,
}

/// A socket's label in its scenario.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "label", deny_unknown_fields)]
struct LabelObject<'a> {
    /// The socket's cookie or address, as in its transitions.
    socket: Decimal,
    /// The number of the connection on this socket, from 1; null if the socket was opened before the trace.
    generation: Option<NonZeroU32>,
    /// The socket's label, such as `client`.
    label: &'a str,
}

impl<'a> LabelsObject<'a> {
    pub fn of(labels: &'a [(SocketId, String)], time: StreamTime) -> Self {
        let object = |(socket, label): &'a (SocketId, String)| LabelObject {
            socket: Decimal(socket.number),
            generation: generation(*socket),
            label,
        };
        Self { v: Version, time: time.latest(), labels: labels.iter().map(object).collect() }
    }
}

/// The sockets of a scenario as sock_diag lists them.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct SocketsObject<'a> {
    v: Version,
    /// The time of the latest event before this line: RFC 3339, UTC, nanoseconds.
    time: Option<Time>,
    /// One entry for each socket.
    sockets: Vec<SocketObject<'a>>,
}

/// A socket as sock_diag lists it.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "socket", deny_unknown_fields)]
struct SocketObject<'a> {
    /// The socket's label in the scenario.
    label: &'a str,
    /// The socket's cookie.
    socket: Decimal,
    /// The socket's state, which may be that of a mini-socket (TIME_WAIT, NEW_SYN_RECV).
    state: ByName<State>,
    /// The socket's own endpoint.
    local: EndpointObject,
    /// The peer's endpoint.
    remote: EndpointObject,
    /// The process that owns the socket, as in its transitions.
    owner: OwnerObject<'a>,
}

impl<'a> SocketsObject<'a> {
    pub fn of(rows: &'a [SocketRow], time: StreamTime) -> Self {
        let sockets = rows
            .iter()
            .map(|row| SocketObject {
                label: &row.label,
                socket: Decimal(row.cookie),
                state: ByName(row.state),
                local: row.endpoints.local.into(),
                remote: row.endpoints.remote.into(),
                owner: (&row.owner).into(),
            })
            .collect();
        Self { v: Version, time: time.latest(), sockets }
    }
}
