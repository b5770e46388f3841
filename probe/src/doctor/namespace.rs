//! The port settings of each network namespace, and the command that enters it.

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

/// The port settings of a network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports {
    /// `ip_local_port_range`
    pub range: PortRange,
    /// `ip_local_reserved_ports`
    pub reserved: Vec<PortRange>,
    /// The prefix that runs a command in the namespace, such as `ip netns exec blue `; empty for this process's own.
    pub enter: String,
}

impl Ports {
    /// Which call makes the kernel choose this port; `None` if none does.
    pub fn reach(&self, port: u16) -> Option<PortReach> {
        PortReach::of(port, &self.range).filter(|_| !ports::contains(&self.reserved, port))
    }

    /// How many ports the kernel may choose.
    pub fn available(&self) -> usize {
        self.range.clone().filter(|port| self.reach(*port).is_some()).count()
    }

    /// The command that reserves these ports in addition to those already reserved.
    pub fn reserve(&self, more: &BTreeSet<u16>) -> String {
        let list = ports::merge(&self.reserved, more.iter().copied());
        format!("{}sysctl -w net.ipv4.ip_local_reserved_ports={}", self.enter, ports::text(&list))
    }
}

/// The port settings of every namespace that can be entered, by inode number.
pub fn ports(namespaces: &Namespaces) -> BTreeMap<u32, Ports> {
    let own = Namespace::host().ok().map(|namespace| namespace.inode());
    let ports = |namespace: Namespace| {
        let inode = namespace.inode();
        let enter = if own == Some(inode) { String::new() } else { enter_command(namespaces.path(inode)?) };
        let (range, reserved) = namespace.enter(settings).ok()??;
        Some((inode, Ports { range, reserved, enter }))
    };
    namespaces.iter().filter_map(ports).collect()
}

/// The settings of the calling thread's namespace; `None` if /proc/sys cannot be read.
fn settings() -> Option<(PortRange, Vec<PortRange>)> {
    Some((IP_LOCAL_PORT_RANGE.read().ok()??, IP_LOCAL_RESERVED_PORTS.read().ok()??))
}

/// The prefix that runs a command in the namespace at this path: by its `ip netns` name, by a process in it, or by the
/// path.
fn enter_command(path: &Path) -> String {
    let parts: Vec<_> = path.components().filter_map(normal).collect();
    match parts.as_slice() {
        ["run", "netns", name] if is_plain(name) => format!("ip netns exec {name} "),
        ["proc", pid, "ns", "net"] => format!("nsenter -t {pid} -n "),
        _ => format!("nsenter --net={} ", quoted(&path.to_string_lossy())),
    }
}

fn normal(component: Component<'_>) -> Option<&str> {
    match component {
        Component::Normal(name) => name.to_str(),
        _ => None,
    }
}

/// Whether a shell takes the text literally, and a command does not take it for a flag.
fn is_plain(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
    !text.starts_with('-') && text.chars().all(plain)
}

/// Quotes the text for a shell.
fn quoted(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: &str) {
        assert_eq!(enter_command(Path::new(path)), expected);
    }

    #[test]
    fn a_path_becomes_the_shortest_command_that_enters() {
        check("/run/netns/blue", "ip netns exec blue ");
        check("/run/netns/cni-1b_2.x", "ip netns exec cni-1b_2.x ");
        check("/proc/4711/ns/net", "nsenter -t 4711 -n ");
        check("/proc/4711/task/4712/ns/net", "nsenter --net=/proc/4711/task/4712/ns/net ");
        check("/run/docker/netns/1234abcd", "nsenter --net=/run/docker/netns/1234abcd ");
    }

    #[test]
    fn shell_metacharacters_are_quoted() {
        check("/run/netns/a;reboot", "nsenter --net='/run/netns/a;reboot' ");
        check("/run/netns/$(x)'", r"nsenter --net='/run/netns/$(x)'\''' ");
        check("/run/netns/-x", "nsenter --net=/run/netns/-x ");
    }

    #[test]
    fn the_own_namespace_needs_no_command() {
        let ports = ports(&Namespaces::reachable());
        let own = ports.get(&Namespace::host().unwrap().inode()).unwrap();
        assert_eq!(own.enter, "");
        assert!(own.range.start() <= own.range.end());
    }
}
