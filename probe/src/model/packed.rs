//! The identity of a socket in little memory.

use std::{
    net::{IpAddr, Ipv4Addr},
    num::{NonZeroU16, NonZeroU32},
};

use super::{Endpoint, Endpoints, Family, Protocol, SocketIdentity};

/// [`SocketIdentity`] for tables of very many sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedIdentity {
    netns: Option<NonZeroU32>,
    /// TCP or MPTCP.
    pub protocol: Protocol,
    family: Family,
    endpoints: PackedEndpoints,
}

impl PackedIdentity {
    /// The identity.
    #[must_use]
    pub fn unpack(&self) -> SocketIdentity {
        SocketIdentity {
            netns: self.netns(),
            protocol: self.protocol,
            family: self.family,
            endpoints: self.endpoints(),
        }
    }

    /// The network namespace's inode number.
    #[must_use]
    pub fn netns(&self) -> Option<u32> {
        self.netns.map(NonZeroU32::get)
    }

    /// The endpoints.
    #[must_use]
    pub fn endpoints(&self) -> Endpoints {
        self.endpoints.unpack()
    }

    /// Replaces the endpoints; reuses the allocation where there is one.
    pub fn set_endpoints(&mut self, endpoints: Endpoints) {
        self.endpoints.set(endpoints);
    }
}

impl From<SocketIdentity> for PackedIdentity {
    fn from(identity: SocketIdentity) -> Self {
        let SocketIdentity { netns, protocol, family, endpoints } = identity;
        Self { netns: netns.and_then(NonZeroU32::new), protocol, family, endpoints: endpoints.into() }
    }
}

/// [`Endpoints`] for tables of very many sockets: two IPv4 endpoints take 16 bytes instead of 40. Other families
/// are rarer, and take a heap allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedEndpoints(Packed);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Packed {
    Ipv4 { addrs: [Ipv4Addr; 2], ports: [Option<NonZeroU16>; 2] },
    Other(Box<Endpoints>),
}

impl PackedEndpoints {
    /// The endpoints.
    #[must_use]
    pub fn unpack(&self) -> Endpoints {
        match &self.0 {
            Packed::Ipv4 { addrs: [local, remote], ports: [local_port, remote_port] } => Endpoints {
                local: Endpoint { addr: (*local).into(), port: *local_port },
                remote: Endpoint { addr: (*remote).into(), port: *remote_port },
            },
            Packed::Other(endpoints) => **endpoints,
        }
    }

    /// Replaces the endpoints; reuses the allocation where there is one.
    pub fn set(&mut self, endpoints: Endpoints) {
        match (&mut self.0, Packed::of(&endpoints)) {
            (Packed::Other(boxed), None) => **boxed = endpoints,
            (packed, Some(ipv4)) => *packed = ipv4,
            (packed, None) => *packed = Packed::Other(Box::new(endpoints)),
        }
    }
}

impl From<Endpoints> for PackedEndpoints {
    fn from(endpoints: Endpoints) -> Self {
        Self(Packed::of(&endpoints).unwrap_or_else(|| Packed::Other(Box::new(endpoints))))
    }
}

impl Packed {
    /// `None` unless both addresses are IPv4.
    fn of(endpoints: &Endpoints) -> Option<Self> {
        let Endpoints { local, remote } = endpoints;
        match (local.addr, remote.addr) {
            (IpAddr::V4(local_addr), IpAddr::V4(remote_addr)) => {
                Some(Self::Ipv4 { addrs: [local_addr, remote_addr], ports: [local.port, remote.port] })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::endpoints;

    #[test]
    fn unpacking_returns_what_was_packed() {
        let all = [
            endpoints("127.0.0.1:1", "10.0.0.1:0"),
            endpoints("[::1]:1", "[fd00::2]:2"),
            endpoints("[::ffff:127.0.0.1]:1", "127.0.0.1:2"),
            endpoints("0.0.0.0:0", "0.0.0.0:0"),
        ];
        for first in all {
            let mut packed = PackedEndpoints::from(first);
            assert_eq!(packed.unpack(), first);
            for next in all {
                packed.set(next);
                assert_eq!(packed.unpack(), next);
            }
        }
    }

    #[test]
    fn packed_endpoints_take_16_bytes() {
        assert_eq!((size_of::<PackedEndpoints>(), size_of::<PackedIdentity>()), (16, 24));
    }
}
