//! What scenarios say, as a recording keeps it.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{names, report::TaskLine};
use crate::model::{Cgroup, Check, Endpoints, Known, Owner, Phase, SocketId, SocketRow, State, Verdict};

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
    #[serde(with = "names::state")]
    state: State,
    local: SocketAddr,
    remote: SocketAddr,
    owner: Option<TaskLine>,
    #[serde(with = "names::known")]
    known: Known,
    cgroup: Option<u64>,
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
        Self {
            label: row.label.clone(),
            state: row.state,
            local: SocketAddr::new(row.ends.local.addr, row.ends.local.port_or_zero()),
            remote: SocketAddr::new(row.ends.remote.addr, row.ends.remote.port_or_zero()),
            owner: row.owner.task.as_ref().map(Into::into),
            known: row.owner.known,
            cgroup: row.owner.cgroup.as_ref().map(|cgroup| cgroup.id),
            cookie: row.cookie,
        }
    }
}

impl From<SocketLine> for SocketRow {
    fn from(line: SocketLine) -> Self {
        Self {
            label: line.label,
            state: line.state,
            ends: Endpoints { local: line.local.into(), remote: line.remote.into() },
            owner: Owner {
                task: line.owner.map(Into::into),
                cgroup: line.cgroup.map(|id| Cgroup { id, path: None }),
                known: line.known,
            },
            cookie: line.cookie,
        }
    }
}
