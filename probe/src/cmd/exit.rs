//! How the process ends: what each exit code means, and the one line that goes with it.

use std::{fmt, process::ExitCode};

use crate::model::Verdict;

/// The exit codes that scripts rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything went as expected.
    Expected = 0,
    /// It ran, and something was not as expected.
    Unexpected = 1,
    /// Wrong usage, or input that cannot be read.
    Usage = 2,
    /// This host cannot do it.
    Host = 3,
    /// Stopped by Ctrl-C where that is not the normal end.
    Interrupted = 130,
}

impl Exit {
    /// The worst verdict counts: a check that failed, then a scenario that was broken off, then one that
    /// this host cannot run.
    pub fn of(verdicts: &[Verdict]) -> Self {
        if verdicts.contains(&Verdict::Failed) {
            Self::Unexpected
        } else if verdicts.contains(&Verdict::Interrupted) {
            Self::Interrupted
        } else if verdicts.iter().any(|verdict| matches!(verdict, Verdict::Unsupported(_))) {
            Self::Host
        } else {
            Self::Expected
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An end before its time: the code, and the line for stderr.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What happened, and what cures it.
    pub message: String,
}

impl Failure {
    /// Wrong usage or unreadable input.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Usage, message: message.to_string() }
    }

    /// Something that this host lacks.
    pub fn host(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Host, message: message.to_string() }
    }

    /// It ran, and broke.
    pub fn unexpected(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Unexpected, message: message.to_string() }
    }
}
