//! Calls of bind(2) that failed.

use super::{Cgroup, Endpoint, Errno, Family, Listed, Mono, Protocol, Task};

/// A bind(2) on a TCP socket that the kernel refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindFailure {
    /// When the call returned.
    pub at: Mono,
    /// The CPU that it ran on.
    pub cpu: u32,
    /// Who called.
    pub task: Option<Task>,
    /// The caller's cgroup.
    pub cgroup: Option<Cgroup>,
    /// The socket's cookie, where it had one.
    pub cookie: Option<u64>,
    /// The socket's network namespace.
    pub netns: Option<u32>,
    /// TCP or MPTCP.
    pub protocol: Protocol,
    /// The socket's address family.
    pub family: Family,
    /// What was asked for; no port is port 0, which leaves the choice to the kernel.
    pub local: Endpoint,
    /// What the call returned.
    pub errno: Errno,
    /// For EADDRINUSE: the sockets of that namespace that have the port, at that moment or right after.
    pub holders: Vec<Listed>,
}
