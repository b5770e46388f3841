//! The identity of a socket.

use std::{fmt, net::IpAddr};

use super::Endpoints;

/// A socket and one of its connections. The number is the cookie as in SO_COOKIE and sock_diag; on backend `tracepoint` it is
/// the address of the `struct sock`. In a stream it identifies a connection: no two have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId {
    /// The cookie, or the address of the `struct sock`.
    pub number: u64,
    /// Which of the socket's connections, from 1: a socket that is disconnected and connected again has a second generation.
    /// 0 for the first connection of a socket whose opening was not seen.
    pub generation: u32,
}

impl fmt::Display for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A cookie is small; a kernel address is printed in hexadecimal.
        let number =
            if self.number >> 48 == 0 { self.number.to_string() } else { format!("{:x}", self.number) };
        match self.generation {
            0 | 1 => f.pad(&number),
            later => f.pad(&format!("{number}/{later}")),
        }
    }
}

/// What identifies a socket besides its number. `N` is the inode number of the network namespace: an option where the
/// kernel may not report it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketIdentity<N = Option<u32>> {
    /// The network namespace's inode number.
    pub netns: N,
    /// TCP or MPTCP.
    pub protocol: Protocol,
    /// The socket's address family.
    pub family: Family,
    /// Both endpoints.
    pub endpoints: Endpoints,
}

impl<N> SocketIdentity<N> {
    /// A TCP socket with the family of its local address.
    #[must_use]
    pub fn tcp(netns: N, endpoints: Endpoints) -> Self {
        Self { netns, protocol: Protocol::Tcp, family: Family::of(endpoints.local.addr), endpoints }
    }
}

impl SocketIdentity {
    /// Fills what the endpoints lack from earlier endpoints of the same socket.
    #[must_use]
    pub fn or_earlier(self, earlier: Endpoints) -> Self {
        Self { endpoints: self.endpoints.or_earlier(earlier), ..self }
    }
}

impl From<SocketIdentity<u32>> for SocketIdentity {
    fn from(identity: SocketIdentity<u32>) -> Self {
        let SocketIdentity { netns, protocol, family, endpoints } = identity;
        Self { netns: Some(netns), protocol, family, endpoints }
    }
}

/// The protocols with TCP's states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP, MPTCP subflows included.
    Tcp,
    /// The MPTCP socket above its subflows.
    Mptcp,
}

impl Protocol {
    /// The name in output and filters.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Mptcp => "mptcp",
        }
    }
}

/// The address family of a socket; a v4-mapped connection has an IPv6 socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// `AF_INET`
    Ipv4,
    /// `AF_INET6`
    Ipv6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub fn of(addr: IpAddr) -> Self {
        match addr {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }

    /// The name in output and filters.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }
}
