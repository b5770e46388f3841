//! The filter's entries in sets: an event is held against ten thousand of them in the time that one takes.

use std::{hash::Hash, net::IpAddr};

use foldhash::HashSet;
use ipnet::IpNet;

use crate::model::{Cgroup, Family, Filter, Name, PortRange, Protocol};

/// A [`Filter`], made ready once. A kind without entries is `None`, and means everything.
#[derive(Debug)]
pub struct Sets {
    pub pids: Option<HashSet<u32>>,
    /// Whether the descendants of `pids` are meant in their place.
    pub descendants: bool,
    pub comms: Option<HashSet<Name>>,
    pub ports: Option<Ports>,
    pub local_ports: Option<Ports>,
    pub remote_ports: Option<Ports>,
    pub networks: Option<Networks>,
    pub netns: Option<HashSet<u32>>,
    pub cgroups: Option<Groups>,
    pub families: Option<HashSet<Family>>,
    pub protocols: Option<HashSet<Protocol>>,
}

impl Sets {
    /// Takes the entries in.
    pub fn of(filter: &Filter) -> Self {
        Self {
            pids: unless_empty(&filter.pids, hashed),
            descendants: filter.descendants,
            comms: unless_empty(&filter.comms, hashed),
            ports: unless_empty(&filter.ports, Ports::of),
            local_ports: unless_empty(&filter.local_ports, Ports::of),
            remote_ports: unless_empty(&filter.remote_ports, Ports::of),
            networks: unless_empty(&filter.networks, Networks::of),
            netns: unless_empty(&filter.netns, hashed),
            cgroups: unless_empty(&filter.cgroups, Groups::of),
            families: unless_empty(&filter.families, hashed),
            protocols: unless_empty(&filter.protocols, hashed),
        }
    }
}

fn unless_empty<T, S>(entries: &[T], set: impl FnOnce(&[T]) -> S) -> Option<S> {
    (!entries.is_empty()).then(|| set(entries))
}

fn hashed<T: Clone + Eq + Hash>(entries: &[T]) -> HashSet<T> {
    entries.iter().cloned().collect()
}

/// A bit for each port.
#[derive(Debug)]
pub struct Ports(Vec<u64>);

const PORTS: usize = 1 << u16::BITS;
const WORD: usize = u64::BITS as usize;

impl Ports {
    fn of(ranges: &[PortRange]) -> Self {
        let mut words = vec![0; PORTS / WORD];
        for port in ranges.iter().cloned().flatten() {
            let (word, bit) = Self::bit(port);
            words[word] |= bit;
        }
        Self(words)
    }

    pub fn contains(&self, port: u16) -> bool {
        let (word, bit) = Self::bit(port);
        self.0[word] & bit != 0
    }

    /// The port's word, and its bit in that.
    fn bit(port: u16) -> (usize, u64) {
        (usize::from(port) / WORD, 1 << (usize::from(port) % WORD))
    }
}

/// Networks in the order of their addresses, none of which overlap: IPv4's, then IPv6's.
#[derive(Debug)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    fn of(networks: &[IpNet]) -> Self {
        let mut apart = IpNet::aggregate(&networks.to_vec());
        apart.sort_unstable();
        Self(apart)
    }

    /// Whether the address is in one of them. A v4-mapped one is in IPv6 networks alone.
    pub fn contain(&self, addr: IpAddr) -> bool {
        let beyond = self.0.partition_point(|network| network.network() <= addr);
        beyond.checked_sub(1).is_some_and(|last| self.0[last].contains(&addr))
    }
}

/// Cgroups by their ids, and by their paths without the slash at the end.
#[derive(Debug)]
pub struct Groups {
    ids: HashSet<u64>,
    paths: HashSet<Box<[u8]>>,
}

impl Groups {
    fn of(cgroups: &[Cgroup]) -> Self {
        let paths = cgroups.iter().filter_map(|cgroup| cgroup.path.as_ref()).map(Name::as_bytes);
        Self {
            ids: cgroups.iter().map(|cgroup| cgroup.id).collect(),
            paths: paths.map(|path| path.strip_suffix(b"/").unwrap_or(path).into()).collect(),
        }
    }

    /// Whether the cgroup is one of those, or lies in one.
    pub fn contain(&self, cgroup: &Cgroup) -> bool {
        let lies_in_one = |path: &Name| above(path.as_bytes()).any(|path| self.paths.contains(path));
        self.ids.contains(&cgroup.id) || cgroup.path.as_ref().is_some_and(lies_in_one)
    }
}

/// The paths of all groups that one with this path lies in, and its own.
fn above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_end = |end: &usize| matches!(path.get(*end), None | Some(b'/'));
    (0..=path.len()).filter(is_end).map(|end| &path[..end])
}
