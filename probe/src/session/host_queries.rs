//! Queries the live host for what the kernel's reports do not contain. The answers are inputs of the stream
//! and are recorded, so that a replay has them too.

use foldhash::HashSet;

use crate::{
    model::{BindFailure, Cgroup, Connection, DiagEntry, Errno, Input, OpenerFate, TimeWaitEntry},
    net::snapshot::Snapshot,
};

/// Queries to the host that the reports come from.
pub trait HostQueries {
    /// The sockets that exist already; `None` if they are not to be listed.
    fn existing_sockets(&mut self) -> Option<Snapshot>;

    /// The cgroup with this id, with its path if it still exists.
    fn cgroup(&mut self, id: u64) -> Cgroup;

    /// The sockets of a network namespace that have a local port; `None` where they cannot be listed.
    fn port_holders(&mut self, netns: u32, port: u16) -> Option<Vec<DiagEntry>>;

    /// What has become of a process that opened the socket with this inode number; `None` where that cannot be found out.
    fn opener_fate(&mut self, pid: u32, inode: u32) -> Option<OpenerFate>;

    /// The mini-socket that replaced a connection, or the fact that there is none; `None` if that is not to be queried,
    /// or cannot be.
    fn time_wait_entry(&mut self, connection: &Connection) -> Option<TimeWaitEntry>;

    /// Releases what has not been used for a while. Called once a second.
    fn evict_idle(&mut self);
}

/// The maximum number of cgroups that are remembered as sent. Beyond it all are forgotten and sent again: a host that
/// creates a cgroup for each job has ever more of them.
const MAX_CGROUPS: usize = 1 << 16;

/// Adds the host's answers to the inputs.
pub(super) struct Enricher {
    host: Box<dyn HostQueries>,
    /// The ids of the cgroups that were sent.
    sent_cgroups: HashSet<u64>,
    /// The last id that was looked up: most often, the next one is the same.
    last_cgroup: Option<u64>,
}

impl Enricher {
    pub fn new(host: Box<dyn HostQueries>) -> Self {
        Self { host, sent_cgroups: HashSet::default(), last_cgroup: None }
    }

    /// Adds the host's answers to an input. Returns the input that belongs after it.
    pub fn enrich(&mut self, input: &mut Input) -> Option<Input> {
        match input {
            Input::Ready { unavailable, existing, .. } => {
                let Snapshot { at, sockets, unavailable: missing } = self.host.existing_sockets()?;
                unavailable.extend(missing);
                *existing = sockets.as_ref().map(|sockets| sockets.len() as u64);
                sockets.map(|sockets| Input::Existing { at, sockets })
            }
            Input::BindFailed(failure) => {
                if failure.errno == Errno::EADDRINUSE
                    && let (Some(netns), Some(port)) = (failure.identity.netns, failure.local().port)
                    && let Some(holders) = self.host.port_holders(netns, port.get())
                {
                    failure.holders = holders;
                    failure.is_queried = true;
                    failure.retain_conflicting_holders();
                }
                None
            }
            _ => None,
        }
    }

    /// Adds what has become of the processes that opened the holders of a port: cookie, process and inode number of each.
    pub fn add_opener_fates(&mut self, failure: &mut BindFailure, openers: &[(u64, u32, u32)]) {
        let fate =
            |(cookie, pid, inode): &(u64, u32, u32)| Some((*cookie, self.host.opener_fate(*pid, *inode)?));
        failure.opener_fates = openers.iter().filter_map(fate).collect();
    }

    /// The mini-socket that replaced a connection, as in [`HostQueries::time_wait_entry`].
    pub fn time_wait_entry(&mut self, connection: &Connection) -> Option<TimeWaitEntry> {
        self.host.time_wait_entry(connection)
    }

    /// Releases what has not been used for a while.
    pub fn evict_idle(&mut self) {
        self.host.evict_idle();
    }

    /// The cgroup with this id, unless it was sent before.
    pub fn cgroup_if_new(&mut self, id: u64) -> Option<Cgroup> {
        if self.last_cgroup == Some(id) {
            return None;
        }
        self.last_cgroup = Some(id);
        if self.sent_cgroups.len() > MAX_CGROUPS {
            self.sent_cgroups.clear();
        }
        self.sent_cgroups.insert(id).then(|| self.host.cgroup(id))
    }

    /// The cgroup that an input names, unless it was sent before. It belongs before the input.
    pub fn new_cgroup(&mut self, input: &Input) -> Option<Cgroup> {
        let id = match input {
            Input::Report(report) => report.opened.as_ref()?.cgroup?,
            Input::Summary(summary) => summary.end.opened.as_ref()?.cgroup?,
            Input::BindFailed(failure) => failure.cgroup.as_ref()?.id,
            _ => return None,
        };
        self.cgroup_if_new(id)
    }
}
