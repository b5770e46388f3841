//! Which of the host's reports a session processes.

use foldhash::HashSet;

use crate::model::{Known, Report, State};

/// The reports that a session processes.
#[derive(Debug)]
pub enum Scope {
    /// All reports: a recording, or a whole host.
    All,
    /// The reports of one process's sockets.
    Own(OwnSockets),
}

impl Scope {
    /// The sockets of the process that has this id in the kernel's reports, which use the initial pid namespace.
    #[must_use]
    pub fn own(pid: u32) -> Self {
        Self::Own(OwnSockets {
            pid,
            sockets: HashSet::default(),
            listeners: HashSet::default(),
            unnamed: Vec::new(),
        })
    }

    /// Whether the session processes the report. Must be called once for each report, in their order.
    pub fn includes(&mut self, report: &Report) -> bool {
        match self {
            Self::All => true,
            Self::Own(own) => own.include(report),
        }
    }
}

/// The sockets of one process, by the owners in the reports.
#[derive(Debug)]
pub struct OwnSockets {
    pid: u32,
    sockets: HashSet<u64>,
    /// The listeners. A backend that does not know an accepted socket's owner leaves only the port that it was accepted
    /// on.
    listeners: HashSet<NetnsPort>,
    /// The ports of accepted sockets whose first report had their listener's identity, until the next report has their
    /// own.
    unnamed: Vec<NetnsPort>,
}

/// A network namespace and a local port in it.
type NetnsPort = (Option<u32>, u16);

impl OwnSockets {
    /// Updates the sets, and returns whether the report is of an own socket.
    fn include(&mut self, report: &Report) -> bool {
        let port = (report.netns, report.ends.local.port_or_zero());
        if (report.old, report.new) == (State::Listen, State::Close) && self.sockets.contains(&report.socket)
        {
            self.listeners.remove(&port);
        }
        let Some(opened) = &report.opened else {
            let may_be_accepted = report.old == State::SynRecv && !self.sockets.contains(&report.socket);
            if may_be_accepted && let Some(index) = self.unnamed.iter().position(|unnamed| *unnamed == port) {
                self.unnamed.remove(index);
                self.sockets.insert(report.socket);
            }
            return self.sockets.contains(&report.socket);
        };
        let is_own = match (&opened.owner, opened.known) {
            (Some(owner), Known::Exact | Known::Listener) => owner.pid == self.pid,
            // The current task is the client or a bystander. Both ends of a scenario's connection are own sockets.
            _ => {
                report.old == State::Listen
                    && self.listeners.contains(&port)
                    && report.task.as_ref().is_none_or(|task| task.pid == self.pid)
            }
        };
        if !is_own {
            // Another process's socket has the address of an own socket that was freed.
            self.sockets.remove(&report.socket);
            return false;
        }
        if report.new == State::Listen {
            self.listeners.insert(port);
        }
        if has_listeners_identity(report) {
            self.unnamed.push(port);
        }
        self.sockets.insert(report.socket);
        true
    }
}

/// Whether this is an accepted socket's first report, with its listener's cookie: before a3a128f611a9 (Linux 6.15),
/// the kernel sets the state first, then the identity and the remote port.
fn has_listeners_identity(report: &Report) -> bool {
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
        let Input::Report(report) = socket.step(old, new) else { unreachable!("every step is a report") };
        report
    }

    #[test]
    fn an_accepted_socket_with_its_listeners_identity_is_included() {
        let mut scope = Scope::own(100);
        let mut listener = Socket::new(1, "127.0.0.1:80", "0.0.0.0:0");
        let opening = step(&mut listener, Close, Listen);
        assert!(scope.includes(&opening));
        let mut child = step(&mut listener, Listen, SynRecv);
        child.opened = opening.opened;
        assert!(scope.includes(&child));
        let [mut named, mut other] = [2, 3].map(|number| Socket::new(number, "127.0.0.1:80", "127.0.0.1:9"));
        assert!(scope.includes(&step(&mut named, SynRecv, Established)));
        assert!(scope.includes(&step(&mut named, Established, Close)));
        assert!(!scope.includes(&step(&mut other, SynRecv, Established)), "only one socket was accepted");
    }
}
