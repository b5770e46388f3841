//! A random workload of connections opened and closed in every way that needs no emulated link: what processes do to
//! sockets all day.
//!
//! Its addresses are unique to its network namespace ([`UniqueNetns`]), so that its sockets can be distinguished
//! from all others in a trace that does not record namespaces.

mod kinds;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    thread,
};

use probe::net::{Namespace, link::Device};

use crate::quickack_netns::quickack_netns;

/// Threads per process.
const THREADS: u64 = 3;

/// A namespace with addresses that no other namespace has.
pub struct UniqueNetns {
    pub namespace: Namespace,
    inode: u32,
}

impl UniqueNetns {
    /// Creates the namespace.
    pub fn new() -> Self {
        let namespace = quickack_netns();
        let netns = Self { inode: namespace.inode(), namespace };
        let give = || Device::named("lo").unwrap().add_address(address_of(netns.inode, Family::V6, 1), 128);
        netns.namespace.enter(give).unwrap().unwrap();
        netns
    }

    /// Whether the address belongs to this namespace.
    pub fn has(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => address.octets()[..3] == v4(self.inode, 0).octets()[..3],
            IpAddr::V6(address) => address == v6(self.inode),
        }
    }
}

#[derive(Clone, Copy)]
enum Family {
    V4,
    V6,
    /// IPv4-mapped addresses on an IPv6 socket.
    Mapped,
}

/// Namespace inode numbers are consecutive, so that their low bits are unique.
fn v4(inode: u32, host: u8) -> Ipv4Addr {
    let [.., high, low] = inode.to_be_bytes();
    Ipv4Addr::new(127, 0x80 | high, low, host)
}

fn v6(inode: u32) -> Ipv6Addr {
    Ipv6Addr::from(0xfd77 << 112 | u128::from(inode) << 16 | 1)
}

fn address_of(inode: u32, family: Family, host: u8) -> IpAddr {
    match family {
        Family::V4 => v4(inode, host).into(),
        Family::V6 => v6(inode).into(),
        Family::Mapped => v4(inode, host).to_ipv6_mapped().into(),
    }
}

/// Runs the workload in the calling thread's namespace; returns when every socket is closed.
pub fn work(seed: u64, rounds: u64) {
    let inode = Namespace::host().unwrap().inode();
    thread::scope(|scope| {
        for number in 0..THREADS {
            scope.spawn(move || {
                let mut random = Random::new(seed.wrapping_add(number << 32));
                for round in 0..rounds {
                    let address = address_of(inode, random.family(), 1 + random.below(3) as u8);
                    if let Err(error) = kinds::random(&mut random, SocketAddr::new(address, 0)) {
                        assert!(is_contention(&error), "round {round} of {number} from {seed}: {error}");
                    }
                }
            });
        }
    });
}

/// Errors that a concurrent worker can cause by taking the port.
fn is_contention(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable)
}

/// Pseudo-random numbers (SplitMix64).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// True or false.
    pub fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    fn family(&mut self) -> Family {
        [Family::V4, Family::V6, Family::Mapped][self.below(3) as usize]
    }
}
