//! Who holds a port, as text.

use std::{fmt, time::Duration};

use crate::{
    detect::detector::who,
    model::{BindFailure, DiagEntry, State},
};

/// How many holders a message names.
const NAMED: usize = 3;

/// The sockets that may conflict with a bind, the most likely first.
pub struct Holders<'a>(&'a [DiagEntry]);

impl<'a> Holders<'a> {
    /// The sockets that sock_diag listed right after the bind failed.
    pub fn of(failure: &'a BindFailure) -> Self {
        Self(&failure.holders)
    }

    /// Whether one of them is connected to itself, or is the TIME_WAIT of one that was.
    pub fn any_self_connected(&self) -> bool {
        self.0.iter().any(DiagEntry::is_self_connected)
    }

    /// Whether all of them are mini-sockets, and there is at least one.
    pub fn all_mini(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(DiagEntry::is_mini)
    }
}

impl fmt::Display for Holders<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            // Up to Linux 6.8 at least, sock_diag does not list sockets that are only bound.
            return f.write_str(
                "sock_diag lists no socket on this port (it may not list one that is only bound)",
            );
        }
        let named: Vec<String> = self.0.iter().take(NAMED).map(describe).collect();
        f.write_str(&named.join("; "))?;
        match self.0.len() - named.len() {
            0 => Ok(()),
            _ if self.0.len() == BindFailure::MAX_HOLDERS => f.write_str("; and more"),
            more => write!(f, "; and {more} more"),
        }
    }
}

fn describe(row: &DiagEntry) -> String {
    let owner = who(&row.owner);
    let (local, remote, state) = (row.identity.endpoints.local, row.identity.endpoints.remote, row.state);
    let expiry = row.expires.map(expires_in).unwrap_or_default();
    match state {
        State::Listen => format!("{owner} listens on {local}"),
        State::Close => format!("{owner} is bound to {local}"),
        _ if row.is_mini() && row.is_self_connected() => {
            format!("{owner}, which had connected to itself at {local}, left a {state} there{expiry}")
        }
        _ if row.is_mini() => format!("{owner} left a {state} from {local} to {remote}{expiry}"),
        _ if row.is_self_connected() => format!("{owner}, which connected to itself at {local}, holds it"),
        State::SynRecv => format!("a connection from {remote} to {owner} at {local} is in {state}"),
        _ => format!("{owner} has a connection in {state} from {local} to {remote}"),
    }
}

fn expires_in(expires: Duration) -> String {
    format!(" (expires in {} s)", expires.as_millis().div_ceil(1000))
}
