//! The namespace in which connections are made: loopback alone, ports for all of them, and no TIME_WAIT.

use std::{fs, io, path::Path};

use anyhow::{Context as _, Result};
use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkFlags, LinkMessage},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::{
    net::if_::if_nametoindex,
    sched::{CloneFlags, unshare},
};

/// Below /proc/sys/net, of this namespace alone. Without TIME_WAITs a port is free as soon as its connection
/// has ended, so that the last connection of a run finds what the first one found. The transitions are the
/// same: FIN_WAIT2 goes to CLOSE, as the tracepoint sees it, either way.
const SYSCTLS: [(&str, &str); 3] = [
    ("ipv4/ip_local_port_range", "16384 65535"),
    ("ipv4/tcp_max_tw_buckets", "0"),
    // A tracer may slow a handshake down; no SYN is answered by a cookie for that.
    ("ipv4/tcp_syncookies", "0"),
];

/// Moves this process into a new namespace. To be called before there are other threads.
pub fn enter() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNET).context("unshare(CLONE_NEWNET)")?;
    for (name, value) in SYSCTLS {
        let path = Path::new("/proc/sys/net").join(name);
        fs::write(&path, value).with_context(|| format!("could not write {value} to {}", path.display()))?;
    }
    loopback_up().context("could not bring the loopback device up")
}

fn loopback_up() -> io::Result<()> {
    let mut link = LinkMessage::default();
    link.header.index = if_nametoindex("lo")?;
    link.header.flags = LinkFlags::Up;
    link.header.change_mask = LinkFlags::Up;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_ACK;
    let mut request =
        NetlinkMessage::new(header, NetlinkPayload::InnerMessage(RouteNetlinkMessage::SetLink(link)));
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    let socket = Socket::new(NETLINK_ROUTE)?;
    socket.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;
    let (answer, _) = socket.recv_from_full()?;
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer).map_err(io::Error::other)?;
    match answer.payload {
        NetlinkPayload::Error(error) if error.code.is_some() => Err(error.to_io()),
        _ => Ok(()),
    }
}
