//! Which sockets a trace selects.

use ipnet::IpNet;

use super::{Cgroup, Family, Name, PortRange, Protocol};

/// A socket matches where each field with entries has one that matches. Without entries, every socket matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The owner's process id, in the initial pid namespace.
    pub pids: Vec<u32>,
    /// Whether to match the descendants of `pids` instead: the processes that they start from now on.
    pub descendants: bool,
    /// The owner's name, in full.
    pub comms: Vec<Name>,
    /// The local or the remote port.
    pub ports: Vec<PortRange>,
    /// The local port.
    pub local_ports: Vec<PortRange>,
    /// The remote port.
    pub remote_ports: Vec<PortRange>,
    /// A network of the local or the remote address. A v4-mapped address matches its IPv4 network.
    pub networks: Vec<IpNet>,
    /// The network namespace's inode number.
    pub netns: Vec<u32>,
    /// The owner's cgroup, or an ancestor of it.
    pub cgroups: Vec<Cgroup>,
    /// The socket's address family.
    pub families: Vec<Family>,
    /// TCP or MPTCP.
    pub protocols: Vec<Protocol>,
}

impl Filter {
    /// Whether every socket matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
