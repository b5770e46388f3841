//! Endpoints: addresses with ports.

use std::{
    fmt,
    hash::{Hash, Hasher},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    num::NonZeroU16,
};

/// An address, and a port where one is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// The address as the kernel has it: v4-mapped addresses stay IPv6.
    pub addr: IpAddr,
    /// `None` for port 0: not bound yet, or already cleared.
    pub port: Option<NonZeroU16>,
}

impl Endpoint {
    /// An endpoint; port 0 means none.
    #[must_use]
    pub fn new(addr: IpAddr, port: u16) -> Self {
        Self { addr, port: NonZeroU16::new(port) }
    }

    /// The port as a number, 0 for none.
    #[must_use]
    pub fn port_or_zero(self) -> u16 {
        self.port.map_or(0, NonZeroU16::get)
    }

    /// The same endpoint with a v4-mapped address as IPv4, to compare sockets of both families.
    #[must_use]
    pub fn canonical(self) -> Self {
        Self { addr: self.addr.to_canonical(), port: self.port }
    }
}

/// In as few writes as possible: detectors look each connection up by its endpoints several times.
impl Hash for Endpoint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let port = self.port_or_zero();
        match self.addr {
            IpAddr::V4(addr) => state.write_u64(u64::from(addr.to_bits()) << 16 | u64::from(port)),
            IpAddr::V6(addr) => {
                state.write_u128(addr.to_bits());
                state.write_u16(port);
            }
        }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(addr: SocketAddr) -> Self {
        Self::new(addr.ip(), addr.port())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.port.map_or_else(|| "*".to_owned(), |port| port.to_string());
        match self.addr {
            IpAddr::V4(addr) => f.pad(&format!("{addr}:{port}")),
            IpAddr::V6(addr) => f.pad(&format!("[{addr}]:{port}")),
        }
    }
}

/// Both endpoints of a connection, from the point of view of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoints {
    /// This socket's endpoint.
    pub local: Endpoint,
    /// The peer's endpoint.
    pub remote: Endpoint,
}

impl Endpoints {
    /// The endpoints of a socket that has no peer.
    #[must_use]
    pub fn unconnected(local: Endpoint) -> Self {
        let unspecified = match local.addr {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        Self { local, remote: Endpoint::new(unspecified, 0) }
    }

    /// Whether both endpoints are the same address and port, and the port is known: a self-connect once the socket has
    /// left SYN_SENT.
    #[must_use]
    pub fn is_self(self) -> bool {
        self.local.port.is_some() && self.local.canonical() == self.remote.canonical()
    }

    /// The same connection from the peer's point of view.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { local: self.remote, remote: self.local }
    }

    /// The same endpoints with v4-mapped addresses as IPv4, to compare sockets of both families.
    #[must_use]
    pub fn canonical(self) -> Self {
        Self { local: self.local.canonical(), remote: self.remote.canonical() }
    }

    /// Fills what `self` lacks (a port, or an address that reads as unspecified) from earlier endpoints of the same
    /// socket.
    #[must_use]
    pub fn or_earlier(self, earlier: Self) -> Self {
        Self { local: merge(self.local, earlier.local), remote: merge(self.remote, earlier.remote) }
    }
}

fn merge(now: Endpoint, earlier: Endpoint) -> Endpoint {
    Endpoint {
        addr: if now.addr.is_unspecified() { earlier.addr } else { now.addr },
        port: now.port.or(earlier.port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Endpoint {
        text.parse::<SocketAddr>().expect("an address in a test").into()
    }

    #[test]
    fn a_self_connect_needs_the_port_too() {
        let endpoints = |local, remote| Endpoints { local: at(local), remote: at(remote) };
        assert!(endpoints("127.0.0.1:1314", "127.0.0.1:1314").is_self());
        assert!(endpoints("[::1]:1314", "[::1]:1314").is_self());
        assert!(endpoints("[::ffff:127.0.0.1]:1314", "127.0.0.1:1314").is_self());
        assert!(!endpoints("127.0.0.1:0", "127.0.0.1:0").is_self());
        assert!(!endpoints("127.0.0.1:1314", "127.0.0.2:1314").is_self());
    }

    #[test]
    fn what_the_kernel_cleared_is_filled_from_earlier_endpoints() {
        let before = Endpoints { local: at("10.0.0.1:5"), remote: at("10.0.0.2:6") };
        let now = Endpoints { local: at("0.0.0.0:0"), remote: at("10.0.0.2:0") };
        assert_eq!(now.or_earlier(before), before);
        assert_eq!(before.or_earlier(now), before);
    }

    #[test]
    fn ipv6_addresses_are_bracketed_and_no_port_is_a_star() {
        assert_eq!(at("127.0.0.1:80").to_string(), "127.0.0.1:80");
        assert_eq!(at("[::1]:0").to_string(), "[::1]:*");
    }
}
