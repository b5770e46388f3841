//! Connections made and ended in every way that takes no wire, at random: what a host's processes do to the
//! kernel's sockets all day.
//!
//! Where it runs, the addresses are that network namespace's alone ([`Ground`]), so that each of its sockets
//! can be told from anybody else's in a record that names no namespace.

mod lives;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    thread,
};

use probe::net::{Namespace, link::Device};

use crate::place::place;

/// How many threads a process works with.
const THREADS: u64 = 3;

/// A namespace to work in, with addresses that no other namespace has.
pub struct Ground {
    pub namespace: Namespace,
    inode: u32,
}

impl Ground {
    /// A new one.
    pub fn new() -> Self {
        let namespace = place();
        let ground = Self { inode: namespace.inode(), namespace };
        let give = || Device::named("lo").unwrap().add_address(address_of(ground.inode, Family::V6, 1), 128);
        ground.namespace.enter(give).unwrap().unwrap();
        ground
    }

    /// Whether the address is one of its own.
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
    /// IPv4 over an IPv6 socket.
    Mapped,
}

/// Inode numbers of namespaces count up from a round one, so that their low bits tell them apart.
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

/// Works in the namespace of the calling thread, and returns when every socket is closed.
pub fn work(seed: u64, rounds: u64) {
    let inode = Namespace::host().unwrap().inode();
    thread::scope(|scope| {
        for number in 0..THREADS {
            scope.spawn(move || {
                let mut chance = Chance::new(seed.wrapping_add(number << 32));
                for round in 0..rounds {
                    let address = address_of(inode, chance.family(), 1 + chance.below(3) as u8);
                    if let Err(error) = lives::one(&mut chance, SocketAddr::new(address, 0)) {
                        assert!(is_fate(&error), "round {round} of {number} from {seed}: {error}");
                    }
                }
            });
        }
    });
}

/// What others who work here can do to one: take its port.
fn is_fate(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable)
}

/// Numbers that look random, the same again from the same seed (SplitMix64).
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below that one.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Heads or tails.
    pub fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    fn family(&mut self) -> Family {
        [Family::V4, Family::V6, Family::Mapped][self.below(3) as usize]
    }
}
