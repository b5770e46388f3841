//! The size of the BPF programs' table of socket states (`probe-ebpf/src/table.rs`).

use aya::EbpfLoader;
use nix::sys::sysinfo::sysinfo;
use probe_ebpf::{TABLE_SETS, TABLE_WAYS};

/// The minimum and maximum number of sets in a table for all sockets.
const MIN_SETS: u32 = 1 << 12;
const MAX_SETS: u32 = 1 << 17;

/// How many bytes of the host's memory there are for each slot. A slot takes 88 bytes, so that the table takes at most
/// 0.3 % of the memory. A socket that finds no slot costs an allocation of its own storage.
const MEMORY_PER_SLOT: u64 = 32 << 10;

/// The size of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSize {
    sets: u32,
    bits: u32,
}

impl TableSize {
    /// The size of a table for all sockets, or for listeners only.
    pub fn of(all_sockets: bool) -> Self {
        // Where the memory is unknown, the minimum.
        Self::with(all_sockets, sysinfo().map_or(0, |host| host.ram_total()))
    }

    fn with(all_sockets: bool, memory: u64) -> Self {
        let wanted = u32::try_from(memory / MEMORY_PER_SLOT / u64::from(TABLE_WAYS)).unwrap_or(MAX_SETS);
        let sets = if all_sockets { wanted.clamp(MIN_SETS, MAX_SETS) } else { TABLE_SETS };
        let bits = sets.ilog2();
        Self { sets: 1 << bits, bits }
    }

    /// Sets the size in the object that is to be loaded.
    pub fn prepare<'a>(&'a self, loader: &mut EbpfLoader<'a>) {
        loader.override_global("TABLE_SET_BITS", &self.bits, true);
        loader.map_max_entries("TAGS", self.sets);
        loader.map_max_entries("SLOTS", self.sets * TABLE_WAYS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_with_the_hosts_memory() {
        let slots = |memory: u64| TableSize::with(true, memory).sets * TABLE_WAYS;
        assert_eq!([0, 1 << 30, 3 << 30, 1 << 40].map(slots), [1 << 14, 1 << 15, 1 << 16, 1 << 19]);
        assert_eq!(TableSize::with(false, 1 << 40), TableSize { sets: TABLE_SETS, bits: 10 });
    }
}
