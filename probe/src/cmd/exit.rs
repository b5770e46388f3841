//! Exit codes, and the error message that goes with each.

use std::{fmt, process::ExitCode};

use crate::model::Verdict;

/// How the process exits. Scripts rely on the codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything went as expected: 0.
    Expected,
    /// It ran, and something was not as expected: 1. I/O errors during a run are included.
    Unexpected,
    /// Wrong usage, or input that cannot be read: 2.
    Usage,
    /// This host cannot do it: 3.
    Host,
    /// Interrupted by Ctrl-C where that is not the normal end: 130.
    Interrupted,
    /// The exit status of the traced command, as a shell reports it.
    Command(u8),
}

impl Exit {
    /// The exit of several verdicts. The worst counts: a failed check, then an interrupted scenario, then one that this
    /// host does not support.
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

/// An error that ends the command: the exit code, and the message for stderr.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What happened, and the remedy.
    pub message: String,
}

impl Failure {
    /// Wrong usage or unreadable input.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Usage, message: message.to_string() }
    }

    /// Something that this host does not support.
    pub fn host(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Host, message: message.to_string() }
    }

    /// An error while running.
    pub fn unexpected(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Unexpected, message: message.to_string() }
    }
}
