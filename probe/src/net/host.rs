//! Facts about this host and its kernel, for the first line of a stream and for profiles.

use std::{fs, os::unix::fs::MetadataExt as _};

use nix::sys::utsname::uname;

use super::{Namespace, sysctl};
use crate::{
    model::{Backend, Host, KernelFacts},
    os::{clock, kernel::Config},
};

/// The build options that decide what TCP does, and how much of it probe can observe.
const OPTIONS: &[&str] = &[
    "CONFIG_BPF_SYSCALL",
    "CONFIG_DEBUG_INFO_BTF",
    "CONFIG_DEFAULT_TCP_CONG",
    "CONFIG_HZ",
    "CONFIG_INET_DIAG",
    "CONFIG_INET_DIAG_DESTROY",
    "CONFIG_IPV6",
    "CONFIG_MPTCP",
    "CONFIG_MPTCP_IPV6",
    "CONFIG_NET_NS",
    "CONFIG_SYN_COOKIES",
    "CONFIG_TCP_AO",
    "CONFIG_TCP_MD5SIG",
    "CONFIG_TCP_SIMULT_CONNECT_DEFAULT_ON",
    "CONFIG_TUN",
];

/// The sysctls that behaviours depend on, without those whose default depends on the machine's memory.
const SYSCTLS: &[&str] = &[
    "net.core.somaxconn",
    "net.ipv4.ip_autobind_reuse",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_port_step_width",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_nonlocal_bind",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_abort_on_overflow",
    "net.ipv4.tcp_challenge_ack_limit",
    "net.ipv4.tcp_congestion_control",
    "net.ipv4.tcp_ecn",
    "net.ipv4.tcp_fastopen",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_invalid_ratelimit",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_migrate_req",
    "net.ipv4.tcp_orphan_retries",
    "net.ipv4.tcp_retries1",
    "net.ipv4.tcp_retries2",
    "net.ipv4.tcp_rfc1337",
    "net.ipv4.tcp_rto_max_ms",
    "net.ipv4.tcp_rto_min_us",
    "net.ipv4.tcp_sack",
    "net.ipv4.tcp_simult_connect",
    "net.ipv4.tcp_syn_linear_timeouts",
    "net.ipv4.tcp_syn_retries",
    "net.ipv4.tcp_synack_retries",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_timestamps",
    "net.ipv4.tcp_tw_reuse",
    "net.ipv4.tcp_tw_reuse_delay",
    "net.ipv4.tcp_window_scaling",
    "net.mptcp.enabled",
];

/// The running host, and the network namespace and ephemeral port range of the calling thread. What cannot be read is
/// empty or `None`.
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

/// The running kernel, with the build options and sysctls that behaviours depend on. What cannot be read is `None`.
#[must_use]
pub fn kernel_facts(backend: Backend) -> KernelFacts {
    let host = facts();
    KernelFacts {
        kernel: host.kernel,
        arch: host.arch,
        backend,
        config: Config::read().ok().map(|config| options(&config)),
        sysctls: sysctls(),
    }
}

fn options(config: &Config) -> Vec<(String, Option<String>)> {
    OPTIONS.iter().map(|option| ((*option).to_owned(), config.value(option))).collect()
}

/// Each sysctl as a new network namespace has it, since that is where behaviours run. Some exist only in the initial
/// namespace and are read there.
fn sysctls() -> Vec<(String, Option<String>)> {
    let value = |name: &str| sysctl::text(name).ok();
    let read = || -> Vec<Option<String>> { SYSCTLS.iter().map(|name| value(name)).collect() };
    let inside = Namespace::private().and_then(|namespace| namespace.enter(read)).unwrap_or_default();
    SYSCTLS
        .iter()
        .enumerate()
        .map(|(index, name)| {
            let text = inside.get(index).cloned().flatten().or_else(|| value(name));
            // The kernel separates two numbers by a tab.
            let words = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
            ((*name).to_owned(), text.map(words))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_host_has_a_kernel_and_a_clock() {
        let host = facts();
        assert!(!host.kernel.is_empty() && !host.arch.is_empty());
        assert!(host.clock.realtime_offset_ns > 0);
        assert!(host.netns.is_some());
        assert!(host.ephemeral.is_some_and(|range| range.start() <= range.end()));
    }

    #[test]
    fn options_and_sysctls_are_sorted_and_unique() {
        for list in [OPTIONS, SYSCTLS] {
            assert!(list.is_sorted_by(|one, next| one < next), "{list:?}");
        }
    }

    #[test]
    #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
    fn kernel_facts_hold_the_sysctls_of_a_new_namespace() {
        let range = |facts: &KernelFacts| {
            let mut sysctls = facts.sysctls.iter();
            sysctls.find(|(name, _)| name == "net.ipv4.ip_local_port_range").unwrap().1.clone()
        };
        let changed = Namespace::private().unwrap();
        let facts_there = changed
            .enter(|| {
                sysctl::IP_LOCAL_PORT_RANGE.write(&(40_000..=40_001)).unwrap();
                kernel_facts(Backend::TpBtf)
            })
            .unwrap();
        assert_eq!(range(&facts_there).as_deref(), Some("32768 60999"));
        assert_eq!(facts_there, kernel_facts(Backend::TpBtf));
    }
}
