//! A tracked socket as the holder of a port, to be compared with the one that sock_diag lists.

use super::time_wait_owners::Left;
use crate::model::{DiagEntry, Endpoints, Owner, State};

/// A tracked socket.
pub struct Live {
    pub cookie: Option<u64>,
    pub endpoints: Endpoints,
    pub state: State,
    pub left: Left,
}

impl Live {
    /// Whether it is this listed socket. On backend `tracepoint` it may have had no cookie before it was listed.
    pub fn is(&self, row: &DiagEntry) -> bool {
        match self.cookie {
            Some(cookie) => cookie == row.cookie,
            None => (self.endpoints, self.state) == (row.identity.endpoints.canonical(), row.state),
        }
    }
}

/// Whether both are one process that runs the same program.
pub fn is_same(one: &Owner, other: &Owner) -> bool {
    let name = |owner: &Owner| owner.task.as_ref().map(|task| (task.pid, task.comm.clone()));
    name(one) == name(other)
}
