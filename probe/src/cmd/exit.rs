//! How the process ends: what each exit code means, and the one line that goes with it.

use std::{fmt, process::ExitCode};

use crate::model::Verdict;

/// The exit codes that scripts rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything went as expected: 0.
    Expected,
    /// It ran, and something was not as expected: 1.
    Unexpected,
    /// Wrong usage, or input that cannot be read: 2.
    Usage,
    /// This host cannot do it: 3.
    Host,
    /// Stopped by Ctrl-C where that is not the normal end: 130.
    Interrupted,
    /// Whatever the command that was traced ended with, as a shell has it.
    Command(u8),
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
        Self::from(match exit {
            Exit::Expected => 0,
            Exit::Unexpected => 1,
            Exit::Usage => 2,
            Exit::Host => 3,
            Exit::Interrupted => 130,
            Exit::Command(code) => code,
        })
    }
}

/// An end before its time: the code, and the line for stderr.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What happened, and what remedies it.
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
