//! The objects of what scenarios say: phases, checks, the names and lists of their sockets.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    parts::{EndpointObject, OwnerObject},
    value::{Decimal, Version, generation},
};
use crate::{
    model::{Check, Phase, SocketId, SocketRow, State, Verdict},
    record::named::ByName,
};

/// A scenario begins or ends.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct ScenarioObject<'a> {
    v: Version,
    /// The scenario's name.
    name: &'a str,
    #[serde(flatten)]
    phase: PhaseObject<'a>,
}

#[derive(Debug, JsonSchema, Serialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
enum PhaseObject<'a> {
    /// The scenario begins.
    Start {
        /// What it shows, in one sentence.
        summary: &'a str,
    },
    /// The scenario ended.
    End {
        /// How.
        verdict: VerdictWord,
        /// Why it is unsupported, and what would remedy that; null where it is not.
        reason: Option<&'a str>,
    },
}

/// How a scenario ended: every check passed, at least one failed, this host cannot run it, or it was stopped
/// before its end.
#[derive(Debug, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "verdict")]
enum VerdictWord {
    Passed,
    Failed,
    Unsupported,
    Interrupted,
}

impl<'a> ScenarioObject<'a> {
    pub fn of(name: &'a str, phase: &'a Phase) -> Self {
        let phase = match phase {
            Phase::Start { summary } => PhaseObject::Start { summary },
            Phase::End { verdict } => {
                let (verdict, reason) = match verdict {
                    Verdict::Passed => (VerdictWord::Passed, None),
                    Verdict::Failed => (VerdictWord::Failed, None),
                    Verdict::Unsupported(why) => (VerdictWord::Unsupported, Some(why.as_str())),
                    Verdict::Interrupted => (VerdictWord::Interrupted, None),
                };
                PhaseObject::End { verdict, reason }
            }
        };
        Self { v: Version, name, phase }
    }
}

/// An expectation held against what was observed.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct CheckObject<'a> {
    v: Version,
    /// The scenario that asks.
    scenario: &'a str,
    /// What is asked, in a few words.
    name: &'a str,
    /// What TCP, or the manual, says.
    expected: &'a str,
    /// What the kernel reported, or a call returned.
    observed: &'a str,
    /// Whether they agree.
    pass: bool,
}

impl<'a> CheckObject<'a> {
    pub fn of(check: &'a Check) -> Self {
        Self {
            v: Version,
            scenario: &check.scenario,
            name: &check.name,
            expected: &check.expected,
            observed: &check.observed,
            pass: check.pass,
        }
    }
}

/// What the scenario calls the sockets of its transitions.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct LabelsObject<'a> {
    v: Version,
    /// A name for each.
    labels: Vec<LabelObject<'a>>,
}

/// A socket's name in its scenario.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "label", deny_unknown_fields)]
struct LabelObject<'a> {
    /// The socket's identity, as in its transitions.
    socket: Decimal,
    /// Which of the socket's connections it is, from 1; null where its opening was not seen.
    generation: Option<NonZeroU32>,
    /// What the scenario calls it.
    label: &'a str,
}

impl<'a> LabelsObject<'a> {
    pub fn of(labels: &'a [(SocketId, String)]) -> Self {
        let object = |(socket, label): &'a (SocketId, String)| LabelObject {
            socket: Decimal(socket.number),
            generation: generation(*socket),
            label,
        };
        Self { v: Version, labels: labels.iter().map(object).collect() }
    }
}

/// A scenario's sockets as sock_diag lists them.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct SocketsObject<'a> {
    v: Version,
    /// One for each.
    sockets: Vec<SocketObject<'a>>,
}

/// A socket as sock_diag lists it.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "socket", deny_unknown_fields)]
struct SocketObject<'a> {
    /// What the scenario calls it.
    label: &'a str,
    /// Its cookie.
    socket: Decimal,
    /// Its state, TIME_WAIT and SYN_RECV included.
    state: ByName<State>,
    /// The socket's end.
    local: EndpointObject,
    /// The peer's end.
    remote: EndpointObject,
    /// Whose it is, as its transitions say.
    owner: OwnerObject<'a>,
}

impl<'a> SocketsObject<'a> {
    pub fn of(rows: &'a [SocketRow]) -> Self {
        let sockets = rows
            .iter()
            .map(|row| SocketObject {
                label: &row.label,
                socket: Decimal(row.cookie),
                state: ByName(row.state),
                local: row.ends.local.into(),
                remote: row.ends.remote.into(),
                owner: (&row.owner).into(),
            })
            .collect();
        Self { v: Version, sockets }
    }
}
