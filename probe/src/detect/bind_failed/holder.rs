//! Who holds a port, as text.

use std::{fmt, time::Duration};

use crate::{
    detect::detector::{opened_by, who},
    model::{BindFailure, BindOptions, Conflict, DiagEntry, Host, State, kernel_version},
};

/// The first kernel whose sock_diag lists sockets that are only bound.
const LISTS_BOUND: [u32; 2] = [6, 8];

/// How many holders a message names.
const NAMED: usize = 3;

/// The sockets that keep a socket from binding a port, the most likely first.
pub struct Holders<'a> {
    rows: &'a [DiagEntry],
    conflict: Conflict,
    options: BindOptions,
    /// Whether sock_diag would have listed a socket that is only bound.
    lists_bound: bool,
    is_queried: bool,
}

impl<'a> Holders<'a> {
    /// The sockets that sock_diag listed right after the bind failed.
    pub fn of(failure: &'a BindFailure, host: &Host) -> Self {
        let (rows, conflict) = failure.conflicting_holders();
        let lists_bound = kernel_version(&host.kernel).is_none_or(|version| version >= LISTS_BOUND);
        Self { rows, conflict, options: failure.options, lists_bound, is_queried: failure.is_queried }
    }

    /// Whether one of them is connected to itself, or is the TIME_WAIT of one that was.
    pub fn any_self_connected(&self) -> bool {
        self.rows.iter().any(DiagEntry::is_self_connected)
    }

    /// Whether there is at least one, and this is true of each.
    pub fn all(&self, is: impl Fn(&DiagEntry) -> bool) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(is)
    }

    /// What must be true of a holder that may share the port, for it to be the reason.
    fn condition(&self) -> &'static str {
        match (self.options.reuse_addr, self.options.reuse_port) {
            (Some(true), Some(true)) => " without SO_REUSEADDR and SO_REUSEPORT",
            (Some(true), _) => " without SO_REUSEADDR",
            (_, Some(true)) => " without SO_REUSEPORT",
            _ => "",
        }
    }
}

impl fmt::Display for Holders<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named: Vec<String> = self.rows.iter().take(NAMED).map(describe).collect();
        let named = named.join("; ");
        let more = match self.rows.len().saturating_sub(NAMED) {
            0 => String::new(),
            _ if self.rows.len() == BindFailure::MAX_HOLDERS => "; and more".to_owned(),
            more => format!("; and {more} more"),
        };
        match (self.conflict, self.rows.len()) {
            (Conflict::No, _) if !self.is_queried => f.write_str("sock_diag was not queried in its namespace"),
            (Conflict::No, _) if self.lists_bound => {
                f.write_str("the holder had closed before sock_diag was queried")
            }
            (Conflict::No, _) => f.write_str(
                "the holder had closed before sock_diag was queried, or it is only bound (which sock_diag does not list \
                 before Linux 6.8)",
            ),
            (Conflict::Certain, _) => write!(f, "{named}{more}"),
            (Conflict::Possible, 1) => write!(f, "either {named}{}, or the holder has closed since", self.condition()),
            (Conflict::Possible, _) => {
                write!(f, "either one of these holds it{}, or the holder has closed since: {named}{more}", self.condition())
            }
        }
    }
}

/// What a socket does at the port, as a clause.
pub fn describe(row: &DiagEntry) -> String {
    let owner = who(&row.owner);
    let (local, remote, state) = (row.identity.endpoints.local, row.identity.endpoints.remote, row.state);
    let expiry = row.expires.map(expires_in).unwrap_or_default();
    let doing = match state {
        State::Listen => format!("{owner} listens on {local}"),
        State::Close => format!("{owner} is bound to {local}"),
        _ if row.is_mini() && row.is_self_connected() => {
            format!("{owner}, which had connected to itself at {local}, left a {state} there{expiry}")
        }
        _ if row.is_mini() => format!("{owner} left a {state} from {local} to {remote}{expiry}"),
        _ if row.is_self_connected() => format!("{owner}, which connected to itself at {local}, holds it"),
        _ => format!("{owner} has a connection in {state} from {local} to {remote}"),
    };
    doing + &opened_by(row)
}

fn expires_in(expires: Duration) -> String {
    format!(" (expires in {} s)", expires.as_millis().div_ceil(1000))
}
