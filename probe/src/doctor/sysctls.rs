//! The settings that decide what the tool sees, in the calling thread's network namespace.

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
    /// Whether every kernel has it.
    everywhere: bool,
}

const fn setting(name: &'static str, decides: &'static str) -> Setting {
    Setting { name, decides, everywhere: true }
}

const SETTINGS: [Setting; 11] = [
    setting("net.ipv4.ip_local_port_range", "the ports that connect, and bind to port 0, choose from"),
    setting(
        "net.ipv4.ip_local_reserved_ports",
        "those of them that neither chooses: the remedy for self-connects by accident",
    ),
    setting(
        "net.ipv4.ip_unprivileged_port_start",
        "bind below it needs CAP_NET_BIND_SERVICE, or gets EACCES",
    ),
    setting(
        "net.ipv4.tcp_tw_reuse",
        "whether connect takes over a port in TIME_WAIT: 0 never, 1 always, 2 on loopback",
    ),
    setting(
        "net.ipv4.tcp_fin_timeout",
        "seconds that an orphan stays in FIN_WAIT2; TIME_WAIT always lasts 60",
    ),
    setting("net.ipv4.tcp_max_tw_buckets", "with so many in TIME_WAIT, further connections end without one"),
    setting(
        "net.ipv4.tcp_syn_retries",
        "how often a SYN is sent again before connect gets ETIMEDOUT: the longest SYN_SENT",
    ),
    setting(
        "net.core.somaxconn",
        "the longest queue of connections that wait for accept, whatever listen asks",
    ),
    setting(
        "net.ipv4.tcp_abort_on_overflow",
        "what a handshake's last ACK gets when that queue is full: 0 nothing, 1 an RST",
    ),
    setting(
        "net.ipv4.tcp_max_syn_backlog",
        "half-open connections, which no transition shows, before SYNs are dropped where there are no cookies",
    ),
    Setting {
        name: "net.ipv4.tcp_simult_connect",
        decides: "linux-hardened's: at 0 no connection opens simultaneously, and none to itself",
        everywhere: false,
    },
];

/// Each with its value.
pub fn facilities() -> Vec<Facility> {
    SETTINGS.iter().filter_map(Setting::look).collect()
}

impl Setting {
    /// `None` for one that this kernel lacks, as most do.
    fn look(&self) -> Option<Facility> {
        let subject = Subject { group: FacilityGroup::Sysctl, name: self.name, costs: self.decides };
        Some(match sysctl::text(self.name) {
            Ok(text) => subject.ok(value(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.everywhere => return None,
            Err(error) => subject.unknown(error.to_string()),
        })
    }
}

/// The kernel's text in one line.
fn value(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    if words.is_empty() { "none".to_owned() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FacilityStatus;

    #[test]
    fn every_kernel_has_all_but_one() {
        let seen = facilities();
        assert!(seen.len() >= SETTINGS.len() - 1);
        assert!(seen.iter().all(|facility| facility.status == FacilityStatus::Ok), "{seen:?}");
    }

    #[test]
    fn values_are_one_line() {
        assert_eq!(value("32768\t60999\n"), "32768 60999");
        assert_eq!(value("\n"), "none");
    }
}
