//! What a scenario reports, in a recording.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{
    encoding::EscapedName,
    owner::{TaskJson, socket_addr, unknown},
};
use crate::{
    model::{Cgroup, Check, Endpoints, Known, Owner, Phase, SocketId, SocketRow, State, Verdict},
    record::named::ByName,
};

/// [`Phase`]
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseJson {
    Start { summary: String },
    End { verdict: VerdictJson },
}

/// [`Verdict`]
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictJson {
    Passed,
    Failed,
    Unsupported(String),
    Interrupted,
}

/// [`Check`]
#[derive(Debug, Deserialize, Serialize)]
pub struct CheckJson {
    scenario: String,
    name: String,
    expected: String,
    observed: String,
    pass: bool,
}

/// The name of a socket in its scenario.
#[derive(Debug, Deserialize, Serialize)]
pub struct LabelJson {
    socket: u64,
    generation: u32,
    label: String,
}

/// [`SocketRow`]
#[derive(Debug, Deserialize, Serialize)]
pub struct SocketRowJson {
    label: String,
    state: ByName<State>,
    local: SocketAddr,
    remote: SocketAddr,
    owner: Option<TaskJson>,
    #[serde(default = "unknown")]
    known: ByName<Known>,
    /// The id of the cgroup.
    cgroup: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cgroup_path: Option<EscapedName>,
    cookie: u64,
}

impl From<&Phase> for PhaseJson {
    fn from(phase: &Phase) -> Self {
        match phase {
            Phase::Start { summary } => Self::Start { summary: summary.clone() },
            Phase::End { verdict } => Self::End {
                verdict: match verdict {
                    Verdict::Passed => VerdictJson::Passed,
                    Verdict::Failed => VerdictJson::Failed,
                    Verdict::Unsupported(why) => VerdictJson::Unsupported(why.clone()),
                    Verdict::Interrupted => VerdictJson::Interrupted,
                },
            },
        }
    }
}

impl From<PhaseJson> for Phase {
    fn from(json: PhaseJson) -> Self {
        match json {
            PhaseJson::Start { summary } => Self::Start { summary },
            PhaseJson::End { verdict } => Self::End {
                verdict: match verdict {
                    VerdictJson::Passed => Verdict::Passed,
                    VerdictJson::Failed => Verdict::Failed,
                    VerdictJson::Unsupported(why) => Verdict::Unsupported(why),
                    VerdictJson::Interrupted => Verdict::Interrupted,
                },
            },
        }
    }
}

impl From<&Check> for CheckJson {
    fn from(check: &Check) -> Self {
        Self {
            scenario: check.scenario.clone(),
            name: check.name.clone(),
            expected: check.expected.clone(),
            observed: check.observed.clone(),
            pass: check.pass,
        }
    }
}

impl From<CheckJson> for Check {
    fn from(json: CheckJson) -> Self {
        Self {
            scenario: json.scenario,
            name: json.name,
            expected: json.expected,
            observed: json.observed,
            pass: json.pass,
        }
    }
}

impl From<&(SocketId, String)> for LabelJson {
    fn from((socket, label): &(SocketId, String)) -> Self {
        Self { socket: socket.number, generation: socket.generation, label: label.clone() }
    }
}

impl From<LabelJson> for (SocketId, String) {
    fn from(json: LabelJson) -> Self {
        (SocketId { number: json.socket, generation: json.generation }, json.label)
    }
}

impl From<&SocketRow> for SocketRowJson {
    fn from(row: &SocketRow) -> Self {
        let cgroup = row.owner.cgroup.as_ref();
        Self {
            label: row.label.clone(),
            state: ByName(row.state),
            local: socket_addr(row.endpoints.local),
            remote: socket_addr(row.endpoints.remote),
            owner: row.owner.task.as_ref().map(Into::into),
            known: ByName(row.owner.known),
            cgroup: cgroup.map(|cgroup| cgroup.id),
            cgroup_path: cgroup.and_then(|cgroup| cgroup.path.clone()).map(EscapedName),
            cookie: row.cookie,
        }
    }
}

impl From<SocketRowJson> for SocketRow {
    fn from(json: SocketRowJson) -> Self {
        let path = json.cgroup_path.map(|path| path.0);
        Self {
            label: json.label,
            state: json.state.0,
            endpoints: Endpoints { local: json.local.into(), remote: json.remote.into() },
            owner: Owner {
                task: json.owner.map(Into::into),
                cgroup: json.cgroup.map(|id| Cgroup { id, path }),
                known: json.known.0,
            },
            cookie: json.cookie,
        }
    }
}
