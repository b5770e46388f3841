//! Both ends of a connection in little memory.

use std::{
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU16,
};

use super::{Endpoint, Endpoints};

/// [`Endpoints`], for whoever keeps those of very many sockets: two IPv4 addresses with their ports take 16 bytes in
/// place of 40. All others are rarer, and elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedEnds(Packed);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Packed {
    Ipv4 { addrs: [Ipv4Addr; 2], ports: [Option<NonZeroU16>; 2] },
    Other(Box<Endpoints>),
}

impl PackedEnds {
    /// The ends as they were.
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

    /// Takes these in place of what it has.
    pub fn set(&mut self, ends: Endpoints) {
        match (&mut self.0, Packed::of(&ends)) {
            (Packed::Other(place), None) => **place = ends,
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
    /// `None` where an end is not IPv4.
    fn of(ends: &Endpoints) -> Option<Self> {
        let Endpoints { local, remote } = ends;
        match (local.addr, remote.addr) {
            (IpAddr::V4(here), IpAddr::V4(there)) => {
                Some(Self::Ipv4 { addrs: [here, there], ports: [local.port, remote.port] })
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
    fn they_come_out_as_they_went_in() {
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
    fn they_are_small() {
        assert_eq!(size_of::<PackedEnds>(), 16);
    }
}
