//! The effective capabilities of the calling thread (capabilities(7)).

use std::fs;

/// A capability by its number (include/uapi/linux/capability.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    bit: u32,
    /// Such as `CAP_NET_ADMIN`.
    pub name: &'static str,
}

impl Capability {
    /// Changing user and group ids, and those used for file access (setfsuid(2)).
    pub const SETUID: Self = Self { bit: 7, name: "CAP_SETUID" };
    /// Configuring devices and sysctls, and privileged socket options.
    pub const NET_ADMIN: Self = Self { bit: 12, name: "CAP_NET_ADMIN" };
    /// Reading other users' descriptors and namespaces in /proc.
    pub const SYS_PTRACE: Self = Self { bit: 19, name: "CAP_SYS_PTRACE" };
    /// Creating and entering namespaces; before Linux 5.8 all of BPF.
    pub const SYS_ADMIN: Self = Self { bit: 21, name: "CAP_SYS_ADMIN" };
    /// Memory beyond RLIMIT_MEMLOCK.
    pub const SYS_RESOURCE: Self = Self { bit: 24, name: "CAP_SYS_RESOURCE" };
    /// BPF programs that read kernel memory, and attaching them.
    pub const PERFMON: Self = Self { bit: 38, name: "CAP_PERFMON" };
    /// Loading BPF programs.
    pub const BPF: Self = Self { bit: 39, name: "CAP_BPF" };
}

/// A set of capabilities: bit N is capability number N.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapabilitySet(pub u64);

impl CapabilitySet {
    /// The effective capabilities of the calling thread; `None` if /proc cannot be read.
    #[must_use]
    pub fn effective() -> Option<Self> {
        parse(&fs::read_to_string("/proc/thread-self/status").ok()?)
    }

    /// Whether the set contains the capability.
    #[must_use]
    pub fn has(self, capability: Capability) -> bool {
        self.0 >> capability.bit & 1 == 1
    }
}

/// Parses the line `CapEff:` of /proc/PID/status, a hexadecimal mask.
fn parse(status: &str) -> Option<CapabilitySet> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok().map(CapabilitySet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effective_capabilities_are_parsed_from_proc_status() {
        let status = "CapInh:\t0000000000000000\nCapPrm:\t000001ffffffffff\nCapEff:\t0000000000203000\n";
        let held = parse(status).expect("CapEff is present");
        assert_eq!(held, CapabilitySet(0x20_3000));
        assert!(held.has(Capability::NET_ADMIN) && held.has(Capability::SYS_ADMIN));
        assert!(!held.has(Capability::SYS_PTRACE));
        assert_eq!(parse("Name:\tx\n"), None);
    }
}
