//! Sockets older than the tracer, from the snapshot to their first report.
//!
//! The snapshot is taken after the programs were attached, so that reports from before it come after it. It
//! says whose a socket is, and between which ends. It says nothing of the order of events: a socket that it
//! shows in one state may have reports to come of how it got there, its opening among them.

use std::sync::Arc;

use foldhash::HashMap;

use super::MOST;
use crate::model::{DiagEntry, Owner, PackedEnds, Report, State};

/// The sockets that were there before and have not been heard of since, by cookie: `skaddr` is not in the
/// snapshot. There may be a hundred thousand, so that no more is kept of each than is asked for.
#[derive(Debug, Default)]
pub struct PreexistingSockets(HashMap<u64, PreexistingSocket>);

/// What the snapshot says of a socket.
#[derive(Debug)]
pub struct PreexistingSocket {
    /// The network namespace's inode number.
    pub netns: u32,
    /// Both ends.
    pub ends: PackedEnds,
    /// Whose it is.
    pub owner: Arc<Owner>,
    listens: bool,
}

impl PreexistingSockets {
    /// The number of sockets that are not listeners.
    pub fn connections(&self) -> u64 {
        self.0.values().filter(|socket| !socket.listens).count() as u64
    }

    /// Remembers one, as long as there is room.
    pub fn add(&mut self, row: &DiagEntry, owner: Arc<Owner>) {
        if self.0.len() < MOST {
            let before = PreexistingSocket {
                netns: row.netns,
                ends: row.ends.into(),
                owner,
                listens: row.state == State::Listen,
            };
            self.0.insert(row.cookie, before);
        }
    }

    /// The socket that this is the first report of; or that was opened after all, and ends.
    pub fn take(&mut self, report: &Report) -> Option<PreexistingSocket> {
        self.0.remove(&report.cookie?)
    }

    /// The socket of that cookie.
    pub fn get(&self, cookie: u64) -> Option<&PreexistingSocket> {
        self.0.get(&cookie)
    }

    /// Whether the socket of that cookie listens.
    pub fn listens(&self, cookie: u64) -> bool {
        self.get(cookie).is_some_and(|before| before.listens)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Forgets those that may have ended unheard. Listeners are few, and their children need them.
    pub fn forget_connections(&mut self) {
        self.0.retain(|_, before| before.listens);
    }
}
