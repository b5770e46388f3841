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
        Self::Own(Own {
            pid,
            sockets: HashSet::default(),
            listeners: HashSet::default(),
            unnamed: Vec::new(),
        })
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
    listeners: HashSet<NetnsPort>,
    /// Where children have begun under their listener's name, and have not shown their own yet.
    unnamed: Vec<NetnsPort>,
}

/// Namespace and local port.
type NetnsPort = (Option<u32>, u16);

impl Own {
    fn admits(&mut self, report: &Report) -> bool {
        let place = (report.netns, report.ends.local.port_or_zero());
        if (report.old, report.new) == (State::Listen, State::Close) && self.sockets.contains(&report.socket)
        {
            self.listeners.remove(&place);
        }
        let Some(opened) = &report.opened else {
            let may_be_a_child = report.old == State::SynRecv && !self.sockets.contains(&report.socket);
            if may_be_a_child && let Some(at) = self.unnamed.iter().position(|unnamed| *unnamed == place) {
                self.unnamed.remove(at);
                self.sockets.insert(report.socket);
            }
            return self.sockets.contains(&report.socket);
        };
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
        if is_unnamed_child(report) {
            self.unnamed.push(place);
        }
        self.sockets.insert(report.socket);
        true
    }
}

/// Whether this is a child's first report, under its listener's cookie: up to Linux 6.12 at least, the kernel sets the
/// state first, and the identity and the remote port after.
fn is_unnamed_child(report: &Report) -> bool {
    (report.old, report.new) == (State::Listen, State::SynRecv)
        && report.cookie == Some(report.socket)
        && report.ends.remote.port.is_none()
}

#[cfg(test)]
mod tests {
    use State::{Close, Established, Listen, SynRecv};

    use super::*;
    use crate::{model::Input, session::testing::Socket};

    fn step(socket: &mut Socket, old: State, new: State) -> Report {
        let Input::Report(report) = socket.step(old, new) else { unreachable!("it steps by reports") };
        report
    }

    #[test]
    fn a_child_that_begins_under_its_listeners_name_is_its_owners() {
        let mut scope = Scope::own(100);
        let mut listener = Socket::new(1, "127.0.0.1:80", "0.0.0.0:0");
        let opening = step(&mut listener, Close, Listen);
        assert!(scope.admits(&opening));
        let mut child = step(&mut listener, Listen, SynRecv);
        child.opened = opening.opened;
        assert!(scope.admits(&child));
        let [mut named, mut stranger] =
            [2, 3].map(|number| Socket::new(number, "127.0.0.1:80", "127.0.0.1:9"));
        assert!(scope.admits(&step(&mut named, SynRecv, Established)));
        assert!(scope.admits(&step(&mut named, Established, Close)));
        assert!(!scope.admits(&step(&mut stranger, SynRecv, Established)), "there was one child alone");
    }
}
