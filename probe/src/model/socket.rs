//! The identity of a socket.

use std::fmt;

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
    /// The name in output and filters.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }
}
