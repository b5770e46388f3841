//! Which sockets a trace is about.

use ipnet::IpNet;

use super::{Cgroup, Family, Name, PortRange, Protocol};

/// What was asked for: a socket is meant where every kind that has entries has one that fits. No entries
/// mean everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The owner's process id, in the initial pid namespace.
    pub pids: Vec<u32>,
    /// Whether the descendants of `pids` are meant in their place: the processes that they start from now on.
    pub descendants: bool,
    /// The owner's name, all of it.
    pub comms: Vec<Name>,
    /// The local or the remote port.
    pub ports: Vec<PortRange>,
    /// The local port.
    pub local_ports: Vec<PortRange>,
    /// The remote port.
    pub remote_ports: Vec<PortRange>,
    /// A network of the local or the remote address. A v4-mapped address is meant by its IPv4 network.
    pub networks: Vec<IpNet>,
    /// The network namespace's inode number.
    pub netns: Vec<u32>,
    /// The owner's cgroup, or one that it lies in.
    pub cgroups: Vec<Cgroup>,
    /// The socket's address family.
    pub families: Vec<Family>,
    /// TCP or MPTCP.
    pub protocols: Vec<Protocol>,
}

impl Filter {
    /// Whether everything is meant.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it asks for an owner.
    #[must_use]
    pub fn names_owners(&self) -> bool {
        !(self.pids.is_empty() && self.comms.is_empty() && self.cgroups.is_empty())
    }
}
