//! Which functions of the kernel the programs recognise on its stack, and where their code is.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufRead, BufReader},
    sync::LazyLock,
    thread::{self, JoinHandle},
};

use aya::{Ebpf, Pod, maps::Array};
use log::{debug, warn};
use probe_ebpf::{STACK_BOUNDARIES, STACK_BOUNDARY, STACK_FUNCTIONS, STACK_RANGES, StackTable};

use super::error::LiveError;

/// The kernel's symbols. Their addresses are zeros for a reader whom the kernel does not trust
/// (`kallsyms_show_value`).
const SYMBOLS: &str = "/proc/kallsyms";

/// What the reports lack without addresses, as a phrase for the user.
const MISSING: &str = "the kernel's stack behind a transition, so that some causes stay open (needs addresses in /proc/kallsyms: \
     CAP_SYSLOG, and the sysctl kernel.kptr_restrict below 2)";

/// The code of each function that the programs recognise.
static CODES: LazyLock<HashMap<&str, u8>> = LazyLock::new(|| {
    let functions = STACK_FUNCTIONS.iter().map(|(name, function)| (*name, *function as u8));
    functions.chain(STACK_BOUNDARIES.iter().map(|name| (*name, STACK_BOUNDARY))).collect()
});

/// The functions of the running kernel. A thread looks them up, while the programs are verified.
pub struct KernelSymbols {
    lookup: Option<JoinHandle<io::Result<Option<StackTable>>>>,
    table: Option<StackTable>,
}

impl KernelSymbols {
    /// Starts to look the functions up.
    pub fn look_up() -> Self {
        let lookup = readable_symbols().unwrap_or_else(|error| {
            debug!("cannot read {SYMBOLS}: {error}");
            None
        });
        Self { lookup: lookup.map(|symbols| thread::spawn(|| table(symbols))), table: None }
    }

    /// Whether the kernel shows this process where its functions are.
    pub fn are_readable(&self) -> bool {
        self.lookup.is_some() || self.table.is_some()
    }

    /// Passes the functions to the programs, as soon as they are found.
    ///
    /// # Errors
    /// The kernel rejects them.
    pub fn fill(&mut self, ebpf: &mut Ebpf) -> Result<(), LiveError> {
        if let Some(lookup) = self.lookup.take() {
            let found = lookup.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            self.table = found.unwrap_or_else(|error| {
                debug!("cannot read {SYMBOLS}: {error}");
                None
            });
        }
        let Some(table) = &self.table else { return Ok(()) };
        let map = ebpf.map_mut("STACK_TABLE").ok_or(LiveError::NoPart("STACK_TABLE"))?;
        let rejected = |error: aya::maps::MapError| LiveError::Object(error.into());
        Array::try_from(map).map_err(rejected)?.set(0, Ranges(*table), 0).map_err(rejected)
    }

    /// What the reports lack, as a phrase for the user. Call it after [`fill`](Self::fill).
    pub fn missing(&self) -> Option<&'static str> {
        self.table.is_none().then_some(MISSING)
    }
}

/// The table as a value of a map.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Ranges(StackTable);

// SAFETY: integers only, and no padding: 256 words, and 256 bytes.
#[expect(unsafe_code, reason = "aya's marker for values that are plain bytes")]
unsafe impl Pod for Ranges {}

/// The symbols from the first function on; `None` where its address is hidden.
fn readable_symbols() -> io::Result<Option<Symbols<BufReader<File>>>> {
    let mut symbols = Symbols::of(BufReader::with_capacity(1 << 16, File::open(SYMBOLS)?));
    let first = symbols.next_function()?.map(|(address, _)| address);
    Ok(first.is_some_and(|address| address != 0).then_some(symbols))
}

/// The table of the functions that the programs recognise; `None` where the kernel has none of them.
fn table(mut symbols: Symbols<impl BufRead>) -> io::Result<Option<StackTable>> {
    let (mut recognised, mut addresses) = (Vec::new(), Vec::new());
    while let Some((address, name)) = symbols.next_function()? {
        addresses.push(address);
        if let Some(code) = CODES.get(name) {
            recognised.push((address, *code));
        }
    }
    // The core's are in order already. Modules, and functions of BPF, follow in any order.
    addresses.sort();
    recognised.sort_unstable();
    recognised.dedup_by_key(|(start, _)| *start);
    let mut ranges: Vec<(u64, u8)> = vec![(0, 0)];
    for (start, code) in recognised {
        // The function before ends here.
        ranges.pop_if(|(end, _)| *end == start && start != 0);
        ranges.push((start, code));
        let following = addresses.partition_point(|address| *address <= start);
        ranges.extend(addresses.get(following).map(|end| (*end, 0)));
    }
    if ranges.len() > STACK_RANGES {
        warn!("{} ranges of kernel functions; only the first {STACK_RANGES} are recognised", ranges.len());
    }
    let mut table = StackTable::EMPTY;
    let slots = table.starts.iter_mut().zip(&mut table.codes);
    for ((start, code), range) in slots.zip(&ranges) {
        (*start, *code) = *range;
    }
    Ok((ranges.len() > 1).then_some(table))
}

/// The lines of /proc/kallsyms.
struct Symbols<R> {
    lines: R,
    line: String,
}

impl<R: BufRead> Symbols<R> {
    fn of(lines: R) -> Self {
        Self { lines, line: String::new() }
    }

