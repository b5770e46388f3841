//! The choice of output format.

use clap::ValueEnum;

/// An output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table for a terminal
    Table,
    /// One JSON object per line, written as events happen
    Json,
}
