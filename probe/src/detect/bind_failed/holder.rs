//! Who has a port, in words.

use std::{fmt, time::Duration};

use super::who;
use crate::model::{BindFailure, DiagEntry, State};

/// How many a sentence names.
const NAMED: usize = 3;

/// The sockets that can be in a bind's way, the plainest first.
pub struct Holders<'a>(&'a [DiagEntry]);

impl<'a> Holders<'a> {
    /// Those that were listed when the bind had failed.
    pub fn of(failure: &'a BindFailure) -> Self {
        Self(&failure.holders)
    }

    /// Whether one of them is a socket that connected to itself, or what is left of one.
    pub fn any_self_connected(&self) -> bool {
        self.0.iter().any(DiagEntry::is_self_connected)
    }

    /// Whether of all of them only mini-sockets are left.
    pub fn all_mini(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(DiagEntry::is_mini)
    }
}

impl fmt::Display for Holders<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            // Up to Linux 6.8 at least, sock_diag has no list of them.
            return f.write_str("no socket that is listed has it (one that is bound and no more may not be)");
        }
        let named: Vec<String> = self.0.iter().take(NAMED).map(words).collect();
        f.write_str(&named.join("; "))?;
        match self.0.len() - named.len() {
            0 => Ok(()),
            _ if self.0.len() == BindFailure::MOST_HOLDERS => f.write_str("; and many more"),
            more => write!(f, "; and {more} more"),
        }
    }
}

fn words(row: &DiagEntry) -> String {
    let owner = who(&row.owner);
    let (local, remote, state) = (row.ends.local, row.ends.remote, row.state);
    let gone = row.expires.map(gone).unwrap_or_default();
    match state {
        State::Listen => format!("{owner} listens on {local}"),
        State::Close => format!("{owner} has bound {local}"),
        _ if row.is_mini() && row.is_self_connected() => {
            format!("the {state} of {local}{gone}, left by {owner}, which connected to itself")
        }
        _ if row.is_mini() => format!("the {state} of {local} with {remote}{gone}, left by {owner}"),
        _ if row.is_self_connected() => format!("{owner}, which connected to itself at {local}, has it"),
        State::SynRecv => format!("{remote} is connecting to {local} of {owner}"),
        _ => format!("a connection of {owner} has it: {local} with {remote} in {state}"),
    }
}

fn gone(expires: Duration) -> String {
    format!(" (gone in {} s)", expires.as_millis().div_ceil(1000))
}
