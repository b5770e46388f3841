//! The filter in the BPF programs' form: a constant with the criteria that are set, and maps with their values.

use std::{
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use aya::{
    Ebpf, EbpfLoader, Pod,
    maps::{
        Array, HashMap, MapData, MapError,
        lpm_trie::{Key, LpmTrie},
    },
};
use ipnet::IpNet;
use probe_ebpf::{COMM_LEN, FilterFlags, PORT_SETS, PORT_WORDS, PortSet};

use super::error::LiveError;
use crate::model::{Family, Filter, PortRange, Protocol};

/// The maximum number of namespaces that can be selected at one time during a trace.
const MAX_NAMESPACES: usize = 1 << 10;

/// The maximum number of processes that a command and its descendants can be at one time.
const MAX_DESCENDANTS: usize = 1 << 15;

/// What is set before the programs are loaded.
pub struct Selection {
    /// The criteria that are set: bits of [`FilterFlags`].
    criteria: u32,
    /// How many namespaces may be added to those in the filter.
    extra_namespaces: usize,
}

impl Selection {
    /// `namespaces`: whether namespaces are added during the trace ([`Namespaces`]).
    pub fn of(filter: &Filter, namespaces: bool) -> Self {
        let bits = [
            (!filter.pids.is_empty() || filter.descendants, FilterFlags::PIDS),
            (!filter.comms.is_empty(), FilterFlags::COMMS),
            (!filter.cgroups.is_empty(), FilterFlags::CGROUPS),
            (!filter.ports.is_empty(), FilterFlags::PORTS),
            (!filter.local_ports.is_empty(), FilterFlags::LOCAL_PORTS),
            (!filter.remote_ports.is_empty(), FilterFlags::REMOTE_PORTS),
            (!filter.networks.is_empty(), FilterFlags::NETWORKS),
            (!filter.netns.is_empty() || namespaces, FilterFlags::NAMESPACES),
            (filter.families.contains(&Family::Ipv4), FilterFlags::IPV4),
            (filter.families.contains(&Family::Ipv6), FilterFlags::IPV6),
            (filter.protocols.contains(&Protocol::Tcp), FilterFlags::TCP),
            (filter.protocols.contains(&Protocol::Mptcp), FilterFlags::MPTCP),
        ];
        let criteria = bits.into_iter().filter(|(is_set, _)| *is_set).map(|(_, bit)| bit).sum();
        Self { criteria, extra_namespaces: if namespaces { MAX_NAMESPACES } else { 0 } }
    }

    /// Whether the filter has a criterion.
    pub fn is_active(&self) -> bool {
        self.criteria != 0
    }

    /// Sets the constant and the sizes of the maps in the object that is to be loaded.
    pub fn prepare<'a>(&'a self, filter: &Filter, loader: &mut EbpfLoader<'a>) {
        loader.override_global("FILTER_FLAGS", &self.criteria, true);
        let descendants = if filter.descendants { MAX_DESCENDANTS } else { 0 };
        for (map, entries) in [
            ("PIDS", filter.pids.len() + descendants),
            ("COMMS", filter.comms.len()),
            ("CGROUPS", filter.cgroups.len()),
            ("NAMESPACES", filter.netns.len() + self.extra_namespaces),
            ("NETWORKS", filter.networks.len()),
        ] {
            loader.map_max_entries(map, u32::try_from(entries.max(1)).unwrap_or(u32::MAX));
        }
    }
}

/// Writes the filter's values to the maps.
///
/// # Errors
/// The object lacks a map, or the kernel rejects a value.
pub fn fill(filter: &Filter, ebpf: &mut Ebpf) -> Result<(), LiveError> {
    set(ebpf, "PIDS", filter.pids.iter().copied())?;
    set(ebpf, "COMMS", filter.comms.iter().map(|comm| padded(comm.as_bytes())))?;
    set(ebpf, "CGROUPS", filter.cgroups.iter().map(|cgroup| cgroup.id))?;
    set(ebpf, "NAMESPACES", filter.netns.iter().copied())?;
    let mut networks = LpmTrie::try_from(map(ebpf, "NETWORKS")?).map_err(rejected)?;
    for network in &filter.networks {
        networks.insert(&key(*network), 1_u8, 0).map_err(rejected)?;
    }
    let mut ports = Array::try_from(map(ebpf, "PORTS")?).map_err(rejected)?;
    for (word, bits) in (0..).zip(bitmap(filter)) {
        if bits != 0 {
            ports.set(word, bits, 0).map_err(rejected)?;
        }
    }
    Ok(())
}

/// The selected namespaces. Any thread may change them while the programs run.
pub struct Namespaces(Mutex<HashMap<MapData, u32, u8>>);

