//! The names of kernel functions.

use std::{collections::BTreeMap, fs};

/// The kernel's functions by address.
pub struct Symbols(BTreeMap<u64, String>);

impl Symbols {
    /// Those of the running kernel.
    pub fn read() -> Self {
        let text = fs::read_to_string("/proc/kallsyms").unwrap();
        let function = |line: &str| {
            let mut words = line.split_whitespace();
            let address = u64::from_str_radix(words.next()?, 16).ok()?;
            let is_code = matches!(words.next()?, "t" | "T" | "w" | "W");
            is_code.then_some(())?;
            // A compiler's copy: `.isra.0`, `.constprop.0`, `.part.0`
            let name = words.next()?.split('.').next()?;
            Some((address, name.to_owned()))
        };
        let symbols: BTreeMap<_, _> = text.lines().filter_map(function).collect();
        assert!(symbols.keys().any(|address| *address > 0), "/proc/kallsyms shows addresses to root only");
        Self(symbols)
    }

    /// The functions of a stack, the innermost first.
    pub fn names(&self, stack: &[u64]) -> Vec<&str> {
        let name =
            |address: &u64| self.0.range(..=address).next_back().map_or("?", |(_, name)| name.as_str());
        stack.iter().map(name).collect()
    }
}
