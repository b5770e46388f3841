//! Failed calls of bind(2).

use super::{
    BindOptions, Cgroup, Conflict, DiagEntry, Endpoint, Errno, Mono, OpenerFate, SocketIdentity, State, Task,
    conflict,
};

/// A bind(2) on a TCP or MPTCP socket that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindFailure {
    /// When the call returned.
    pub at: Mono,
    /// The CPU that it ran on.
    pub cpu: u16,
    /// The calling process.
    pub task: Option<Task>,
    /// The caller's cgroup.
    pub cgroup: Option<Cgroup>,
    /// The socket's cookie, where it had one.
    pub cookie: Option<u64>,
    /// Namespace, protocol and family. The local endpoint is the requested one: no port means port 0, for which the
    /// kernel picks one, and the address may have another family than the socket. There is no peer.
    pub identity: SocketIdentity,
    /// The error that the call returned.
    pub errno: Errno,
    /// The socket's options.
    pub options: BindOptions,
    /// For EADDRINUSE: the sockets of the namespace that hold the port, at that time or right after, as
    /// [`retain_conflicting_holders`](Self::retain_conflicting_holders) leaves them.
    pub holders: Vec<DiagEntry>,
    /// Whether sock_diag was queried for them.
    pub is_queried: bool,
    /// What has become of the processes that opened holders, where others have the descriptors: by the holder's cookie.
    pub opener_fates: Vec<(u64, OpenerFate)>,
}

impl BindFailure {
    /// The maximum number of holders. A server's port has one for each connection.
    pub const MAX_HOLDERS: usize = 64;

    /// The requested address and port.
    #[must_use]
    pub fn local(&self) -> Endpoint {
        self.identity.endpoints.local
    }

    /// Removes holders that do not conflict, sorts those that do for certain and the likeliest first, and drops those beyond
    /// [`MAX_HOLDERS`](Self::MAX_HOLDERS).
    pub fn retain_conflicting_holders(&mut self) {
        let Self { identity, options, holders, .. } = self;
        let mut conflicts: Vec<_> = std::mem::take(holders)
            .into_iter()
            .map(|row| (conflict(identity, options, &row), row))
            .filter(|(conflict, _)| *conflict != Conflict::No)
            .collect();
        conflicts.sort_by_key(|(conflict, row)| (*conflict, rank(row)));
        conflicts.truncate(Self::MAX_HOLDERS);
        holders.extend(conflicts.into_iter().map(|(_, row)| row));
    }

    /// The holders that the failure proves, or if there are none those that may have caused it, and which of the two.
    #[must_use]
    pub fn conflicting_holders(&self) -> (&[DiagEntry], Conflict) {
        let certain = |row: &DiagEntry| conflict(&self.identity, &self.options, row) == Conflict::Certain;
        match self.holders.iter().take_while(|row| certain(row)).count() {
            0 if self.holders.is_empty() => (&[], Conflict::No),
            0 => (&self.holders, Conflict::Possible),
            certain => (&self.holders[..certain], Conflict::Certain),
        }
    }
}

/// Lower for a holder that is more likely the reason.
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
    use crate::model::{Endpoints, testing::diag_entry};

    #[test]
    fn the_likeliest_holders_come_first_and_the_others_are_dropped() {
        let max = BindFailure::MAX_HOLDERS as u64;
        let connection = |cookie| diag_entry(cookie, State::Established, "127.0.0.1:80", "127.0.0.1:5000");
        let mut holders: Vec<DiagEntry> = (0..2 * max).map(connection).collect();
        holders.push(diag_entry(7, State::Listen, "127.0.0.2:80", "0.0.0.0:0"));
        holders.push(diag_entry(8, State::Listen, "0.0.0.0:80", "0.0.0.0:0"));
        let mut failure = BindFailure {
            at: Mono(1),
            cpu: 0,
            task: None,
            cgroup: None,
            cookie: None,
            identity: SocketIdentity::tcp(None, Endpoints::unconnected(holders[0].identity.endpoints.local)),
            errno: Errno::EADDRINUSE,
            options: BindOptions::default(),
            holders,
            is_queried: true,
            opener_fates: Vec::new(),
        };
        failure.retain_conflicting_holders();
        let cookies: Vec<u64> = failure.holders.iter().map(|row| row.cookie).collect();
        assert_eq!((cookies.len() as u64, &cookies[..3]), (max, &[8, 0, 1][..]));
    }
}
