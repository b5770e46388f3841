//! What the live host is asked beside the kernel's reports. The answers become events of the stream and are
//! recorded, so that a replay has them too.

use foldhash::HashSet;

use crate::{
    model::{Cgroup, Connection, DiagEntry, Errno, Input, TimeWaitEntry},
    net::snapshot::Snapshot,
};

/// The host whose reports come in, as far as it can be asked.
pub trait HostQueries {
    /// The sockets that are there already; `None` where they are not to be looked at.
    fn existing(&mut self) -> Option<Snapshot>;

    /// The cgroup of that id, with its path if it is still there.
    fn cgroup(&mut self, id: u64) -> Cgroup;

    /// The sockets of a namespace that have a local port.
    fn holders(&mut self, netns: u32, port: u16) -> Vec<DiagEntry>;

    /// What stayed of a connection that this end closed; `None` where that is not to be asked, or cannot be.
    fn remains(&mut self, connection: &Connection) -> Option<TimeWaitEntry>;

    /// So much time has passed that what is kept for the next question may be let go.
    fn rest(&mut self);
}

/// With more cgroups told than this, they are told again: a host that makes a new one for every job has no
/// end of them.
const CGROUPS: usize = 1 << 16;

/// A companion, and what it has said already.
pub(super) struct Enricher {
    companion: Box<dyn HostQueries>,
    /// The ids of the cgroups that were told.
    told: HashSet<u64>,
    /// The last one that was asked for: mostly, it is asked for again.
    last: Option<u64>,
}

impl Enricher {
    pub fn by(companion: Box<dyn HostQueries>) -> Self {
        Self { companion, told: HashSet::default(), last: None }
    }

    /// Adds to an event what the host knows of it. Returns the event that belongs after it.
    pub fn accompany(&mut self, event: &mut Input) -> Option<Input> {
        match event {
            Input::Ready { unavailable, existing, .. } => self.companion.existing().map(|found| {
                unavailable.extend(found.unavailable);
                *existing = Some(found.sockets.len() as u64);
                Input::Existing { at: found.at, sockets: found.sockets }
            }),
            Input::BindFailed(failure) => {
                if failure.errno == Errno::EADDRINUSE
                    && let (Some(netns), Some(port)) = (failure.netns, failure.local.port)
                {
                    failure.holders = self.companion.holders(netns, port.get());
                    failure.retain_conflicting_holders();
                }
                None
            }
            _ => None,
        }
    }

    /// What stayed of a connection that this end closed.
    pub fn remains(&mut self, connection: &Connection) -> Option<TimeWaitEntry> {
        self.companion.remains(connection)
    }

    /// So much time has passed that what is kept for the next question may be let go.
    pub fn rest(&mut self) {
        self.companion.rest();
    }

    /// The cgroup of that id, unless it was told.
    pub fn cgroup(&mut self, id: u64) -> Option<Cgroup> {
        if self.last == Some(id) {
            return None;
        }
        self.last = Some(id);
        if self.told.len() > CGROUPS {
            self.told.clear();
        }
        self.told.insert(id).then(|| self.companion.cgroup(id))
    }

    /// The cgroup that the event names, unless it was told: that belongs before it.
    pub fn cgroup_of(&mut self, event: &Input) -> Option<Cgroup> {
        let report = match event {
            Input::Report(report) => Some(report),
            Input::Summary(summary) => Some(&summary.end),
            _ => None,
        };
        let id = match event {
            Input::BindFailed(failure) => failure.cgroup.as_ref()?.id,
            _ => report?.opened.as_ref()?.cgroup?,
        };
        self.cgroup(id)
    }
}
