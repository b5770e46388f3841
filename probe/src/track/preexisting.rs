//! Pre-existing sockets, from the snapshot to their first report.
//!
//! The snapshot is taken after the programs are attached, and reports of earlier transitions arrive after it. It gives a
//! socket's owner and endpoints, but no order of events: reports of how a socket reached the listed state may follow, its
//! opening included.

use std::sync::Arc;

use foldhash::HashMap;

use crate::model::{DiagEntry, Owner, PackedIdentity, Report, SocketIdentity, State};

/// The maximum number. The tracker evicts sockets beyond it after a loss.
pub const MAX: usize = if cfg!(test) { 1 << 12 } else { 1 << 18 };

/// The pre-existing sockets without a report so far, by cookie: the snapshot has no `skaddr`. There may be a hundred thousand,
/// so that each entry holds only what is used.
#[derive(Debug, Default)]
pub struct PreexistingSockets {
    listeners: HashMap<u64, PreexistingSocket>,
    connections: HashMap<u64, PreexistingSocket>,
}

/// A socket of the snapshot.
#[derive(Debug)]
pub struct PreexistingSocket {
    /// Namespace, protocol, family and endpoints.
    pub identity: PackedIdentity,
    /// The owner.
    pub owner: Arc<Owner>,
}

impl PreexistingSockets {
    /// Adds a socket, unless there are [`MAX`] already.
    pub fn add(&mut self, row: &DiagEntry, owner: Arc<Owner>) {
        if self.len() < MAX {
            let listens = row.state == State::Listen;
            let sockets = if listens { &mut self.listeners } else { &mut self.connections };
            let identity = SocketIdentity::from(row.identity).into();
            sockets.insert(row.cookie, PreexistingSocket { identity, owner });
        }
    }

    /// Removes the socket of this report.
    pub fn take(&mut self, report: &Report) -> Option<PreexistingSocket> {
        let cookie = report.cookie?;
        self.connections.remove(&cookie).or_else(|| self.listeners.remove(&cookie))
    }

    /// The socket with this cookie.
    pub fn get(&self, cookie: u64) -> Option<&PreexistingSocket> {
        self.connections.get(&cookie).or_else(|| self.listeners.get(&cookie))
    }

    /// Whether the socket with this cookie listens.
    pub fn listens(&self, cookie: u64) -> bool {
        self.listeners.contains_key(&cookie)
    }

    /// The number of connections: sockets that do not listen.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// The number of sockets.
    pub fn len(&self) -> usize {
        self.listeners.len() + self.connections.len()
    }

    /// Removes connections, which may have ended without a report. Listeners stay: they are few, and their children need
    /// them.
    pub fn clear_connections(&mut self) {
        self.connections.clear();
    }
}
