//! What is said of the machine in every stream.

use std::{fs, os::unix::fs::MetadataExt as _};

use nix::sys::utsname::uname;

use super::{clock, sysctl};
use crate::model::Host;

/// The running host. What cannot be read is left unknown.
#[must_use]
pub fn facts() -> Host {
    let name = uname().ok();
    let text = |pick: fn(&nix::sys::utsname::UtsName) -> &std::ffi::OsStr| {
        name.as_ref().map(|name| pick(name).to_string_lossy().into_owned()).unwrap_or_default()
    };
    Host {
        kernel: text(|name| name.release()),
        arch: text(|name| name.machine()),
        hostname: text(|name| name.nodename()),
        clock: clock::calendar(),
        ready_at: clock::now(),
        netns: fs::metadata("/proc/thread-self/ns/net").ok().and_then(|own| u32::try_from(own.ino()).ok()),
        ephemeral: sysctl::IP_LOCAL_PORT_RANGE.read().ok().flatten(),
    }
}

/// The first two numbers of a kernel's release.
#[must_use]
pub fn version(release: &str) -> Option<[u32; 2]> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some([numbers.next()?.ok()?, numbers.next()?.ok()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_begin_with_two_numbers() {
        assert_eq!(version("6.18.44-fc-v657"), Some([6, 18]));
        assert_eq!(version("5.10-rc1"), Some([5, 10]));
        assert_eq!(version("linux"), None);
    }

    #[test]
    fn the_running_host_has_a_kernel_and_a_clock() {
        let host = facts();
        assert!(!host.kernel.is_empty() && !host.arch.is_empty());
        assert!(host.clock.realtime_offset_ns > 0);
        assert!(host.netns.is_some());
        assert!(host.ephemeral.is_some_and(|range| range.start() <= range.end()));
    }
}
