//! The sockets of the whole host at one moment, for a trace to begin with.

use std::{collections::BTreeMap, fs, path::Path, thread};

use super::{
    Namespace,
    namespaces::Namespaces,
    sock_diag::{DiagSocket, SockDiag, SockDiagError},
};
use crate::{
    model::{DiagEntry, Mono, Owner, Protocol},
    os::{cgroup::Cgroups, clock, owners::Owners},
};

/// The inode number of the initial pid namespace (`PROC_PID_INIT_INO`).
const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";

/// What it takes to look at another's process.
const REFUSED: &str = "this needs CAP_SYS_PTRACE, and a security module that allows it";

/// What was there.
#[derive(Debug)]
pub struct Snapshot {
    /// When all sockets had been listed. The owners were looked up meanwhile.
    pub at: Mono,
    /// Every TCP and MPTCP socket in every namespace that could be reached. One that moved between the kernel's
    /// tables meanwhile may be there twice; the later one holds.
    ///
    /// The pids of the owners are those of this process's /proc. The kernel's reports give those of the initial
    /// pid namespace, which are others where this process runs in a pid namespace of its own; then `off` says so.
    pub sockets: Vec<DiagEntry>,
    /// What could not be seen, in plain words.
    pub unavailable: Vec<String>,
}

/// Lists all sockets of all reachable namespaces, with their owners and these owners' cgroups.
#[must_use]
pub fn take() -> Snapshot {
    let namespaces = Namespaces::reachable();
    let mut off = Off::default();
    // With very many sockets, each of the two takes its time. Whose a socket is that is opened meanwhile, its reports say.
    let (listed, at, owners) = thread::scope(|scope| {
        let owners = scope.spawn(|| Owners::of_all(&mut Cgroups::new()));
        let mut found = Found::default();
        namespaces.iter().for_each(|namespace| list(&namespace, &mut found, &mut off));
        let at = clock::now();
        (found, at, owners.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let Found { mut sockets, inodes } = listed;
    for (row, inode) in sockets.iter_mut().zip(inodes) {
        row.owner = owners.of_inode(inode);
    }
    Snapshot { at, sockets, unavailable: off.told(namespaces.hidden(), owners.hidden) }
}

/// Sockets whose owners are not known yet.
#[derive(Default)]
struct Found {
    sockets: Vec<DiagEntry>,
    /// The inode number of each.
    inodes: Vec<Option<u32>>,
}

impl Found {
    fn add(&mut self, netns: u32, socket: &DiagSocket) {
        self.sockets.push(socket.listed(netns, Owner::unknown()));
        self.inodes.push(socket.inode);
    }
}

/// Adds the sockets of one namespace.
fn list(namespace: &Namespace, found: &mut Found, off: &mut Off) {
    let mut diag = match namespace.enter(SockDiag::open) {
        Ok(Ok(diag)) => diag,
        Ok(Err(error)) => return off.note(error.to_string()),
        Err(error) => return off.note(error.to_string()),
    };
    let mut add = |socket: DiagSocket| found.add(namespace.inode(), &socket);
    if let Err(error) = diag.each(Protocol::Tcp, &mut add) {
        off.note(error.to_string());
    }
    if let Err(error) = diag.each(Protocol::Mptcp, &mut add) {
        off.note_mptcp(&error);
    }
}

/// What could not be seen: why, and in how many namespaces.
#[derive(Default)]
struct Off(BTreeMap<String, usize>);

impl Off {
    fn note(&mut self, why: String) {
        *self.0.entry(why).or_default() += 1;
    }

    /// A kernel without MPTCP has no such sockets to miss.
    fn note_mptcp(&mut self, error: &SockDiagError) {
        if Path::new("/proc/sys/net/mptcp").exists() {
            self.note(error.to_string());
        }
    }

    fn told(self, hidden_namespaces: usize, hidden_descriptors: usize) -> Vec<String> {
        let mut lines: Vec<String> = self
            .0
            .into_iter()
            .map(|(why, count)| format!("sockets that were there already, in {}: {why}", namespaces(count)))
            .collect();
        if hidden_namespaces > 0 {
            lines.push(format!(
                "sockets that were there already, where nobody but {} is in their network namespace: {REFUSED}",
                refused(hidden_namespaces)
            ));
        }
        if hidden_descriptors > 0 {
            lines.push(format!(
                "owners of sockets that were there already, where it is {}: {REFUSED}",
                refused(hidden_descriptors)
            ));
        }
        if in_a_pid_namespace() {
            lines.push(
                "sockets that were there already, and their owners, where the process is outside of this pid \
                 namespace; pids inside are its own: run in the host's, for containers with --pid=host"
                    .to_owned(),
            );
        }
        lines
    }
}

fn namespaces(count: usize) -> String {
    if count == 1 { "one network namespace".to_owned() } else { format!("{count} network namespaces") }
}

fn refused(processes: usize) -> String {
    match processes {
        1 => "a process that may not be looked at".to_owned(),
        _ => format!("one of {processes} processes that may not be looked at"),
    }
}

/// Whether this process sees only some of the host's processes, by other numbers.
fn in_a_pid_namespace() -> bool {
    fs::read_link("/proc/self/ns/pid").is_ok_and(|name| name != Path::new(INITIAL_PID_NAMESPACE))
}

#[cfg(test)]
mod tests;
