//! What scenarios say of themselves: phases, checks, socket lists.

use super::{Endpoints, Owner, State};

/// An expectation held against what was observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The scenario that asks.
    pub scenario: String,
    /// What is asked, in a few words.
    pub name: String,
    /// What TCP, or the manual, says.
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
    /// This host cannot run it; the text says why and what would remedy it.
    Unsupported(String),
    /// It was stopped before its end.
    Interrupted,
}

/// Where in a scenario the stream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It begins; the text says what it shows.
    Start {
        /// One sentence.
        summary: String,
    },
    /// It ended so.
    End {
        /// The verdict.
        verdict: Verdict,
    },
}

/// A socket as sock_diag lists it: a line of `ss`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketRow {
    /// What the scenario calls it.
    pub label: String,
    /// Its state, TIME_WAIT and SYN_RECV included.
    pub state: State,
    /// Both ends.
    pub ends: Endpoints,
    /// Whose it is, as its transitions say.
    pub owner: Owner,
    /// Its cookie.
    pub cookie: u64,
}
