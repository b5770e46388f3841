//! Scenarios: phases, checks and socket lists.

use super::{Endpoints, Owner, State};

/// An expectation, and what was observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The scenario.
    pub scenario: String,
    /// What is checked, in a few words.
    pub name: String,
    /// What TCP or the manual page says.
    pub expected: String,
    /// What the kernel reported, or a call returned.
    pub observed: String,
    /// Whether they agree.
    pub pass: bool,
}

/// How a scenario ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every check passed.
    Passed,
    /// At least one check failed.
    Failed,
    /// This host cannot run it: the reason and the remedy.
    Unsupported(String),
    /// It was stopped early.
    Interrupted,
}

/// The start or the end of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It starts.
    Start {
        /// What it demonstrates, in one sentence.
        summary: String,
    },
    /// It ended.
    End {
        /// The verdict.
        verdict: Verdict,
    },
}

/// A socket that sock_diag lists, like a line of `ss`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketRow {
    /// The scenario's label for it.
    pub label: String,
    /// Its state, TIME_WAIT and SYN_RECV included.
    pub state: State,
    /// Both endpoints.
    pub endpoints: Endpoints,
    /// Its owner, from its transitions.
    pub owner: Owner,
    /// Its cookie.
    pub cookie: u64,
}
