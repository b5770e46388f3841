//! A snapshot of the host's sockets, taken when a trace starts.

use std::{collections::BTreeMap, path::Path, thread};

use super::{
    Namespace,
    namespaces::Namespaces,
    sock_diag::{DiagSocket, SockDiag, SockDiagError},
};
use crate::{
    model::{BindOptions, DiagEntry, Mono, Owner, Protocol, State},
    os::{cgroup::Cgroups, clock, owners::Owners, process},
};

/// What reading another process's namespaces and descriptors needs.
const NEEDED: &str = "needs CAP_SYS_PTRACE, and a security module that allows it";

/// The existing sockets.
#[derive(Debug)]
pub struct Snapshot {
    /// When the last socket was listed. Owners were looked up at the same time.
    pub at: Mono,
    /// Every TCP and MPTCP socket in every reachable namespace. A socket that moved between the kernel's tables meanwhile
    /// may be listed twice; the later entry is right.
    ///
    /// The pids of owners are those of this process's /proc. The kernel's reports have those of the initial pid namespace,
    /// which differ if this process runs in another one; `unavailable` then says so.
    ///
    /// `None` without /proc, which leads to the namespaces.
    pub sockets: Option<Vec<DiagEntry>>,
    /// What is missing from the list, and why, as sentences.
    pub unavailable: Vec<String>,
}

/// Lists the sockets of all reachable namespaces with their owners and the owners' cgroups.
#[must_use]
pub fn take() -> Snapshot {
    if !process::has_proc() {
        let reason = "existing sockets and their owners are unknown: /proc is not mounted; run \
                      `mount -t proc proc /proc`";
        return Snapshot { at: clock::now(), sockets: None, unavailable: vec![reason.to_owned()] };
    }
    let namespaces = Namespaces::reachable();
    let mut unavailable = Unavailable::default();
    // With many sockets both searches take long, so they run in parallel. The owner of a socket opened meanwhile comes with
    // its own reports.
    let (found, at, owners) = thread::scope(|scope| {
        let owners = scope.spawn(|| Owners::of_all(&mut Cgroups::new()));
        let mut found = Found::default();
        namespaces.iter().for_each(|namespace| list(&namespace, &mut found, &mut unavailable));
        let at = clock::now();
        (found, at, owners.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let Found { mut sockets, inodes } = found;
    for (entry, inode) in sockets.iter_mut().zip(inodes) {
        entry.owner = owners.of_inode(inode);
    }
    Snapshot {
        at,
        sockets: Some(sockets),
        unavailable: unavailable.into_lines(namespaces.hidden(), owners.hidden),
    }
}

/// Listed sockets without their owners.
#[derive(Default)]
struct Found {
    sockets: Vec<DiagEntry>,
    /// The inode number of each socket.
    inodes: Vec<Option<u32>>,
}

impl Found {
    fn add(&mut self, netns: u32, socket: &DiagSocket) {
        let entry = socket.entry(netns, Owner::unknown());
        // Of the others, details matter only where one holds a port, and then they are queried again.
        let entry = match entry.state {
            State::Listen => entry,
            _ => DiagEntry { inode: None, options: BindOptions::default(), ..entry },
        };
        self.sockets.push(entry);
        self.inodes.push(socket.inode);
    }
}

/// Adds the sockets of one namespace.
fn list(namespace: &Namespace, found: &mut Found, unavailable: &mut Unavailable) {
    let mut diag = match namespace.enter(SockDiag::open) {
        Ok(Ok(diag)) => diag,
        Ok(Err(error)) => return unavailable.add(error.to_string()),
        Err(error) => return unavailable.add(error.to_string()),
    };
    let mut add = |socket: DiagSocket| found.add(namespace.inode(), &socket);
    if let Err(error) = diag.each(Protocol::Tcp, &mut add) {
        unavailable.add(error.to_string());
    }
    if let Err(error) = diag.each(Protocol::Mptcp, &mut add) {
        unavailable.add_mptcp(&error);
    }
}

/// Why sockets could not be listed, with the number of namespaces for each reason.
#[derive(Default)]
struct Unavailable(BTreeMap<String, usize>);

impl Unavailable {
    fn add(&mut self, reason: String) {
        *self.0.entry(reason).or_default() += 1;
    }

    /// Adds an error of sock_diag for MPTCP, unless this kernel has no MPTCP and so no such sockets.
    fn add_mptcp(&mut self, error: &SockDiagError) {
        if Path::new("/proc/sys/net/mptcp").exists() {
            self.add(error.to_string());
        }
    }

    fn into_lines(self, hidden_namespaces: usize, hidden_descriptors: usize) -> Vec<String> {
        let mut lines: Vec<String> = self
            .0
            .into_iter()
            .map(|(reason, count)| {
                let namespaces = counted(count, "network namespace", "network namespaces");
                format!("the existing sockets of {namespaces} are not listed: {reason}")
            })
            .collect();
        if hidden_namespaces > 0 {
            lines.push(format!(
                "some existing sockets may be hidden: reading the network namespace of {} is not permitted ({NEEDED})",
                counted(hidden_namespaces, "process or thread", "processes and threads")
            ));
        }
        if hidden_descriptors > 0 {
            lines.push(format!(
                "owners of some existing sockets may be unknown: reading the descriptors of {} is not permitted ({NEEDED})",
                counted(hidden_descriptors, "process", "processes")
            ));
        }
        if process::is_in_a_pid_namespace() {
            lines.push(
                "existing sockets and owners outside this pid namespace are hidden, and pids are those inside it: run in \
                 the host's pid namespace, e.g. a container with --pid=host"
                    .to_owned(),
            );
        }
        lines
    }
}

fn counted(count: usize, singular: &str, plural: &str) -> String {
    format!("{count} {}", if count == 1 { singular } else { plural })
}

#[cfg(test)]
mod tests;
