//! Why a driver did not get to its end.

use std::fmt;

use crate::net::{NamespaceError, sysctl::SysctlError};

/// Why a driver did not get to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// This host cannot play it: the cause, and what would remedy it.
    #[error("{0}")]
    Unsupported(String),
    /// A step failed that nothing was known to speak against.
    #[error("{step}: {cause}")]
    Failed {
        /// What was being done.
        step: String,
        /// What came of it.
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
        Self::Failed { step: "using a sysctl".to_owned(), cause: error.to_string() }
    }
}

/// Says what was being done when an error came up.
pub trait Step<T> {
    /// Turns an error into [`StepError::Failed`] at this step.
    ///
    /// # Errors
    /// The one that was there.
    fn step(self, what: impl Into<String>) -> Result<T, StepError>;
}

impl<T, E: fmt::Display> Step<T> for Result<T, E> {
    fn step(self, what: impl Into<String>) -> Result<T, StepError> {
        self.map_err(|cause| StepError::Failed { step: what.into(), cause: cause.to_string() })
    }
}
