//! The machine, and what this process may do on it.

use std::{fs, io, os::unix::fs::MetadataExt as _};

use nix::unistd::geteuid;

use super::Subject;
use crate::model::{Facility, FacilityGroup, Host};

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

/// A capability by its number (include/uapi/linux/capability.h), and what the kernel asks it for.
struct Capability {
    bit: u32,
    name: &'static str,
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

const SYS_ADMIN: u32 = 21;

const CAPABILITIES: [Capability; 6] = [
    Capability {
        bit: 39,
        name: "CAP_BPF",
        costs: "loading the programs: trace, run, rendezvous",
        without: Without::Admin,
    },
    Capability {
        bit: 38,
        name: "CAP_PERFMON",
        costs: "programs that read kernel memory, and attaching them: trace, run, rendezvous",
        without: Without::Admin,
    },
    Capability {
        bit: 12,
        name: "CAP_NET_ADMIN",
        costs: "the emulated link and the sysctls of run; the cures below",
        without: Without::Nothing,
    },
    Capability {
        bit: SYS_ADMIN,
        name: "CAP_SYS_ADMIN",
        costs: "other network namespaces: sockets older than the trace, holders of ports, --time-wait; the \
                private namespaces of run",
        without: Without::Nothing,
    },
    Capability {
        bit: 24,
        name: "CAP_SYS_RESOURCE",
        costs: "memory for the programs beyond RLIMIT_MEMLOCK: trace, run, rendezvous",
        without: Without::Since([5, 11]),
    },
    Capability {
        bit: 19,
        name: "CAP_SYS_PTRACE",
        costs: "other users' descriptors in /proc: owners of sockets older than the trace, holders of ports",
        without: Without::Nothing,
    },
];

fn capabilities(kernel: &str) -> Vec<Facility> {
    let held = fs::read_to_string("/proc/thread-self/status").ok().and_then(|status| effective(&status));
    let judge = |capability: &Capability| capability.judge(held, version(kernel), geteuid().is_root());
    CAPABILITIES.iter().map(judge).collect()
}

impl Capability {
    fn judge(&self, held: Option<u64>, kernel: Option<[u32; 2]>, root: bool) -> Facility {
        let subject = Subject { group: FacilityGroup::Host, name: self.name, costs: self.costs };
        let Some(held) = held else {
            return subject.unknown("/proc/thread-self/status does not tell: /proc is not mounted");
        };
        let holds = |bit: u32| held >> bit & 1 == 1;
        match self.without {
            _ if holds(self.bit) => subject.ok("held"),
            Without::Admin if holds(SYS_ADMIN) => subject.ok("not held; CAP_SYS_ADMIN stands in"),
            Without::Since(since) if kernel.is_some_and(|kernel| kernel >= since) => {
                subject.ok(format!("not held; since Linux {}.{} not needed", since[0], since[1]))
            }
            _ if root => subject.lacking(
                "not held, though this is root",
                format!("give {} to the container or service that this runs in", self.name),
            ),
            _ => subject.lacking("not held", format!("run as root, or with {}", self.name)),
        }
    }
}

/// The first two numbers of a kernel's release.
fn version(release: &str) -> Option<[u32; 2]> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some([numbers.next()?.ok()?, numbers.next()?.ok()?])
}

/// The effective capabilities in /proc/PID/status, a bit each.
fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
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
                cure: Some("mount -t securityfs nodev /sys/kernel/security".to_owned()),
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
    fn effective_capabilities_are_one_line_of_many() {
        let status = "CapInh:\t0000000000000000\nCapPrm:\t000001ffffffffff\nCapEff:\t0000000000203000\n";
        assert_eq!(effective(status), Some(0x20_3000));
        assert_eq!(effective("Name:\tx\n"), None);
    }

    #[test]
    fn what_stands_in_for_a_capability() {
        let judge = |held, kernel| {
            CAPABILITIES
                .each_ref()
                .map(|capability| capability.judge(Some(held), version(kernel), false).status)
        };
        let (ok, lacking) = (FacilityStatus::Ok, FacilityStatus::Lacking);
        assert_eq!(judge(u64::MAX, "5.10.0"), [ok; 6]);
        assert_eq!(judge(0, "5.10.0"), [lacking; 6]);
        assert_eq!(judge(0, "5.11.0"), [lacking, lacking, lacking, lacking, ok, lacking]);
        assert_eq!(judge(1 << SYS_ADMIN, "5.10.0"), [ok, ok, lacking, ok, lacking, lacking]);
        assert_eq!(CAPABILITIES[0].judge(None, None, true).status, FacilityStatus::Unknown);
    }

    #[test]
    fn releases_begin_with_two_numbers() {
        assert_eq!(version("6.18.44-fc-v657"), Some([6, 18]));
        assert_eq!(version("5.10-rc1"), Some([5, 10]));
        assert_eq!(version("linux"), None);
    }

    #[test]
    fn the_mode_of_lockdown_is_in_brackets() {
        assert_eq!(mode("none [integrity] confidentiality\n"), Some("integrity"));
        assert_eq!(mode("none integrity\n"), None);
    }
}
