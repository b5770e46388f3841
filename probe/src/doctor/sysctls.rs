//! The sysctls that decide what a trace shows, in the calling thread's network namespace.

use std::io;

use super::Subject;
use crate::{
    model::{Facility, FacilityGroup},
    net::sysctl,
};

/// A sysctl, and what its value decides.
struct Setting {
    name: &'static str,
    decides: &'static str,
    /// Whether every kernel has it; if not, one without it is not reported.
    in_every_kernel: bool,
}

const fn setting(name: &'static str, decides: &'static str) -> Setting {
    Setting { name, decides, in_every_kernel: true }
}

const SETTINGS: [Setting; 11] = [
    setting(
        "net.ipv4.ip_local_port_range",
        "the ephemeral ports, from which connect and bind to port 0 choose",
    ),
    setting(
        "net.ipv4.ip_local_reserved_ports",
        "ephemeral ports that the kernel never chooses: the remedy for accidental self-connects",
    ),
    setting(
        "net.ipv4.ip_unprivileged_port_start",
        "bind to a port below it needs CAP_NET_BIND_SERVICE, or fails with EACCES",
    ),
    setting(
        "net.ipv4.tcp_tw_reuse",
        "whether connect may reuse a 4-tuple in TIME_WAIT: 0 never, 1 always, 2 on loopback",
    ),
    setting(
        "net.ipv4.tcp_fin_timeout",
        "seconds that an orphaned socket stays in FIN_WAIT2; TIME_WAIT always lasts 60",
    ),
    setting(
        "net.ipv4.tcp_max_tw_buckets",
        "the maximum number of TIME_WAIT sockets; beyond it, connections close without TIME_WAIT",
    ),
    setting(
        "net.ipv4.tcp_syn_retries",
        "SYN retransmissions before connect fails with ETIMEDOUT, which bounds SYN_SENT",
    ),
    setting("net.core.somaxconn", "the upper limit of every accept queue, whatever backlog listen requests"),
    setting(
        "net.ipv4.tcp_abort_on_overflow",
        "the answer to a handshake's final ACK when the accept queue is full: 0 none, 1 RST",
    ),
    setting(
        "net.ipv4.tcp_max_syn_backlog",
        "the maximum number of half-open connections; beyond it, the kernel drops SYNs if SYN cookies are off",
    ),
    Setting {
        name: "net.ipv4.tcp_simult_connect",
        decides: "linux-hardened only: 0 disables simultaneous open and self-connect",
        in_every_kernel: false,
    },
];

/// Each sysctl that this kernel has, with its value.
pub fn facilities() -> Vec<Facility> {
    SETTINGS.iter().filter_map(Setting::read).collect()
}

impl Setting {
    /// Reads it; `None` for one that this kernel does not have and need not have.
    fn read(&self) -> Option<Facility> {
        let subject = Subject { group: FacilityGroup::Sysctl, name: self.name, costs: self.decides };
        Some(match sysctl::text(self.name) {
            Ok(text) => subject.ok(value(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.in_every_kernel => return None,
            Err(error) => subject.unknown(error.to_string()),
        })
    }
}

/// The kernel's text on one line.
fn value(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    if words.is_empty() { "none".to_owned() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FacilityStatus;

    #[test]
    fn every_kernel_has_all_but_tcp_simult_connect() {
        let found = facilities();
        assert!(found.len() >= SETTINGS.len() - 1);
        assert!(found.iter().all(|facility| facility.status == FacilityStatus::Ok), "{found:?}");
    }

    #[test]
    fn a_value_is_one_line() {
        assert_eq!(value("32768\t60999\n"), "32768 60999");
        assert_eq!(value("\n"), "none");
    }
}
