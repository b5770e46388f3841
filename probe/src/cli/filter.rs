//! Which sockets are meant, as it is typed.

use std::ffi::OsString;

use clap::{
    Args,
    builder::{OsStringValueParser, PossibleValuesParser, TypedValueParser},
};
use ipnet::IpNet;

use super::value;
use crate::model::{Family, Name, PortRange, Protocol};

/// Which sockets are meant.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Filters")]
pub struct FilterArgs {
    /// Sockets of this process, by its id on the host
    #[arg(long, value_name = "PID", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..))]
    pub pid: Vec<u32>,
    /// Sockets of processes of this name, as `ps -o comm` has it
    #[arg(long, value_name = "NAME", value_parser = OsStringValueParser::new().try_map(value::comm))]
    pub comm: Vec<Name>,
    /// This port at either end, or one of a range such as 8000-8999
    #[arg(long, value_name = "PORT", value_delimiter = ',', value_parser = value::ports)]
    pub port: Vec<PortRange>,
    /// This port at this host's end
    #[arg(long, value_name = "PORT", value_delimiter = ',', value_parser = value::ports)]
    pub local_port: Vec<PortRange>,
    /// This port at the other end
    #[arg(long, value_name = "PORT", value_delimiter = ',', value_parser = value::ports)]
    pub remote_port: Vec<PortRange>,
    /// This address at either end, or one of a network such as 10.0.0.0/8
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = value::network)]
    pub addr: Vec<IpNet>,
    /// This network namespace, by a path, its inode number, or the id of a process in it
    #[arg(long, value_name = "NETNS")]
    pub netns: Vec<OsString>,
    /// Sockets of processes in this cgroup or below, by its path or its id
    #[arg(long, value_name = "CGROUP")]
    pub cgroup: Vec<OsString>,
    /// IPv4 or IPv6; a v4-mapped connection is an IPv6 socket's
    #[arg(long, value_name = "FAMILY", value_delimiter = ',', value_parser = family())]
    pub family: Vec<Family>,
    /// TCP with MPTCP's subflows, or the MPTCP sockets above them
    #[arg(long, value_name = "PROTOCOL", value_delimiter = ',', value_parser = protocol())]
    pub protocol: Vec<Protocol>,
}

fn family() -> impl TypedValueParser<Value = Family> {
    PossibleValuesParser::new(["4", "6"]).map(|name| match name.as_str() {
        "4" => Family::Ipv4,
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
