//! How large the kernel side's table of sockets is (`probe-ebpf/src/table.rs`).

use aya::EbpfLoader;
use nix::sys::sysinfo::sysinfo;
use probe_ebpf::{TABLE_SETS, TABLE_WAYS};

/// The least and the most that there are where every socket has one.
const LEAST: u32 = 1 << 12;
const MOST: u32 = 1 << 17;

/// How much memory the host has for each place: the table, of 88 bytes for each, takes 0.3 % of it at most. A socket that
/// finds no place costs its own storage.
const MEMORY_A_PLACE: u64 = 32 << 10;

/// The size of the table, in sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    sets: u32,
    bits: u32,
}

impl Size {
    /// Of a table in which all sockets have places, or listeners alone.
    pub fn of(all: bool) -> Self {
        // Where nothing can be known, a small host is assumed.
        Self::with(all, sysinfo().map_or(0, |host| host.ram_total()))
    }

    fn with(all: bool, memory: u64) -> Self {
        let wanted = u32::try_from(memory / MEMORY_A_PLACE / u64::from(TABLE_WAYS)).unwrap_or(MOST);
        let sets = if all { wanted.clamp(LEAST, MOST) } else { TABLE_SETS };
        let bits = sets.ilog2();
        Self { sets: 1 << bits, bits }
    }

    /// Tells the kernel side.
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
    fn it_grows_with_the_host() {
        let places = |memory: u64| Size::with(true, memory).sets * TABLE_WAYS;
        assert_eq!([0, 1 << 30, 3 << 30, 1 << 40].map(places), [1 << 14, 1 << 15, 1 << 16, 1 << 19]);
        assert_eq!(Size::with(false, 1 << 40), Size { sets: TABLE_SETS, bits: 10 });
    }
}
