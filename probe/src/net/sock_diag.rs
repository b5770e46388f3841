//! The TCP sockets of the calling thread's namespace, as `ss` lists them.

use std::{io, net::IpAddr};

use netlink_packet_sock_diag::{
    SockDiagMessage,
    constants::{AF_INET, AF_INET6, IPPROTO_TCP},
    inet::{ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags, nlas::Nla},
};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;

use super::netlink;
use crate::model::{Endpoint, Endpoints, Family, State};

/// The kernel does not list its sockets.
#[derive(Debug, thiserror::Error)]
#[error("listing TCP sockets by sock_diag: {0}; this needs CONFIG_INET_TCP_DIAG, or its module tcp_diag")]
pub struct SockDiagError(io::Error);

/// A TCP socket: a full one, a half-open request (SYN_RECV) or a TIME_WAIT mini-socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiagSocket {
    /// Its address family.
    pub family: Family,
    /// Both ends.
    pub ends: Endpoints,
    /// Its state. Only here do TIME_WAIT, and SYN_RECV for a request that no third ACK has answered, show.
    pub state: State,
    /// The user who made it.
    pub uid: u32,
    /// Its inode number on sockfs, which /proc/PID/fd names; `None` for one that no process holds.
    pub inode: Option<u32>,
    /// Its cookie (SO_COOKIE). A TIME_WAIT socket keeps that of the socket it was made from.
    pub cookie: u64,
    /// Segments it has received; `None` for one that is no full socket.
    pub segs_in: Option<u32>,
}

/// Where `tcpi_segs_in` begins in `struct tcp_info` (include/uapi/linux/tcp.h), since Linux 4.2.
const SEGS_IN: usize = 140;

/// Lists all TCP sockets of the calling thread's namespace, IPv4 before IPv6. Those in CLOSE are in no
/// table that the kernel could walk, so a socket that is only bound does not appear.
///
/// # Errors
/// The kernel has no sock_diag for TCP.
pub fn tcp_sockets() -> Result<Vec<DiagSocket>, SockDiagError> {
    let mut sockets = Vec::new();
    for (family, any) in [(AF_INET, SocketId::new_v4()), (AF_INET6, SocketId::new_v6())] {
        let request = InetRequest {
            family,
            protocol: IPPROTO_TCP,
            extensions: ExtensionFlags::INFO,
            states: StateFlags::all(),
            socket_id: any,
        };
        let answers = netlink::dump(NETLINK_SOCK_DIAG, SockDiagMessage::InetRequest(request));
        sockets.extend(answers.map_err(SockDiagError)?.into_iter().filter_map(|answer| match answer {
            SockDiagMessage::InetResponse(response) => socket(&response),
            _ => None,
        }));
    }
    Ok(sockets)
}

/// One answer; `None` for a state that no kernel of today has.
fn socket(InetResponse { header, nlas }: &InetResponse) -> Option<DiagSocket> {
    let id = &header.socket_id;
    let family = match id.source_address {
        IpAddr::V4(_) => Family::Ipv4,
        IpAddr::V6(_) => Family::Ipv6,
    };
    Some(DiagSocket {
        family,
        ends: Endpoints {
            local: Endpoint::new(id.source_address, id.source_port),
            remote: Endpoint::new(id.destination_address, id.destination_port),
        },
        state: State::from_kernel(header.state)?,
        uid: header.uid,
        inode: (header.inode != 0).then_some(header.inode),
        cookie: u64::from_ne_bytes(id.cookie),
        segs_in: nlas.iter().find_map(segs_in),
    })
}

fn segs_in(attribute: &Nla) -> Option<u32> {
    let Nla::TcpInfo(info) = attribute else { return None };
    let bytes = info.get(SEGS_IN..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use std::{
        net::{Shutdown, SocketAddr},
        time::{Duration, Instant},
    };

    use super::*;
    use crate::net::{Namespace, Tcp};

    /// The state of every socket that has this cookie.
    fn states(cookie: u64) -> Vec<State> {
        let all = tcp_sockets().unwrap();
        all.iter().filter(|socket| socket.cookie == cookie).map(|socket| socket.state).collect()
    }

    fn shows_a_connection_from_listen_to_time_wait(address: &str) {
        let local = SocketAddr::new(address.parse().unwrap(), 1314);
        let soon = Instant::now() + Duration::from_secs(5);
        let listener = Tcp::listening(local).unwrap();
        let family = if local.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
        let client = Tcp::new(family).unwrap();
        client.connect(local, soon).unwrap();
        let server = listener.accept(soon).unwrap();
        let cookie = client.cookie().unwrap();

        assert_eq!(states(listener.cookie().unwrap()), [State::Listen]);
        assert_eq!(states(server.cookie().unwrap()), [State::Established]);
        let all = tcp_sockets().unwrap();
        let row = all.iter().find(|socket| socket.cookie == cookie).unwrap();
        assert_eq!((row.family, row.state, row.uid), (family, State::Established, 0));
        assert_eq!(row.ends.remote, local.into());
        assert_eq!(row.ends.local, client.local().unwrap().into());
        assert!(row.inode.is_some());
        // The SYN+ACK, and nothing since.
        assert_eq!(row.segs_in, Some(1));

        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(server.read_to_end(soon).unwrap(), b"");
        drop(server);
        assert_eq!(client.read_to_end(soon).unwrap(), b"");
        assert_eq!(states(cookie), [State::TimeWait]);
    }

    #[test]
    #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
    fn a_connection_shows_from_listen_to_time_wait() {
        let inside = Namespace::private().unwrap();
        inside.enter(|| shows_a_connection_from_listen_to_time_wait("127.0.0.1")).unwrap();
        inside.enter(|| shows_a_connection_from_listen_to_time_wait("::1")).unwrap();
    }
}
