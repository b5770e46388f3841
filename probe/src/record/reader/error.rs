//! Why a recording cannot be read.

use std::{fmt, io};

use thiserror::Error;

use crate::record::format::{Layout, VERSION};

/// Where in a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Of one that has lines alone: in a line, counted from 1.
    Line(u64),
    /// Of one that has lines alone.
    Column {
        /// Counted from 1.
        line: u64,
        /// The byte in it, counted from 1.
        column: usize,
    },
    /// Of any other: so many bytes from its beginning.
    Byte(u64),
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Column { line, column } => write!(f, "line {line}, column {column}"),
            Self::Byte(byte) => write!(f, "byte {byte}"),
        }
    }
}

/// Why a recording cannot be read, or not any further.
#[derive(Debug, Error)]
pub enum ReadError {
    /// Not a recording at all.
    #[error("not a recording of probe's: {0}; recordings are written by `--record FILE`")]
    Foreign(String),
    /// A recording in a format that this version does not know.
    #[error(
        "a recording in version {found} of its format, where this probe reads up to version {VERSION}: replay it with the probe that made it, or a newer one"
    )]
    Version {
        /// Its version.
        found: u32,
    },
    /// A recording whose records this version cannot read.
    #[error(
        "a recording {}, where this probe reads those {}: replay it with the probe that made it, on a machine of the same kind",
        layout(.0.as_ref()),
        layout(Some(&Layout::current()))
    )]
    Layout(Option<Layout>),
    /// It ends before its end: whoever wrote it was stopped, or the copy is incomplete.
    #[error(
        "the recording is cut off at {place}: what stands before it was read; the rest was never written, or is lost"
    )]
    Truncated {
        /// Where what is cut begins, or where something should follow.
        place: Position,
    },
    /// Something that no probe wrote.
    #[error("the recording is corrupted at {place}: {what}; what stands before it was read")]
    Corrupted {
        /// Where.
        place: Position,
        /// What is wrong there.
        what: String,
    },
    /// The file cannot be opened or read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
}

fn layout(layout: Option<&Layout>) -> String {
    match layout {
        Some(Layout { layout, order }) => format!("of records in layout {layout}, {order}-endian"),
        None => "of records in no layout that it names".to_owned(),
    }
}
