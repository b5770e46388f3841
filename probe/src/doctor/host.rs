//! The machine, and what this process may do on it.

use std::{fs, io, os::unix::fs::MetadataExt as _};

use nix::unistd::geteuid;

use super::Subject;
use crate::{
    model::{Facility, FacilityGroup, Host},
    os::{
        capability::{Capability, CapabilitySet},
        kernel::version,
    },
};

/// The inode number of the initial user namespace (`PROC_USER_INIT_INO`, include/linux/proc_ns.h).
const INITIAL_USER_NAMESPACE: u64 = 0xEFFF_FFFD;

/// What there is to say of the machine and of this process's privilege.
pub fn facilities(host: &Host) -> Vec<Facility> {
    let kernel = Subject {
        group: FacilityGroup::Host,
        name: "kernel",
        costs: "4.16 has the classic tracepoint, 5.8 the ring, 5.12 what the BTF tracepoint's program calls",
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
        costs: "files that are root's: tracefs, which describes the classic tracepoint; /dev/net/tun on many hosts",
    };
    let uid = geteuid();
    if uid.is_root() { subject.ok("root") } else { subject.lacking(format!("user {uid}"), "run as root") }
}

fn user_namespace() -> Facility {
    let subject = Subject {
        group: FacilityGroup::Host,
        name: "user namespace",
        costs: "all that needs capabilities: the kernel asks for BPF's in the initial user namespace",
    };
    match fs::metadata("/proc/self/ns/user").map(|file| file.ino()) {
        Ok(INITIAL_USER_NAMESPACE) => subject.ok("the initial one"),
        Ok(_) => subject.lacking(
            "one of its own: capabilities count in it alone",
            "run on the host itself, or in a container without a user namespace of its own",
        ),
        // A kernel without user namespaces has no such file, and /proc may be missing altogether.
        Err(error) if error.kind() == io::ErrorKind::NotFound && fs::metadata("/proc/self").is_ok() => {
            subject.ok("none: this kernel has no user namespaces")
        }
        Err(error) => subject.unknown(format!("/proc/self/ns/user: {error}")),
    }
}

/// A capability, and what the kernel asks it for.
struct Asked {
    capability: Capability,
    costs: &'static str,
    without: Without,
}

/// What helps a process that lacks a capability.
enum Without {
    Nothing,
    /// CAP_SYS_ADMIN, which was the only way before Linux 5.8.
    Admin,
    /// A kernel from this version on, which does not ask for it.
    Since([u32; 2]),
}

const CAPABILITIES: [Asked; 6] = [
    Asked {
        capability: Capability::BPF,
        costs: "loading the programs: trace, run, rendezvous",
        without: Without::Admin,
    },
    Asked {
        capability: Capability::PERFMON,
        costs: "programs that read kernel memory, and attaching them: trace, run, rendezvous",
        without: Without::Admin,
    },
    Asked {
        capability: Capability::NET_ADMIN,
        costs: "the emulated link and the sysctls of run; the remedies below",
        without: Without::Nothing,
    },
    Asked {
        capability: Capability::SYS_ADMIN,
        costs: "other network namespaces: sockets older than the trace, holders of ports, --time-wait; the \
                private namespaces of run",
        without: Without::Nothing,
    },
    Asked {
        capability: Capability::SYS_RESOURCE,
        costs: "memory for the programs beyond RLIMIT_MEMLOCK: trace, run, rendezvous",
        without: Without::Since([5, 11]),
    },
    Asked {
        capability: Capability::SYS_PTRACE,
        costs: "other users' descriptors in /proc: owners of sockets older than the trace, holders of ports",
        without: Without::Nothing,
    },
];

fn capabilities(kernel: &str) -> Vec<Facility> {
    let held = CapabilitySet::effective();
    let judge = |asked: &Asked| asked.judge(held, version(kernel), geteuid().is_root());
    CAPABILITIES.iter().map(judge).collect()
}

impl Asked {
    fn judge(&self, held: Option<CapabilitySet>, kernel: Option<[u32; 2]>, root: bool) -> Facility {
        let subject = Subject { group: FacilityGroup::Host, name: self.capability.name, costs: self.costs };
        let Some(held) = held else {
            return subject.unknown("/proc/thread-self/status does not tell: /proc is not mounted");
        };
        match self.without {
            _ if held.has(self.capability) => subject.ok("held"),
            Without::Admin if held.has(Capability::SYS_ADMIN) => {
                subject.ok("not held; CAP_SYS_ADMIN stands in")
            }
            Without::Since(since) if kernel.is_some_and(|kernel| kernel >= since) => {
                subject.ok(format!("not held; since Linux {}.{} not needed", since[0], since[1]))
            }
            _ if root => subject.lacking(
                "not held, though this is root",
                format!("give {} to the container or service that this runs in", self.capability.name),
            ),
            _ => subject.lacking("not held", format!("run as root, or with {}", self.capability.name)),
        }
    }
}

fn lockdown() -> Facility {
    const FILE: &str = "/sys/kernel/security/lockdown";
    let subject = Subject {
        group: FacilityGroup::Host,
        name: "lockdown",
        costs: "in mode confidentiality all that reads kernel memory: trace, run, rendezvous",
    };
    match fs::read_to_string(FILE) {
        Ok(modes) => match mode(&modes) {
            Some("confidentiality") => subject.lacking(
                "confidentiality: no program may read kernel memory",
                "boot with lockdown=integrity, or without lockdown",
            ),
            Some(mode) => subject.ok(mode),
            None => subject.unknown(format!("{FILE} reads {:?}", modes.trim())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => match securityfs() {
            Some(true) | None => subject.ok("this kernel has none"),
            Some(false) => Facility {
                remedy: Some("mount -t securityfs nodev /sys/kernel/security".to_owned()),
                ..subject.unknown("securityfs is not mounted")
            },
        },
        Err(error) => subject.unknown(format!("{FILE}: {error}")),
    }
}

/// The one of all modes that is in brackets.
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
    fn what_stands_in_for_a_capability() {
        let judge = |held, kernel| {
            CAPABILITIES
                .each_ref()
                .map(|asked| asked.judge(Some(CapabilitySet(held)), version(kernel), false).status)
        };
        let (ok, lacking) = (FacilityStatus::Ok, FacilityStatus::Unavailable);
        assert_eq!(judge(u64::MAX, "5.10.0"), [ok; 6]);
        assert_eq!(judge(0, "5.10.0"), [lacking; 6]);
        assert_eq!(judge(0, "5.11.0"), [lacking, lacking, lacking, lacking, ok, lacking]);
        assert_eq!(judge(1 << 21, "5.10.0"), [ok, ok, lacking, ok, lacking, lacking]);
        assert_eq!(CAPABILITIES[0].judge(None, None, true).status, FacilityStatus::Unknown);
    }

    #[test]
    fn the_mode_of_lockdown_is_in_brackets() {
        assert_eq!(mode("none [integrity] confidentiality\n"), Some("integrity"));
        assert_eq!(mode("none integrity\n"), None);
    }
}
