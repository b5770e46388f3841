//! `probe schema`: the JSON Schema of the output.

use std::io::Write as _;

use super::{
    exit::{Exit, Failure},
    outcome, output,
};
use crate::{record, session::SessionError};

/// Prints the schema of every line of `--format json`.
pub fn schema() -> Result<Exit, Failure> {
    let mut out = output::stdout();
    let written = writeln!(out, "{:#}", record::schema()).and_then(|()| out.flush());
    outcome(written.map_err(SessionError::Output), |()| Exit::Expected)
}
