//! What the calling thread may do: its effective capabilities (capabilities(7)).

use std::fs;

/// A capability by its number (include/uapi/linux/capability.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    bit: u32,
    /// Such as `CAP_NET_ADMIN`.
    pub name: &'static str,
}

impl Capability {
    /// Any user or group for what it opens.
    pub const SETUID: Self = Self { bit: 7, name: "CAP_SETUID" };
    /// Devices, sysctls, and options that bend the protocol.
    pub const NET_ADMIN: Self = Self { bit: 12, name: "CAP_NET_ADMIN" };
    /// Other users' descriptors in /proc.
    pub const SYS_PTRACE: Self = Self { bit: 19, name: "CAP_SYS_PTRACE" };
    /// Namespaces, and before Linux 5.8 whatever BPF asks for.
    pub const SYS_ADMIN: Self = Self { bit: 21, name: "CAP_SYS_ADMIN" };
    /// Memory beyond RLIMIT_MEMLOCK.
    pub const SYS_RESOURCE: Self = Self { bit: 24, name: "CAP_SYS_RESOURCE" };
    /// Programs that read kernel memory.
    pub const PERFMON: Self = Self { bit: 38, name: "CAP_PERFMON" };
    /// Loading BPF programs.
    pub const BPF: Self = Self { bit: 39, name: "CAP_BPF" };
}

/// The capabilities that a thread has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapabilitySet(pub u64);

impl CapabilitySet {
    /// Those of the calling thread; `None` where /proc does not tell.
    #[must_use]
    pub fn effective() -> Option<Self> {
        parse(&fs::read_to_string("/proc/thread-self/status").ok()?)
    }

    /// Whether this one is among them.
    #[must_use]
    pub fn has(self, capability: Capability) -> bool {
        self.0 >> capability.bit & 1 == 1
    }
}

/// The effective ones in /proc/PID/status, a bit each.
fn parse(status: &str) -> Option<CapabilitySet> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok().map(CapabilitySet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effective_capabilities_are_one_line_of_many() {
        let status = "CapInh:\t0000000000000000\nCapPrm:\t000001ffffffffff\nCapEff:\t0000000000203000\n";
        let held = parse(status).expect("it is there");
        assert_eq!(held, CapabilitySet(0x20_3000));
        assert!(held.has(Capability::NET_ADMIN) && held.has(Capability::SYS_ADMIN));
        assert!(!held.has(Capability::SYS_PTRACE));
        assert_eq!(parse("Name:\tx\n"), None);
    }
}
