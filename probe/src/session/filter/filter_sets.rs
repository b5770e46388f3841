//! The filter's entries as sets: ten thousand entries are matched in the time that one takes.

use std::{hash::Hash, net::IpAddr};

use foldhash::HashSet;
use ipnet::IpNet;

use crate::model::{Cgroup, Family, Filter, Name, PortRange, Protocol};

/// A [`Filter`] as sets, built once. A kind without entries is `None` and matches everything.
#[derive(Debug)]
pub struct FilterSets {
    pub pids: Option<HashSet<u32>>,
    /// Whether `pids` stands for the descendants of these processes, without themselves.
    pub descendants: bool,
    pub comms: Option<HashSet<Name>>,
    pub ports: Option<Ports>,
    pub local_ports: Option<Ports>,
    pub remote_ports: Option<Ports>,
    pub networks: Option<Networks>,
    pub netns: Option<HashSet<u32>>,
    pub cgroups: Option<Cgroups>,
    pub families: Option<HashSet<Family>>,
    pub protocols: Option<HashSet<Protocol>>,
}

impl FilterSets {
    /// The sets of a filter's entries.
    pub fn new(filter: &Filter) -> Self {
        Self {
            pids: set_of(&filter.pids, hash_set),
            descendants: filter.descendants,
            comms: set_of(&filter.comms, hash_set),
            ports: set_of(&filter.ports, Ports::new),
            local_ports: set_of(&filter.local_ports, Ports::new),
            remote_ports: set_of(&filter.remote_ports, Ports::new),
            networks: set_of(&filter.networks, Networks::new),
            netns: set_of(&filter.netns, hash_set),
            cgroups: set_of(&filter.cgroups, Cgroups::new),
            families: set_of(&filter.families, hash_set),
            protocols: set_of(&filter.protocols, hash_set),
        }
    }
}

/// `None` if there are no entries.
fn set_of<T, S>(entries: &[T], set: impl FnOnce(&[T]) -> S) -> Option<S> {
    (!entries.is_empty()).then(|| set(entries))
}

fn hash_set<T: Clone + Eq + Hash>(entries: &[T]) -> HashSet<T> {
    entries.iter().cloned().collect()
}

/// A bit for each port.
#[derive(Debug)]
pub struct Ports(Vec<u64>);

const PORTS: usize = 1 << u16::BITS;
const WORD: usize = u64::BITS as usize;

impl Ports {
    fn new(ranges: &[PortRange]) -> Self {
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

    /// The index of the port's word, and its bit in that word.
    fn bit(port: u16) -> (usize, u64) {
        (usize::from(port) / WORD, 1 << (usize::from(port) % WORD))
    }
}

/// Networks that do not overlap, sorted by address, IPv4 first.
#[derive(Debug)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    fn new(networks: &[IpNet]) -> Self {
        let mut disjoint = IpNet::aggregate(&networks.to_vec());
        disjoint.sort_unstable();
        Self(disjoint)
    }

    /// Whether one of the networks contains the address. An IPv4-mapped address is in IPv6 networks only.
    pub fn contain(&self, addr: IpAddr) -> bool {
        let end = self.0.partition_point(|network| network.network() <= addr);
        end.checked_sub(1).is_some_and(|last| self.0[last].contains(&addr))
    }
}

/// Cgroups by id, and by path without a trailing slash.
#[derive(Debug)]
pub struct Cgroups {
    ids: HashSet<u64>,
    paths: HashSet<Box<[u8]>>,
}

impl Cgroups {
    fn new(cgroups: &[Cgroup]) -> Self {
        let paths = cgroups.iter().filter_map(|cgroup| cgroup.path.as_ref()).map(Name::as_bytes);
        Self {
            ids: cgroups.iter().map(|cgroup| cgroup.id).collect(),
            paths: paths.map(|path| path.strip_suffix(b"/").unwrap_or(path).into()).collect(),
        }
    }

    /// Whether the cgroup is one of these, or a descendant of one.
    pub fn contain(&self, cgroup: &Cgroup) -> bool {
        let is_within = |path: &Name| ancestors(path.as_bytes()).any(|path| self.paths.contains(path));
        self.ids.contains(&cgroup.id) || cgroup.path.as_ref().is_some_and(is_within)
    }
}

/// The path of a cgroup and of each of its ancestors.
fn ancestors(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_end = |end: &usize| matches!(path.get(*end), None | Some(b'/'));
    (0..=path.len()).filter(is_end).map(|end| &path[..end])
}
