//! Who has a port, in words.

use std::{fmt, time::Duration};

use super::who;
use crate::model::{BindFailure, Endpoint, Listed, State};

/// How many a sentence names.
const NAMED: usize = 3;

/// The sockets that can be in a bind's way, the plainest first.
pub struct Holders<'a>(Vec<&'a Listed>);

impl<'a> Holders<'a> {
    /// Those that were listed when the bind had failed.
    pub fn of(failure: &'a BindFailure) -> Self {
        let may_conflict = |row: &&Listed| may_conflict(row.ends.local, failure.local);
        let mut rows: Vec<&Listed> = failure.holders.iter().filter(may_conflict).collect();
        rows.sort_by_key(|row| rank(row));
        Self(rows)
    }

    /// Whether one of them is a socket that connected to itself, or what is left of one.
    pub fn any_self_connected(&self) -> bool {
        self.0.iter().any(|row| is_self_connected(row))
    }

    /// Whether of all of them only mini-sockets are left.
    pub fn all_mini(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|row| is_mini(row))
    }
}

impl fmt::Display for Holders<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            // Up to Linux 6.8 at least, sock_diag has no list of them.
            return f.write_str("no socket that is listed has it (one that is bound and no more may not be)");
        }
        let named: Vec<String> = self.0.iter().take(NAMED).map(|row| words(row)).collect();
        f.write_str(&named.join("; "))?;
        match self.0.len() - named.len() {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// Whether two sockets with one port can be in each other's way: at one address, or one of them at all
/// addresses. That `[::]` may stand for IPv6 alone is not listed.
pub fn may_conflict(one: Endpoint, other: Endpoint) -> bool {
    let (one, other) = (one.canonical().addr, other.canonical().addr);
    one == other || one.is_unspecified() || other.is_unspecified()
}

fn rank(row: &Listed) -> u8 {
    match row.state {
        State::Listen => 0,
        _ if is_self_connected(row) => 1,
        State::Close => 2,
        _ if is_mini(row) => 4,
        _ => 3,
    }
}

/// In SYN_SENT it is not certain yet: it may still be refused.
fn is_self_connected(row: &Listed) -> bool {
    row.ends.is_self() && !matches!(row.state, State::SynSent | State::Listen)
}

fn is_mini(row: &Listed) -> bool {
    row.state == State::TimeWait || (row.state == State::FinWait2 && !row.is_full())
}

fn words(row: &Listed) -> String {
    let owner = who(&row.owner);
    let (local, remote, state) = (row.ends.local, row.ends.remote, row.state);
    let gone = row.expires.map(gone).unwrap_or_default();
    match state {
        State::Listen => format!("{owner} listens on {local}"),
        State::Close => format!("{owner} has bound {local}"),
        _ if is_mini(row) && is_self_connected(row) => {
            format!("the {state} of {local}{gone}, left by {owner}, which connected to itself")
        }
        _ if is_mini(row) => format!("the {state} of {local} with {remote}{gone}, left by {owner}"),
        _ if is_self_connected(row) => format!("{owner}, which connected to itself at {local}, has it"),
        State::SynRecv => format!("{remote} is connecting to {local} of {owner}"),
        _ => format!("a connection of {owner} has it: {local} with {remote} in {state}"),
    }
}

fn gone(expires: Duration) -> String {
    format!(" (gone in {} s)", expires.as_millis().div_ceil(1000))
}
