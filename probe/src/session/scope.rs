//! Which of the host's reports a session is about.

use foldhash::HashSet;

use crate::model::{Known, Report, State};

/// What a session takes in.
#[derive(Debug)]
pub enum Scope {
    /// Everything: a recording, a whole host.
    All,
    /// This process's own sockets.
    Own(Own),
}

impl Scope {
    /// The process that the kernel's reports call `pid`.
    #[must_use]
    pub fn own(pid: u32) -> Self {
        Self::Own(Own { pid, sockets: HashSet::default(), listeners: HashSet::default() })
    }

    /// Whether the report is the session's business. Asked once for each, in their order.
    pub fn admits(&mut self, report: &Report) -> bool {
        match self {
            Self::All => true,
            Self::Own(own) => own.admits(report),
        }
    }
}

/// One process's sockets, by what the kernel says of their owners.
#[derive(Debug)]
pub struct Own {
    pid: u32,
    sockets: HashSet<u64>,
    /// Namespace and local port of each listener: where the backend cannot tell whose child a socket
    /// is, the port that it was accepted on has to do.
    listeners: HashSet<(Option<u32>, u16)>,
}

impl Own {
    fn admits(&mut self, report: &Report) -> bool {
        let place = (report.netns, report.ends.local.port_or_zero());
        if (report.old, report.new) == (State::Listen, State::Close) && self.sockets.contains(&report.socket)
        {
            self.listeners.remove(&place);
        }
        let Some(opened) = &report.opened else { return self.sockets.contains(&report.socket) };
        let own = match (&opened.owner, opened.known) {
            (Some(owner), Known::Exact | Known::Listener) => owner.pid == self.pid,
            // Whoever is on the CPU is the client, or nobody: both ends of a scenario are its own.
            _ => {
                report.old == State::Listen
                    && self.listeners.contains(&place)
                    && report.task.as_ref().is_none_or(|task| task.pid == self.pid)
            }
        };
        if !own {
            // The address of one of ours, given to another's socket.
            self.sockets.remove(&report.socket);
            return false;
        }
        if report.new == State::Listen {
            self.listeners.insert(place);
        }
        self.sockets.insert(report.socket);
        true
    }
}
