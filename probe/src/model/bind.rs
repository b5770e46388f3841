//! Calls of bind(2) that failed.

use super::{Cgroup, DiagEntry, Endpoint, Errno, Family, Mono, Protocol, State, Task};

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
    /// For EADDRINUSE: the sockets of that namespace that have the port, at that moment or right after, as
    /// [`sift_holders`](Self::sift_holders) leaves them.
    pub holders: Vec<DiagEntry>,
}

impl BindFailure {
    /// How many holders are kept at most. A server's port has as many as the server has connections.
    pub const MOST_HOLDERS: usize = 64;

    /// Keeps of the holders those that can be in the way, the plainest first, and not too many.
    pub fn sift_holders(&mut self) {
        self.holders.retain(|row| row.ends.local.may_conflict(self.local));
        self.holders.sort_by_key(rank);
        self.holders.truncate(Self::MOST_HOLDERS);
    }
}

/// The less, the more it says of why the port cannot be had.
fn rank(row: &DiagEntry) -> u8 {
    match row.state {
        State::Listen => 0,
        _ if row.is_self_connected() => 1,
        State::Close => 2,
        _ if row.is_mini() => 4,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::listed;

    #[test]
    fn the_plainest_of_very_many_holders_are_kept() {
        let most = BindFailure::MOST_HOLDERS as u64;
        let connection = |cookie| listed(cookie, State::Established, "127.0.0.1:80", "127.0.0.1:5000");
        let mut holders: Vec<DiagEntry> = (0..2 * most).map(connection).collect();
        holders.push(listed(7, State::Listen, "127.0.0.2:80", "0.0.0.0:0"));
        holders.push(listed(8, State::Listen, "0.0.0.0:80", "0.0.0.0:0"));
        let mut failure = BindFailure {
            at: Mono(1),
            cpu: 0,
            task: None,
            cgroup: None,
            cookie: None,
            netns: None,
            protocol: Protocol::Tcp,
            family: Family::Ipv4,
            local: holders[0].ends.local,
            errno: Errno::EADDRINUSE,
            holders,
        };
        failure.sift_holders();
        let cookies: Vec<u64> = failure.holders.iter().map(|row| row.cookie).collect();
        assert_eq!((cookies.len() as u64, &cookies[..3]), (most, &[8, 0, 1][..]));
    }
}
