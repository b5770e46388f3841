//! Both endpoints of a connection in little memory.

use std::{
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU16,
};

use super::{Endpoint, Endpoints};

/// [`Endpoints`] for tables of very many sockets: two IPv4 endpoints take 16 bytes instead of 40. Other families
/// are rarer, and take a heap allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedEnds(Packed);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Packed {
    Ipv4 { addrs: [Ipv4Addr; 2], ports: [Option<NonZeroU16>; 2] },
    Other(Box<Endpoints>),
}

impl PackedEnds {
    /// The endpoints.
    #[must_use]
    pub fn unpack(&self) -> Endpoints {
        match &self.0 {
            Packed::Ipv4 { addrs: [local, remote], ports: [local_port, remote_port] } => Endpoints {
                local: Endpoint { addr: (*local).into(), port: *local_port },
                remote: Endpoint { addr: (*remote).into(), port: *remote_port },
            },
            Packed::Other(ends) => **ends,
        }
    }

    /// Replaces the endpoints; reuses the allocation where there is one.
    pub fn set(&mut self, ends: Endpoints) {
        match (&mut self.0, Packed::of(&ends)) {
            (Packed::Other(boxed), None) => **boxed = ends,
            (packed, Some(ipv4)) => *packed = ipv4,
            (packed, None) => *packed = Packed::Other(Box::new(ends)),
        }
    }
}

impl From<Endpoints> for PackedEnds {
    fn from(ends: Endpoints) -> Self {
        Self(Packed::of(&ends).unwrap_or_else(|| Packed::Other(Box::new(ends))))
    }
}

impl Packed {
    /// `None` unless both addresses are IPv4.
    fn of(ends: &Endpoints) -> Option<Self> {
        let Endpoints { local, remote } = ends;
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
    use crate::model::testing::ends;

    #[test]
    fn unpacking_returns_what_was_packed() {
        let all = [
            ends("127.0.0.1:1", "10.0.0.1:0"),
            ends("[::1]:1", "[fd00::2]:2"),
            ends("[::ffff:127.0.0.1]:1", "127.0.0.1:2"),
            ends("0.0.0.0:0", "0.0.0.0:0"),
        ];
        for first in all {
            let mut packed = PackedEnds::from(first);
            assert_eq!(packed.unpack(), first);
            for next in all {
                packed.set(next);
                assert_eq!(packed.unpack(), next);
            }
        }
    }

    #[test]
    fn packed_endpoints_take_16_bytes() {
        assert_eq!(size_of::<PackedEnds>(), 16);
    }
}
