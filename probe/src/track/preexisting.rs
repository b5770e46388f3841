//! Pre-existing sockets, from the snapshot to their first report.
//!
//! The snapshot is taken after the programs are attached, and reports of earlier transitions arrive after it. It gives a
//! socket's owner and endpoints, but no order of events: reports of how a socket reached the listed state may follow, its
//! opening included.

use std::sync::Arc;

use foldhash::HashMap;

use super::MAX;
use crate::model::{DiagEntry, Owner, PackedEnds, Report, State};

/// The pre-existing sockets without a report so far, by cookie: the snapshot has no `skaddr`. There may be a hundred thousand,
/// so that each entry holds only what is used.
#[derive(Debug, Default)]
pub struct PreexistingSockets(HashMap<u64, PreexistingSocket>);

/// A socket of the snapshot.
#[derive(Debug)]
pub struct PreexistingSocket {
    /// The network namespace's inode number.
    pub netns: u32,
    /// Both endpoints.
    pub ends: PackedEnds,
    /// The owner.
    pub owner: Arc<Owner>,
    listens: bool,
}

impl PreexistingSockets {
    /// Adds a socket, unless there are [`MAX`] already.
    pub fn add(&mut self, row: &DiagEntry, owner: Arc<Owner>) {
        if self.0.len() < MAX {
            let socket = PreexistingSocket {
                netns: row.netns,
                ends: row.ends.into(),
                owner,
                listens: row.state == State::Listen,
            };
            self.0.insert(row.cookie, socket);
        }
    }

    /// Removes the socket of this report.
    pub fn take(&mut self, report: &Report) -> Option<PreexistingSocket> {
        self.0.remove(&report.cookie?)
    }

    /// The socket with this cookie.
    pub fn get(&self, cookie: u64) -> Option<&PreexistingSocket> {
        self.0.get(&cookie)
    }

    /// Whether the socket with this cookie listens.
    pub fn listens(&self, cookie: u64) -> bool {
        self.get(cookie).is_some_and(|socket| socket.listens)
    }

    /// The number of connections: sockets that do not listen.
    pub fn connections(&self) -> usize {
        self.0.values().filter(|socket| !socket.listens).count()
    }

    /// The number of sockets.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Removes connections, which may have ended without a report. Listeners stay: they are few, and their children need
    /// them.
    pub fn clear_connections(&mut self) {
        self.0.retain(|_, socket| socket.listens);
    }
}