impl Namespaces {
    /// Takes the programs' map.
    ///
    /// # Errors
    /// It was taken before.
    pub(super) fn of(ebpf: &mut Ebpf) -> Result<Self, LiveError> {
        let map = ebpf.take_map("NAMESPACES").ok_or(LiveError::NoPart("NAMESPACES"))?;
        Ok(Self(Mutex::new(HashMap::try_from(map).map_err(rejected)?)))
    }

    /// Selects a namespace.
    ///
    /// # Errors
    /// The map is full.
    pub fn add(&self, netns: u32) -> Result<(), LiveError> {
        self.lock().insert(netns, 1, 0).map_err(rejected)
    }

    /// Deselects a namespace.
    pub fn remove(&self, netns: u32) {
        // A namespace that is not in the map is not selected.
        let _ = self.lock().remove(&netns);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<MapData, u32, u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Selects one more process.
///
/// # Errors
/// The map is full.
pub fn add_process(ebpf: &mut Ebpf, pid: u32) -> Result<(), LiveError> {
    set(ebpf, "PIDS", [pid])
}

/// Sets whether every transition passes the filter.
///
/// # Errors
/// The kernel rejects the change.
pub fn pass_all(ebpf: &mut Ebpf, all: bool) -> Result<(), LiveError> {
    let mut switch = Array::try_from(map(ebpf, "PASS_ALL")?).map_err(rejected)?;
    switch.set(0, u32::from(all), 0).map_err(rejected)
}

fn set<K: Pod>(
    ebpf: &mut Ebpf,
    name: &'static str,
    keys: impl IntoIterator<Item = K>,
) -> Result<(), LiveError> {
    let mut set: HashMap<_, K, u8> = HashMap::try_from(map(ebpf, name)?).map_err(rejected)?;
    keys.into_iter().try_for_each(|key| set.insert(key, 1, 0)).map_err(rejected)
}

fn map<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut aya::maps::Map, LiveError> {
    ebpf.map_mut(name).ok_or(LiveError::NoPart(name))
}

fn rejected(error: MapError) -> LiveError {
    LiveError::Object(error.into())
}

fn padded(comm: &[u8]) -> [u8; COMM_LEN] {
    let mut padded = [0; COMM_LEN];
    // The kernel's name ends with a NUL.
    let length = comm.len().min(COMM_LEN - 1);
    padded[..length].copy_from_slice(&comm[..length]);
    padded
}

/// The words of the map `PORTS`.
fn bitmap(filter: &Filter) -> Vec<u64> {
    let mut words = vec![0; (PORT_SETS * PORT_WORDS) as usize];
    let mut add = |set: PortSet, ranges: &[PortRange]| {
        for port in ranges.iter().cloned().flatten() {
            let (word, bit) = set.bit(port);
            words[word as usize] |= bit;
        }
    };
    add(PortSet::Either, &filter.ports);
    add(PortSet::Local, &filter.local_ports);
    add(PortSet::Remote, &filter.remote_ports);
    words
}

/// The key of a network in the programs' map: IPv4 is v4-mapped.
fn key(network: IpNet) -> Key<[u8; 16]> {
    const MAPPED: u32 = 96;
    let length = u32::from(network.prefix_len());
    match network.network() {
        IpAddr::V4(addr) => Key::new(MAPPED + length, addr.to_ipv6_mapped().octets()),
        IpAddr::V6(addr) => Key::new(length, addr.octets()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_set_at_the_bits_that_the_programs_test() {
        let filter = Filter { ports: vec![80..=81], remote_ports: vec![65535..=65535], ..Filter::default() };
        let words = bitmap(&filter);
        let has = |set: PortSet, port| {
            let (word, bit) = set.bit(port);
            words[word as usize] & bit != 0
        };
        assert!(has(PortSet::Either, 80) && has(PortSet::Either, 81) && has(PortSet::Remote, 65535));
        assert!(!has(PortSet::Either, 82) && !has(PortSet::Local, 80) && !has(PortSet::Either, 65535));
        assert_eq!(words.iter().map(|word| word.count_ones()).sum::<u32>(), 3);
    }

    #[test]
    fn an_ipv4_network_is_v4_mapped() {
        let key = key("10.1.0.0/16".parse().unwrap());
        assert_eq!(key.prefix_len(), 112);
        assert_eq!(key.data()[10..14], [0xff, 0xff, 10, 1]);
    }

    #[test]
    fn only_the_criteria_of_the_filter_are_set() {
        assert_eq!(Selection::of(&Filter::default(), false).criteria, 0);
        assert_eq!(Selection::of(&Filter::default(), true).criteria, FilterFlags::NAMESPACES);
        let command = Filter { descendants: true, families: vec![Family::Ipv6], ..Filter::default() };
        assert_eq!(Selection::of(&command, false).criteria, FilterFlags::PIDS | FilterFlags::IPV6);
    }
}
