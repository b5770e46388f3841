//! What tells one socket from another.

use std::fmt;

/// A socket over its whole life: the cookie that the kernel and sock_diag give it, and which of its
/// connections is meant. On the fallback backend the number is the address of its `struct sock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId {
    /// The socket cookie, or `skaddr`.
    pub number: u64,
    /// From 1: a socket that was disconnected and connected again has a second generation.
    /// 0 where the opening was not seen.
    pub generation: u32,
}

impl fmt::Display for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A cookie is small; a kernel address reads as one.
        let number =
            if self.number >> 48 == 0 { self.number.to_string() } else { format!("{:x}", self.number) };
        match self.generation {
            0 | 1 => f.pad(&number),
            later => f.pad(&format!("{number}/{later}")),
        }
    }
}

/// The protocols whose states follow TCP's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP, MPTCP's subflows among them.
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

/// The address family of a socket. A v4-mapped connection is an IPv6 socket's.
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
