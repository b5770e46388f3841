//! The machine, and the privileges of this process.

use std::{fs, io, os::unix::fs::MetadataExt as _};

use nix::unistd::geteuid;

use super::Subject;
use crate::{
    model::{Facility, FacilityGroup, Host, kernel_version},
    os::capability::{Capability, CapabilitySet},
};

/// The inode number of the initial user namespace (`PROC_USER_INIT_INO`, include/linux/proc_ns.h).
const INITIAL_USER_NAMESPACE: u64 = 0xEFFF_FFFD;

/// The kernel release, the user, capabilities and lockdown.
pub fn facilities(host: &Host) -> Vec<Facility> {
    let kernel = Subject {
        group: FacilityGroup::Host,
        name: "kernel",
        costs: "the classic tracepoint needs Linux 4.16, the ring buffer 5.8, the BTF tracepoint 5.12",
    };
    let mut facilities =
        vec![kernel.ok(format!("Linux {} {}", host.kernel, host.arch)), user(), user_namespace()];
    facilities.extend(capabilities(&host.kernel));
    facilities.push(lockdown());
    facilities
}

fn user() -> Facility {
    let subject = Subject {
        group: FacilityGroup::Host,
        name: "user",
        costs: "files that only root may open: tracefs, for the classic tracepoint; /dev/net/tun on many hosts",
    };
    let uid = geteuid();
    if uid.is_root() { subject.ok("root") } else { subject.unavailable(format!("user {uid}"), "run as root") }
}

fn user_namespace() -> Facility {
    let subject = Subject {
        group: FacilityGroup::Host,
        name: "user namespace",
        costs: "everything that needs capabilities: the kernel checks those for BPF in the initial user namespace",
    };
    match fs::metadata("/proc/self/ns/user").map(|file| file.ino()) {
        Ok(INITIAL_USER_NAMESPACE) => subject.ok("the initial one"),
        Ok(_) => subject.unavailable(
            "not the initial one: capabilities held here do not count for BPF",
            "run on the host, or in a container without a user namespace of its own",
        ),
        // A kernel without user namespaces has no such file, and /proc may be missing altogether.
        Err(error) if error.kind() == io::ErrorKind::NotFound && fs::metadata("/proc/self").is_ok() => {
            subject.ok("this kernel has no user namespaces")
        }
        Err(error) => subject.unknown(format!("/proc/self/ns/user: {error}")),
    }
}

/// A capability, and what needs it.
struct Requirement {
    capability: Capability,
    costs: &'static str,
    without: Without,
}

/// What may replace a capability.
enum Without {
    Nothing,
    /// CAP_SYS_ADMIN, which was the only way before Linux 5.8.
    Admin,
    /// A kernel since this version, which does not require it.
    Since([u32; 2]),
}

const CAPABILITIES: [Requirement; 6] = [
    Requirement {
        capability: Capability::BPF,
        costs: "loading BPF programs: trace, run, audit, rendezvous",
        without: Without::Admin,
    },
    Requirement {
        capability: Capability::PERFMON,
        costs: "attaching BPF programs that read kernel memory: trace, run, audit, rendezvous",
        without: Without::Admin,
    },
    Requirement {
        capability: Capability::NET_ADMIN,
        costs: "the emulated link and the sysctls of run and audit; applying the remedies below",
        without: Without::Nothing,
    },
    Requirement {
        capability: Capability::SYS_ADMIN,
        costs: "other network namespaces: existing sockets, port holders, --time-wait; the private namespaces of \
                run and audit",
        without: Without::Nothing,
    },
    Requirement {
        capability: Capability::SYS_RESOURCE,
        costs: "memory for BPF programs beyond RLIMIT_MEMLOCK: trace, run, audit, rendezvous",
        without: Without::Since([5, 11]),
    },
    Requirement {
        capability: Capability::SYS_PTRACE,
        costs: "other users' descriptors in /proc: owners of existing sockets, port holders",
        without: Without::Nothing,
    },
];

