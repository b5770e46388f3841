//! The generator's network namespace: loopback only, a wide port range, and no TIME_WAIT.

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

/// Sysctls below /proc/sys/net, set in this namespace only. Without TIME_WAIT a port is free as soon as its
/// connection has closed, so that the last connection of a run meets the same conditions as the first. The
/// tracepoint reports FIN_WAIT2→CLOSE either way.
const SYSCTLS: [(&str, &str); 3] = [
    ("ipv4/ip_local_port_range", "16384 65535"),
    ("ipv4/tcp_max_tw_buckets", "0"),
    // A tracer may slow down handshakes; that must not trigger SYN cookies.
    ("ipv4/tcp_syncookies", "0"),
];

/// Moves this process into a new network namespace. Call it before starting threads.
pub fn enter() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNET).context("unshare(CLONE_NEWNET)")?;
    for (name, value) in SYSCTLS {
        let path = Path::new("/proc/sys/net").join(name);
        fs::write(&path, value).with_context(|| format!("could not write {value} to {}", path.display()))?;
    }
    loopback_up().context("could not bring up the loopback device")
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
