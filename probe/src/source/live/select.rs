//! The filter as the kernel side takes it: a constant that says what is asked for, and maps with the entries.

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

/// How many namespaces may be wanted at one time where they are named later.
const MOST_NAMESPACES: usize = 1 << 10;

/// How many processes a command and its descendants may be at one time.
const MOST_DESCENDANTS: usize = 1 << 15;

/// What goes in before the programs are loaded.
pub struct Selection {
    /// Bits of [`FilterFlags`].
    asked: u32,
    /// How many namespaces there must be room for, beside those that the filter names.
    to_come: usize,
}

impl Selection {
    /// `namespaces`: whether they are named later ([`Namespaces`]).
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
        let asked = bits.into_iter().filter(|(asked, _)| *asked).map(|(_, bit)| bit).sum();
        Self { asked, to_come: if namespaces { MOST_NAMESPACES } else { 0 } }
    }

    /// Whether anything is asked for.
    pub fn is_active(&self) -> bool {
        self.asked != 0
    }

    /// Sets the constant, and makes room in the maps.
    pub fn prepare<'a>(&'a self, filter: &Filter, loader: &mut EbpfLoader<'a>) {
        loader.override_global("FILTER_FLAGS", &self.asked, true);
        let descendants = if filter.descendants { MOST_DESCENDANTS } else { 0 };
        for (map, entries) in [
            ("PIDS", filter.pids.len() + descendants),
            ("COMMS", filter.comms.len()),
            ("CGROUPS", filter.cgroups.len()),
            ("NAMESPACES", filter.netns.len() + self.to_come),
            ("NETWORKS", filter.networks.len()),
        ] {
            loader.map_max_entries(map, u32::try_from(entries.max(1)).unwrap_or(u32::MAX));
        }
    }
}

/// Writes the entries.
pub fn fill(filter: &Filter, ebpf: &mut Ebpf) -> Result<(), LiveError> {
    set(ebpf, "PIDS", filter.pids.iter().copied())?;
    set(ebpf, "COMMS", filter.comms.iter().map(|comm| padded(comm.as_bytes())))?;
    set(ebpf, "CGROUPS", filter.cgroups.iter().map(|cgroup| cgroup.id))?;
    set(ebpf, "NAMESPACES", filter.netns.iter().copied())?;
    let mut networks = LpmTrie::try_from(map(ebpf, "NETWORKS")?).map_err(refused)?;
    for network in &filter.networks {
        networks.insert(&key(*network), 1_u8, 0).map_err(refused)?;
    }
    let mut ports = Array::try_from(map(ebpf, "PORTS")?).map_err(refused)?;
    for (word, bits) in (0..).zip(bitmap(filter)) {
        if bits != 0 {
            ports.set(word, bits, 0).map_err(refused)?;
        }
    }
    Ok(())
}

/// The namespaces of which reports are wanted, to be changed from any thread while the programs run.
pub struct Namespaces(Mutex<HashMap<MapData, u32, u8>>);

impl Namespaces {
    /// Takes the kernel side's set.
    pub(super) fn of(ebpf: &mut Ebpf) -> Result<Self, LiveError> {
        let map = ebpf.take_map("NAMESPACES").ok_or(LiveError::NoPart("NAMESPACES"))?;
        Ok(Self(Mutex::new(HashMap::try_from(map).map_err(refused)?)))
    }

    /// Wants the reports of this one from now on.
    ///
    /// # Errors
    /// There are too many already.
    pub fn add(&self, netns: u32) -> Result<(), LiveError> {
        self.lock().insert(netns, 1, 0).map_err(refused)
    }

    /// Wants them no more.
    pub fn remove(&self, netns: u32) {
        // One that is not there is not wanted.
        let _ = self.lock().remove(&netns);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<MapData, u32, u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds one process to those asked for.
pub fn add_process(ebpf: &mut Ebpf, pid: u32) -> Result<(), LiveError> {
    set(ebpf, "PIDS", [pid])
}

/// Whether everything passes, whatever is asked for.
pub fn open(ebpf: &mut Ebpf, everything: bool) -> Result<(), LiveError> {
    let mut switch = Array::try_from(map(ebpf, "PASS_ALL")?).map_err(refused)?;
    switch.set(0, u32::from(everything), 0).map_err(refused)
}

fn set<K: Pod>(
    ebpf: &mut Ebpf,
    name: &'static str,
    keys: impl IntoIterator<Item = K>,
) -> Result<(), LiveError> {
    let mut set: HashMap<_, K, u8> = HashMap::try_from(map(ebpf, name)?).map_err(refused)?;
    keys.into_iter().try_for_each(|key| set.insert(key, 1, 0)).map_err(refused)
}

fn map<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut aya::maps::Map, LiveError> {
    ebpf.map_mut(name).ok_or(LiveError::NoPart(name))
}

fn refused(error: MapError) -> LiveError {
    LiveError::Object(error.into())
}

fn padded(comm: &[u8]) -> [u8; COMM_LEN] {
    let mut padded = [0; COMM_LEN];
    // The kernel keeps a NUL at the end.
    let length = comm.len().min(COMM_LEN - 1);
    padded[..length].copy_from_slice(&comm[..length]);
    padded
}

/// The words of `PORTS`.
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

/// The network as the kernel side looks it up: IPv4 as v4-mapped.
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
    fn ports_lie_where_the_kernel_side_looks() {
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
    fn an_ipv4_network_is_looked_up_as_v4_mapped() {
        let key = key("10.1.0.0/16".parse().unwrap());
        assert_eq!(key.prefix_len(), 112);
        assert_eq!(key.data()[10..14], [0xff, 0xff, 10, 1]);
    }

    #[test]
    fn what_is_asked_for_is_what_the_filter_names() {
        assert_eq!(Selection::of(&Filter::default(), false).asked, 0);
        assert_eq!(Selection::of(&Filter::default(), true).asked, FilterFlags::NAMESPACES);
        let command = Filter { descendants: true, families: vec![Family::Ipv6], ..Filter::default() };
        assert_eq!(Selection::of(&command, false).asked, FilterFlags::PIDS | FilterFlags::IPV6);
    }
}
