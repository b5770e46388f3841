//! The sockets that a scenario or a behaviour creates, as the kernel's reports identify them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::model::{Endpoint, Endpoints};

/// A socket under the label that its scenario or behaviour gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelledSocket {
    /// Its label, such as `client`.
    pub label: String,
    /// Its cookie (SO_COOKIE), which the kernel's reports carry.
    pub cookie: u64,
    /// The inode number of its network namespace.
    pub netns: u32,
    /// Its endpoints once it has left CLOSE. A local port that the kernel chooses may stay unknown.
    pub endpoints: Endpoints,
}

/// A socket of a [`ScenarioRun`](super::ScenarioRun), by its index in [`sockets`](super::ScenarioRun::sockets).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SocketIndex(pub(super) usize);

/// The endpoints of a connection from `local` to `remote`.
#[must_use]
pub fn endpoints(local: SocketAddr, remote: SocketAddr) -> Endpoints {
    Endpoints { local: local.into(), remote: remote.into() }
}

/// The endpoints of a listener on `local`: its remote endpoint is unspecified.
#[must_use]
pub fn listener_endpoints(local: SocketAddr) -> Endpoints {
    let unspecified = match local.ip() {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    Endpoints { local: local.into(), remote: Endpoint::new(unspecified, 0) }
}
