//! Why a driver did not complete.

use std::fmt;

use crate::net::{NamespaceError, sysctl::SysctlError};

/// Why a driver did not complete.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// This host does not support it: the cause and the remedy, in one sentence.
    #[error("{0}")]
    Unsupported(String),
    /// A step failed for no reason known beforehand.
    #[error("{step}: {cause}")]
    Failed {
        /// The step, such as `client: connecting`.
        step: String,
        /// The error.
        cause: String,
    },
}

impl From<NamespaceError> for StepError {
    fn from(error: NamespaceError) -> Self {
        Self::Unsupported(error.to_string())
    }
}

impl From<SysctlError> for StepError {
    fn from(error: SysctlError) -> Self {
        if error.is_permission() {
            return Self::Unsupported(error.to_string());
        }
        Self::Failed { step: "accessing a sysctl".to_owned(), cause: error.to_string() }
    }
}

/// Adds the step to an error.
pub trait Step<T> {
    /// Turns an error into [`StepError::Failed`] at this step.
    ///
    /// # Errors
    /// The original error, with the step.
    fn step(self, what: impl Into<String>) -> Result<T, StepError>;
}

impl<T, E: fmt::Display> Step<T> for Result<T, E> {
    fn step(self, what: impl Into<String>) -> Result<T, StepError> {
        self.map_err(|cause| StepError::Failed { step: what.into(), cause: cause.to_string() })
    }
}
