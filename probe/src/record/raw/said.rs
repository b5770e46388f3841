//! What scenarios say, as a recording keeps it.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::owner::{TaskLine, address};
use crate::{
    model::{Cgroup, Check, Endpoints, Known, Owner, Phase, SocketId, SocketRow, State, Verdict},
    record::{named::ByName, names::Escaped},
};

/// [`Phase`]
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PhaseLine {
    Start { summary: String },
    End { verdict: VerdictLine },
}

/// [`Verdict`]
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictLine {
    Passed,
    Failed,
    Unsupported(String),
    Interrupted,
}

/// [`Check`]
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CheckLine {
    scenario: String,
    name: String,
    expected: String,
    observed: String,
    pass: bool,
}

/// A socket's name in its scenario.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LabelLine {
    socket: u64,
    generation: u32,
    label: String,
}

/// [`SocketRow`]
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SocketLine {
    label: String,
    state: ByName<State>,
    local: SocketAddr,
    remote: SocketAddr,
    owner: Option<TaskLine>,
    known: ByName<Known>,
    /// The cgroup's id.
    cgroup: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cgroup_path: Option<Escaped>,
    cookie: u64,
}

impl From<&Phase> for PhaseLine {
    fn from(phase: &Phase) -> Self {
        match phase {
            Phase::Start { summary } => Self::Start { summary: summary.clone() },
            Phase::End { verdict } => Self::End {
                verdict: match verdict {
                    Verdict::Passed => VerdictLine::Passed,
                    Verdict::Failed => VerdictLine::Failed,
                    Verdict::Unsupported(why) => VerdictLine::Unsupported(why.clone()),
                    Verdict::Interrupted => VerdictLine::Interrupted,
                },
            },
        }
    }
}

impl From<PhaseLine> for Phase {
    fn from(line: PhaseLine) -> Self {
        match line {
            PhaseLine::Start { summary } => Self::Start { summary },
            PhaseLine::End { verdict } => Self::End {
                verdict: match verdict {
                    VerdictLine::Passed => Verdict::Passed,
                    VerdictLine::Failed => Verdict::Failed,
                    VerdictLine::Unsupported(why) => Verdict::Unsupported(why),
                    VerdictLine::Interrupted => Verdict::Interrupted,
                },
            },
        }
    }
}

impl From<&Check> for CheckLine {
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

impl From<CheckLine> for Check {
    fn from(line: CheckLine) -> Self {
        Self {
            scenario: line.scenario,
            name: line.name,
            expected: line.expected,
            observed: line.observed,
            pass: line.pass,
        }
    }
}

impl From<&(SocketId, String)> for LabelLine {
    fn from((socket, label): &(SocketId, String)) -> Self {
        Self { socket: socket.number, generation: socket.generation, label: label.clone() }
    }
}

impl From<LabelLine> for (SocketId, String) {
    fn from(line: LabelLine) -> Self {
        (SocketId { number: line.socket, generation: line.generation }, line.label)
    }
}

impl From<&SocketRow> for SocketLine {
    fn from(row: &SocketRow) -> Self {
        let cgroup = row.owner.cgroup.as_ref();
        Self {
            label: row.label.clone(),
            state: ByName(row.state),
            local: address(row.ends.local),
            remote: address(row.ends.remote),
            owner: row.owner.task.as_ref().map(Into::into),
            known: ByName(row.owner.known),
            cgroup: cgroup.map(|cgroup| cgroup.id),
            cgroup_path: cgroup.and_then(|cgroup| cgroup.path.clone()).map(Escaped),
            cookie: row.cookie,
        }
    }
}

impl From<SocketLine> for SocketRow {
    fn from(line: SocketLine) -> Self {
        let path = line.cgroup_path.map(|path| path.0);
        Self {
            label: line.label,
            state: line.state.0,
            ends: Endpoints { local: line.local.into(), remote: line.remote.into() },
            owner: Owner {
                task: line.owner.map(Into::into),
                cgroup: line.cgroup.map(|id| Cgroup { id, path }),
                known: line.known.0,
            },
            cookie: line.cookie,
        }
    }
}
