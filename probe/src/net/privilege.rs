//! What this process may do.

use std::{fmt, fs, io};

/// A capability that some part of the tool needs, with its number in capability.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Capability {
    /// Devices, addresses and sysctls.
    NetAdmin = 12,
    /// Network namespaces, and BPF before Linux 5.8.
    SysAdmin = 21,
    /// Attaching tracing programs.
    Perfmon = 38,
    /// Loading BPF programs.
    Bpf = 39,
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NetAdmin => "CAP_NET_ADMIN",
            Self::SysAdmin => "CAP_SYS_ADMIN",
            Self::Perfmon => "CAP_PERFMON",
            Self::Bpf => "CAP_BPF",
        })
    }
}

/// What the calling thread may do, from its effective capabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Privileges {
    /// The effective user id.
    pub euid: u32,
    /// The effective capabilities, a bit each.
    effective: u64,
}

/// Capabilities that a task needs and this process lacks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this process lacks {}: run it as root, for instance with sudo", names(missing))]
pub struct MissingCapabilities {
    /// Those it lacks.
    pub missing: Vec<Capability>,
}

impl Privileges {
    /// Those of the calling thread.
    ///
    /// # Errors
    /// /proc is not mounted.
    pub fn current() -> io::Result<Self> {
        let status = fs::read("/proc/thread-self/status")?;
        let effective = effective(&String::from_utf8_lossy(&status))
            .ok_or_else(|| io::Error::other("/proc/thread-self/status has no line CapEff"))?;
        Ok(Self { euid: nix::unistd::geteuid().as_raw(), effective })
    }

    /// Whether `capability` is there, by itself or in CAP_SYS_ADMIN, which CAP_BPF and CAP_PERFMON were
    /// split from and which still stands for them.
    #[must_use]
    pub fn has(&self, capability: Capability) -> bool {
        let bit = |capability: Capability| self.effective & (1 << capability as u32) != 0;
        match capability {
            Capability::Bpf | Capability::Perfmon => bit(capability) || bit(Capability::SysAdmin),
            Capability::NetAdmin | Capability::SysAdmin => bit(capability),
        }
    }

    /// Checks that all of `needed` are there.
    ///
    /// # Errors
    /// Names those that are not.
    pub fn require(&self, needed: &[Capability]) -> Result<(), MissingCapabilities> {
        let missing: Vec<_> = needed.iter().copied().filter(|capability| !self.has(*capability)).collect();
        if missing.is_empty() { Ok(()) } else { Err(MissingCapabilities { missing }) }
    }
}

/// The line `CapEff:` of /proc/PID/status.
fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn names(capabilities: &[Capability]) -> String {
    let names: Vec<_> = capabilities.iter().map(ToString::to_string).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let all = [Capability::NetAdmin, Capability::SysAdmin, Capability::Perfmon, Capability::Bpf];
        let with = |effective| Privileges { euid: 1000, effective };
        let text = with(1 << 12).require(&all).unwrap_err().to_string();
        assert_eq!(
            text,
            "this process lacks CAP_SYS_ADMIN, CAP_PERFMON, CAP_BPF: run it as root, for instance with sudo"
        );
        assert_eq!(with(1 << 12 | 1 << 21).require(&all), Ok(()));
        assert_eq!(with(1 << 38 | 1 << 39).require(&[Capability::Perfmon, Capability::Bpf]), Ok(()));
    }

    #[test]
    fn capabilities_are_read_from_proc() {
        assert_eq!(effective("CapPrm:\t0\nCapEff:\t000001ffffffffff\n"), Some(0x1ff_ffff_ffff));
        assert_eq!(effective("Name:\tprobe\n"), None);
        assert_eq!(Privileges::current().unwrap().euid, nix::unistd::geteuid().as_raw());
    }
}
