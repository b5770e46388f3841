//! The filter flags of `trace` and `replay`.

use std::ffi::OsString;

use clap::{
    Args,
    builder::{OsStringValueParser, PossibleValue, PossibleValuesParser, TypedValueParser},
};
use ipnet::IpNet;

use super::value;
use crate::model::{Family, Name, PortRange, Protocol};

/// Which sockets to match. Values of one flag are alternatives; different flags must all match.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Filters")]
pub struct FilterArgs {
    /// Sockets owned by this process (thread group id in the initial pid namespace)
    #[arg(long, value_name = "PID", value_delimiter = ',', value_parser = value::pid)]
    pub pid: Vec<u32>,
    /// Sockets owned by processes with this name, as shown by `ps -o comm`
    #[arg(long, value_name = "NAME", value_parser = OsStringValueParser::new().try_map(value::comm))]
    pub comm: Vec<Name>,
    /// Local or remote port, or a range such as 8000-8999
    #[arg(long, value_name = "PORT", value_delimiter = ',', value_parser = value::ports)]
    pub port: Vec<PortRange>,
    /// Local port or range
    #[arg(long, value_name = "PORT", value_delimiter = ',', value_parser = value::ports)]
    pub local_port: Vec<PortRange>,
    /// Remote port or range
    #[arg(long, value_name = "PORT", value_delimiter = ',', value_parser = value::ports)]
    pub remote_port: Vec<PortRange>,
    /// Local or remote address, or a network such as 10.0.0.0/8
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = value::network)]
    pub addr: Vec<IpNet>,
    /// Network namespace: a name of `ip netns`, a path, an inode number, or the pid of a process in it; `replay` takes only
    /// inode numbers
    #[arg(long, value_name = "NETNS")]
    pub netns: Vec<OsString>,
    /// Sockets of processes in this cgroup (v2) or below it: a path or an id
    #[arg(long, value_name = "CGROUP")]
    pub cgroup: Vec<OsString>,
    /// Address family of the socket; a v4-mapped connection belongs to an IPv6 socket
    #[arg(long, value_name = "FAMILY", value_delimiter = ',', value_parser = family())]
    pub family: Vec<Family>,
    /// TCP sockets, MPTCP subflows included, or MPTCP connection sockets
    #[arg(long, value_name = "PROTOCOL", value_delimiter = ',', value_parser = protocol())]
    pub protocol: Vec<Protocol>,
}

fn family() -> impl TypedValueParser<Value = Family> {
    let names = [
        PossibleValue::new("4").aliases(["ipv4", "inet"]),
        PossibleValue::new("6").aliases(["ipv6", "inet6"]),
    ];
    PossibleValuesParser::new(names).map(|name| match name.as_str() {
        "4" | "ipv4" | "inet" => Family::Ipv4,
        _ => Family::Ipv6,
    })
}

fn protocol() -> impl TypedValueParser<Value = Protocol> {
    let names = [Protocol::Tcp, Protocol::Mptcp].map(Protocol::name);
    PossibleValuesParser::new(names).map(|name| match name.as_str() {
        "tcp" => Protocol::Tcp,
        _ => Protocol::Mptcp,
    })
}