    /// The address and the name of the next function, without what the compiler appends to the name of a part or a copy
    /// (`.cold`, `.part.0`, `.isra.0`, `.constprop.0`); `None` at the end.
    fn next_function(&mut self) -> io::Result<Option<(u64, &str)>> {
        loop {
            self.line.clear();
            if self.lines.read_line(&mut self.line)? == 0 {
                return Ok(None);
            }
            if function(&self.line).is_some() {
                // Once more, since a borrow that is returned from a loop would last for all of it.
                return Ok(function(&self.line));
            }
        }
    }
}

/// The function in a line such as `ffffffff81a3f0e0 t tcp_fin.cold` or, in a module, `ffffffffc0a3f0e0 t f\t[module]`.
fn function(line: &str) -> Option<(u64, &str)> {
    let mut words = line.split_ascii_whitespace();
    let (address, kind, name) = (words.next()?, words.next()?, words.next()?);
    if !matches!(kind, "t" | "T" | "w" | "W") {
        return None;
    }
    let address = u64::from_str_radix(address, 16).ok()?;
    Some((address, name.split_once('.').map_or(name, |(name, _)| name)))
}

#[cfg(test)]
mod tests {
    use probe_ebpf::StackFunction;

    use super::*;

    fn table_of(symbols: &str) -> Option<StackTable> {
        table(Symbols::of(symbols.as_bytes())).expect("memory can be read")
    }

    /// The code at an address: that of the last range which starts at it or before.
    fn code_at(table: &StackTable, address: u64) -> u8 {
        table.codes[table.starts.partition_point(|start| *start <= address) - 1]
    }

    const FIN: u8 = StackFunction::TcpFin as u8;
    const RESET: u8 = StackFunction::TcpReset as u8;

    #[test]
    fn a_function_reaches_to_the_next_symbol() {
        let table = table_of(
            "0000000000000000 A fixed_percpu_data\n\
             ffffffff81000000 T _text\n\
             ffffffff81000100 t tcp_fin\n\
             ffffffff81000140 D not_code\n\
             ffffffff81000180 T tcp_reset\n\
             ffffffff81000200 t __pfx_tcp_data_queue\n",
        )
        .expect("it has functions");
        let codes = [0x00, 0xff, 0x100, 0x140, 0x17f, 0x180, 0x1ff, 0x200, 0xfff];
        let codes = codes.map(|offset| code_at(&table, 0xffff_ffff_8100_0000 + offset));
        assert_eq!(codes, [0, 0, FIN, FIN, FIN, RESET, RESET, 0, 0]);
        assert_eq!(code_at(&table, 0), 0);
    }

    #[test]
    fn parts_and_copies_of_a_function_are_the_function() {
        let table = table_of(
            "ffffffff81000100 t tcp_fin.cold\n\
             ffffffff81000110 t tcp_data_queue\n\
             ffffffff81000200 t tcp_fin.isra.0\n\
             ffffffff81000210 t tcp_fin.part.0.constprop.1\n\
             ffffffff81000220 t tcp_finish\n",
        )
        .expect("it has functions");
        let codes = [0x100, 0x110, 0x200, 0x210, 0x220];
        assert_eq!(
            codes.map(|offset| code_at(&table, 0xffff_ffff_8100_0000 + offset)),
            [FIN, 0, FIN, FIN, 0]
        );
    }

    #[test]
    fn modules_follow_in_any_order_and_at_lower_addresses() {
        let table = table_of(
            "ffffffff81000100 T tcp_reset\n\
             ffffffff81000200 T last_of_the_core\n\
             ffffffffc0300000 t tcp_v6_err\t[ipv6]\n\
             ffffffffc0200000 t mptcp_worker\t[mptcp]\n\
             ffffffffc0300080 t next\t[ipv6]\n\
             ffffffffc0200080 t next\t[mptcp]\n",
        )
        .expect("it has functions");
        assert_eq!(code_at(&table, 0xffff_ffff_8100_01ff), RESET);
        assert_eq!(code_at(&table, 0xffff_ffff_c020_0000), StackFunction::MptcpWorker as u8);
        assert_eq!(code_at(&table, 0xffff_ffff_c020_0080), 0);
        assert_eq!(code_at(&table, 0xffff_ffff_c030_007f), StackFunction::TcpV6Err as u8);
        assert_eq!(code_at(&table, 0xffff_ffff_c030_0080), 0);
    }

    #[test]
    fn a_boundary_has_a_code_of_its_own() {
        let table =
            table_of("ffffffff81000100 T tcp_v4_rcv\nffffffff81000200 T other\n").expect("a boundary");
        assert_eq!(code_at(&table, 0xffff_ffff_8100_0100), STACK_BOUNDARY);
    }

    #[test]
    fn a_kernel_without_these_functions_has_no_table() {
        assert_eq!(table_of("ffffffff81000100 T other\n"), None);
        assert_eq!(table_of(""), None);
        assert_eq!(table_of("garbage\n\nffffffff81000100 T\nxyz T tcp_fin\n"), None);
    }

    #[test]
    fn every_function_and_boundary_has_a_code_of_its_own() {
        assert_eq!(CODES.len(), STACK_FUNCTIONS.len() + STACK_BOUNDARIES.len());
        let functions = STACK_FUNCTIONS.iter().map(|(_, function)| *function);
        assert!(functions.clone().all(|function| StackFunction::from_code(function as u8) == Some(function)));
        // Each may have a cold part, and each part has an end.
        assert!(CODES.len() * 4 < STACK_RANGES);
    }
}