fn capabilities(kernel: &str) -> Vec<Facility> {
    let held = CapabilitySet::effective();
    let check =
        |requirement: &Requirement| requirement.check(held, kernel_version(kernel), geteuid().is_root());
    CAPABILITIES.iter().map(check).collect()
}

impl Requirement {
    fn check(&self, held: Option<CapabilitySet>, kernel: Option<[u32; 2]>, root: bool) -> Facility {
        let subject = Subject { group: FacilityGroup::Host, name: self.capability.name, costs: self.costs };
        let Some(held) = held else {
            return subject.unknown("/proc/thread-self/status cannot be read: /proc is not mounted");
        };
        match self.without {
            _ if held.has(self.capability) => subject.ok("held"),
            Without::Admin if held.has(Capability::SYS_ADMIN) => {
                subject.ok("not held; CAP_SYS_ADMIN replaces it")
            }
            Without::Since(since) if kernel.is_some_and(|kernel| kernel >= since) => {
                subject.ok(format!("not held; not needed since Linux {}.{}", since[0], since[1]))
            }
            _ if root => subject.unavailable(
                "not held, although this is root",
                format!("add {} to the container or service that probe runs in", self.capability.name),
            ),
            _ => subject.unavailable("not held", format!("run as root, or with {}", self.capability.name)),
        }
    }
}

fn lockdown() -> Facility {
    const FILE: &str = "/sys/kernel/security/lockdown";
    let subject = Subject {
        group: FacilityGroup::Host,
        name: "lockdown",
        costs: "in confidentiality mode, everything that reads kernel memory: trace, run, audit, rendezvous",
    };
    match fs::read_to_string(FILE) {
        Ok(modes) => match mode(&modes) {
            Some("confidentiality") => subject.unavailable(
                "confidentiality: BPF programs may not read kernel memory",
                "boot with lockdown=integrity, or without lockdown",
            ),
            Some(mode) => subject.ok(mode),
            None => subject.unknown(format!("{FILE} reads {:?}", modes.trim())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => match securityfs() {
            Some(true) | None => subject.ok("this kernel has no lockdown"),
            Some(false) => Facility {
                remedy: Some("mount -t securityfs nodev /sys/kernel/security".to_owned()),
                ..subject.unknown("securityfs is not mounted")
            },
        },
        Err(error) => subject.unknown(format!("{FILE}: {error}")),
    }
}

/// The active mode, which is the one in brackets.
fn mode(modes: &str) -> Option<&str> {
    modes.split_whitespace().find_map(|mode| mode.strip_prefix('[')?.strip_suffix(']'))
}

/// Whether securityfs is mounted; `None` where the kernel has no such file system.
fn securityfs() -> Option<bool> {
    let listed = |file| fs::read_to_string(file).is_ok_and(|text| has_word(&text, "securityfs"));
    listed("/proc/filesystems").then(|| listed("/proc/self/mounts"))
}

fn has_word(text: &str, word: &str) -> bool {
    text.split_whitespace().any(|other| other == word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FacilityStatus;

    #[test]
    fn cap_sys_admin_or_a_newer_kernel_replaces_a_capability() {
        let check = |held, kernel| {
            CAPABILITIES.each_ref().map(|requirement| {
                requirement.check(Some(CapabilitySet(held)), kernel_version(kernel), false).status
            })
        };
        let (ok, missing) = (FacilityStatus::Ok, FacilityStatus::Unavailable);
        assert_eq!(check(u64::MAX, "5.10.0"), [ok; 6]);
        assert_eq!(check(0, "5.10.0"), [missing; 6]);
        assert_eq!(check(0, "5.11.0"), [missing, missing, missing, missing, ok, missing]);
        assert_eq!(check(1 << 21, "5.10.0"), [ok, ok, missing, ok, missing, missing]);
        assert_eq!(CAPABILITIES[0].check(None, None, true).status, FacilityStatus::Unknown);
    }

    #[test]
    fn the_active_lockdown_mode_is_in_brackets() {
        assert_eq!(mode("none [integrity] confidentiality\n"), Some("integrity"));
        assert_eq!(mode("none integrity\n"), None);
    }
}
