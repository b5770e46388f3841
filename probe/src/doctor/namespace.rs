//! How each network namespace deals with ports, and how a person gets into it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path},
};

use super::ports;
use crate::{
    model::{PortRange, PortReach},
    net::{
        Namespace,
        namespaces::Namespaces,
        sysctl::{IP_LOCAL_PORT_RANGE, IP_LOCAL_RESERVED_PORTS},
    },
};

/// How a network namespace deals with ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports {
    /// `ip_local_port_range`
    pub range: PortRange,
    /// `ip_local_reserved_ports`
    pub reserved: Vec<PortRange>,
    /// What to put before a command so that it acts there: empty for this process's own namespace.
    pub within: String,
}

impl Ports {
    /// Whether the kernel may choose this port there, and for which call.
    pub fn reach(&self, port: u16) -> Option<PortReach> {
        PortReach::of(port, &self.range).filter(|_| !ports::holds(&self.reserved, port))
    }

    /// How many ports there are for it to choose from.
    pub fn choice(&self) -> usize {
        self.range.clone().filter(|port| self.reach(*port).is_some()).count()
    }

    /// The command that reserves these ports too.
    pub fn reserve(&self, more: &BTreeSet<u16>) -> String {
        let list = ports::merge(&self.reserved, more.iter().copied());
        format!("{}sysctl -w net.ipv4.ip_local_reserved_ports={}", self.within, ports::text(&list))
    }
}

/// The ports of every namespace that can be entered, by inode number.
pub fn ports(namespaces: &Namespaces) -> BTreeMap<u32, Ports> {
    let own = Namespace::host().ok().map(|namespace| namespace.inode());
    let ports = |namespace: Namespace| {
        let inode = namespace.inode();
        let within = if own == Some(inode) { String::new() } else { within(namespaces.way(inode)?) };
        let (range, reserved) = namespace.enter(settings).ok()??;
        Some((inode, Ports { range, reserved, within }))
    };
    namespaces.iter().filter_map(ports).collect()
}

/// Of the calling thread's namespace; `None` where /proc/sys does not tell.
fn settings() -> Option<(PortRange, Vec<PortRange>)> {
    Some((IP_LOCAL_PORT_RANGE.read().ok()??, IP_LOCAL_RESERVED_PORTS.read().ok()??))
}

/// What to put before a command, given a path to the namespace: by its name for `ip netns`, by a process, or
/// by the path.
fn within(way: &Path) -> String {
    let parts: Vec<_> = way.components().filter_map(normal).collect();
    match parts.as_slice() {
        ["run", "netns", name] if is_plain(name) => format!("ip netns exec {name} "),
        ["proc", pid, "ns", "net"] => format!("nsenter -t {pid} -n "),
        _ => format!("nsenter --net={} ", quoted(&way.to_string_lossy())),
    }
}

fn normal(component: Component<'_>) -> Option<&str> {
    match component {
        Component::Normal(name) => name.to_str(),
        _ => None,
    }
}

/// Whether a shell and its commands take the text for a name.
fn is_plain(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
    !text.starts_with('-') && text.chars().all(plain)
}

/// As a shell takes it.
fn quoted(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(way: &str, expected: &str) {
        assert_eq!(within(Path::new(way)), expected);
    }

    #[test]
    fn each_way_in_has_its_command() {
        check("/run/netns/blue", "ip netns exec blue ");
        check("/run/netns/cni-1b_2.x", "ip netns exec cni-1b_2.x ");
        check("/proc/4711/ns/net", "nsenter -t 4711 -n ");
        check("/proc/4711/task/4712/ns/net", "nsenter --net=/proc/4711/task/4712/ns/net ");
        check("/run/docker/netns/1234abcd", "nsenter --net=/run/docker/netns/1234abcd ");
    }

    #[test]
    fn a_hostile_name_runs_nothing() {
        check("/run/netns/a;reboot", "nsenter --net='/run/netns/a;reboot' ");
        check("/run/netns/$(x)'", r"nsenter --net='/run/netns/$(x)'\''' ");
        check("/run/netns/-x", "nsenter --net=/run/netns/-x ");
    }

    #[test]
    fn the_own_namespace_needs_no_way_in() {
        let ports = ports(&Namespaces::reachable());
        let own = ports.get(&Namespace::host().unwrap().inode()).unwrap();
        assert_eq!(own.within, "");
        assert!(own.range.start() <= own.range.end());
    }
}
