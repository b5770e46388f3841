//! What this kernel was built with and how it is set, as far as TCP's behaviour depends on it.

use std::{
    fs::File,
    io::{self, Read as _},
};

use flate2::read::GzDecoder;
use nix::sys::utsname::uname;

use super::{Namespace, host, sysctl};
use crate::model::{Backend, KernelFacts};

/// The options that decide what TCP does, and what of it can be seen.
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

/// The sysctls on which behaviours depend. Those whose default follows the machine's memory are not among them.
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

/// What is known of the running kernel. What cannot be read is left unknown.
#[must_use]
pub fn facts(backend: Backend) -> KernelFacts {
    let host = host::facts();
    KernelFacts {
        kernel: host.kernel,
        arch: host.arch,
        backend,
        config: config().ok().map(|text| options(&text)),
        sysctls: sysctls(),
    }
}

/// Whether the running kernel was built with an option, or has it as a module; `None` where it does not show its options.
#[must_use]
pub fn has_option(name: &str) -> Option<bool> {
    config().ok().map(|text| value(&text, name).is_some())
}

/// The text of the configuration that the kernel was built with, from itself or from beside its image.
fn config() -> io::Result<String> {
    let mut text = String::new();
    match File::open("/proc/config.gz") {
        Ok(file) => GzDecoder::new(file).read_to_string(&mut text)?,
        Err(_) => {
            let release = uname()?.release().to_string_lossy().into_owned();
            File::open(format!("/boot/config-{release}"))?.read_to_string(&mut text)?
        }
    };
    Ok(text)
}

/// The value of each option in the text.
fn options(text: &str) -> Vec<(String, Option<String>)> {
    OPTIONS.iter().map(|option| ((*option).to_owned(), value(text, option))).collect()
}

/// The value of an option in the text: `CONFIG_TUN=m`; strings are in quotes there.
fn value(text: &str, option: &str) -> Option<String> {
    let set = text.lines().filter_map(|line| line.split_once('=')).find(|(name, _)| *name == option);
    set.map(|(_, value)| value.trim_matches('"').to_owned())
}

/// Each sysctl as behaviours find it: in a namespace of its own. Some stand in the first namespace alone.
fn sysctls() -> Vec<(String, Option<String>)> {
    let value = |name: &str| sysctl::text(name).ok();
    let read = || -> Vec<Option<String>> { SYSCTLS.iter().map(|name| value(name)).collect() };
    let inside = Namespace::private().and_then(|namespace| namespace.enter(read)).unwrap_or_default();
    SYSCTLS
        .iter()
        .enumerate()
        .map(|(place, name)| {
            let text = inside.get(place).cloned().flatten().or_else(|| value(name));
            // Two numbers have a tab between them.
            let words = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
            ((*name).to_owned(), text.map(words))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_found_by_their_whole_names() {
        let text = "# CONFIG_TCP_AO is not set\nCONFIG_TUN=m\nCONFIG_MPTCP=y\nCONFIG_HZ_250=y\nCONFIG_HZ=250\n\
                    CONFIG_DEFAULT_TCP_CONG=\"cubic\"\n";
        let options = options(text);
        let value = |name: &str| {
            options.iter().find(|(other, _)| other == name).expect("it is asked for").1.as_deref()
        };
        assert_eq!(value("CONFIG_TUN"), Some("m"));
        assert_eq!(value("CONFIG_HZ"), Some("250"));
        assert_eq!(value("CONFIG_DEFAULT_TCP_CONG"), Some("cubic"));
        assert_eq!(value("CONFIG_TCP_AO"), None);
        assert_eq!(value("CONFIG_MPTCP_IPV6"), None);
    }

    #[test]
    fn both_lists_are_in_order_and_name_nothing_twice() {
        for list in [OPTIONS, SYSCTLS] {
            assert!(list.is_sorted_by(|one, next| one < next), "{list:?}");
        }
    }

    #[test]
    #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
    fn what_one_namespace_is_set_to_is_not_what_a_new_one_has() {
        let range = |facts: &KernelFacts| {
            let named = facts.sysctls.iter().find(|(name, _)| name == "net.ipv4.ip_local_port_range");
            named.expect("it is asked for").1.clone()
        };
        let changed = Namespace::private().unwrap();
        let facts_there = changed
            .enter(|| {
                sysctl::IP_LOCAL_PORT_RANGE.write(&(40_000..=40_001)).unwrap();
                facts(Backend::TpBtf)
            })
            .unwrap();
        assert_eq!(range(&facts_there).as_deref(), Some("32768 60999"));
        assert_eq!(facts_there, facts(Backend::TpBtf));
    }
}
