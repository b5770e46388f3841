//! The TCP and MPTCP sockets of a network namespace, from sock_diag, as `ss` lists them.

use std::{io, sync::Arc, time::Duration};

use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use nix::libc;

use super::{
    inet_diag::{Answer, Request},
    netlink::Channel,
};
use crate::model::{
    AcceptQueue, BindOptions, DiagEntry, Endpoints, Family, Owner, Protocol, SocketIdentity, State,
};

/// sock_diag did not list the sockets.
#[derive(Debug, thiserror::Error)]
#[error("listing {} sockets with sock_diag: {cause}; this needs {}", .protocol.name(), needed(*.protocol))]
pub struct SockDiagError {
    protocol: Protocol,
    cause: io::Error,
}

/// The build option or module that provides sock_diag for the protocol.
fn needed(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "CONFIG_INET_TCP_DIAG, or its module tcp_diag",
        Protocol::Mptcp => "CONFIG_INET_MPTCP_DIAG, or its module mptcp_diag",
    }
}

/// A TCP or MPTCP socket: a full one, a half-open request (SYN_RECV) or a mini-socket (TIME_WAIT, or an
/// orphan's FIN_WAIT2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiagSocket {
    /// TCP or MPTCP.
    pub protocol: Protocol,
    /// The address family.
    pub family: Family,
    /// The local and the remote endpoint.
    pub endpoints: Endpoints,
    /// The state. Only sock_diag shows TIME_WAIT, and SYN_RECV of a request that waits for the handshake's final ACK.
    pub state: State,
    /// The uid of the socket's creator.
    pub uid: u32,
    /// The inode number on sockfs, as in /proc/PID/fd; `None` if no process holds the socket.
    pub inode: Option<u32>,
    /// The cookie (SO_COOKIE). A TIME_WAIT socket keeps that of its original socket.
    pub cookie: u64,
    /// The id of the cgroup that the socket was created in; `None` for a mini-socket, and before Linux 5.8.
    pub cgroup: Option<u64>,
    /// The remaining time of a mini-socket; `None` for a full socket.
    pub expires: Option<Duration>,
    /// Segments received; `None` for a mini-socket, or if not requested.
    pub segs_in: Option<u32>,
    /// The index of the device that it is bound to; 0 for none.
    pub device: u32,
    /// IPV6_V6ONLY of an IPv6 socket in LISTEN or CLOSE.
    pub v6_only: Option<bool>,
    /// The accept queue of a listener.
    pub queue: Option<AcceptQueue>,
}

impl DiagSocket {
    /// The entry of a socket list.
    #[must_use]
    pub fn entry(&self, netns: u32, owner: Arc<Owner>) -> DiagEntry {
        let identity =
            SocketIdentity { netns, protocol: self.protocol, family: self.family, endpoints: self.endpoints };
        let options = BindOptions {
            reuse_addr: None,
            reuse_port: None,
            v6_only: self.v6_only,
            device: Some(self.device),
            // That of a mini-socket reads as 0.
            uid: self.expires.is_none().then_some(self.uid),
        };
        DiagEntry {
            expires: self.expires,
            inode: self.inode,
            options,
            queue: self.queue,
            ..DiagEntry::new(self.cookie, identity, self.state, owner)
        }
    }
}

/// A netlink socket that lists the sockets of one namespace, from any thread.
///
/// It keeps the namespace alive while it is open.
pub struct SockDiag(Channel);

impl SockDiag {
    /// Opens it for the calling thread's namespace.
    ///
    /// # Errors
    /// The kernel has no NETLINK_SOCK_DIAG.
    pub fn open() -> Result<Self, SockDiagError> {
        let channel = Channel::open(NETLINK_SOCK_DIAG);
        Ok(Self(channel.map_err(|cause| SockDiagError { protocol: Protocol::Tcp, cause })?))
    }

    /// Lists all sockets of a protocol, IPv4 before IPv6.
    ///
    /// Bound-only sockets are listed, in CLOSE, since Linux 6.8; older kernels do not walk their table. A socket that moves
    /// between tables meanwhile may be listed twice; the later entry is right.
    ///
    /// # Errors
    /// The kernel has no sock_diag for the protocol.
    pub fn all(&mut self, protocol: Protocol) -> Result<Vec<DiagSocket>, SockDiagError> {
        self.list(protocol, |family| Request::all(protocol, family, false))
    }

    /// Like [`all`](Self::all), but calls `each` with every socket.
    pub(super) fn each(
        &mut self,
        protocol: Protocol,
        each: impl FnMut(DiagSocket),
    ) -> Result<(), SockDiagError> {
        self.visit(protocol, |family| Request::all(protocol, family, false), each)
    }

    /// Lists the TCP and MPTCP sockets with this local port like [`all`](Self::all). The kernel filters them while it walks
    /// its tables.
    ///
    /// # Errors
    /// The kernel has no sock_diag for TCP.
    pub fn with_local_port(&mut self, port: u16) -> Result<Vec<DiagSocket>, SockDiagError> {
        let mut list = |protocol| {
            self.list(protocol, |family| Request::all(protocol, family, false).with_local_port(port))
        };
        let mut sockets = list(Protocol::Tcp)?;
        // Without sock_diag for MPTCP, its subflows are still listed as TCP.
        sockets.extend(list(Protocol::Mptcp).unwrap_or_default());
        sockets.retain(|socket| socket.endpoints.local.port_or_zero() == port);
        Ok(sockets)
    }

    /// The TCP socket with exactly these endpoints, by the kernel's hash lookup, which takes microseconds. Does not find
    /// sockets bound to a device, since `idiag_if` is unknown here.
    ///
    /// # Errors
    /// The kernel has no sock_diag for TCP.
    pub fn one(&mut self, family: Family, endpoints: Endpoints) -> Result<Option<DiagSocket>, SockDiagError> {
        match self.0.get::<_, Answer>(Request::one(family, endpoints)) {
            Ok(answer) => {
                let found = answer.and_then(|answer| socket(Protocol::Tcp, &answer));
                // The kernel falls back to a listener.
                Ok(found.filter(|socket| socket.endpoints == endpoints))
            }
            Err(cause) if cause.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(cause) => Err(SockDiagError { protocol: Protocol::Tcp, cause }),
        }
    }

    fn list(
        &mut self,
        protocol: Protocol,
        request: impl Fn(Family) -> Request,
    ) -> Result<Vec<DiagSocket>, SockDiagError> {
        let mut sockets = Vec::new();
        self.visit(protocol, request, |socket| sockets.push(socket))?;
        Ok(sockets)
    }

    fn visit(
        &mut self,
        protocol: Protocol,
        request: impl Fn(Family) -> Request,
        mut each: impl FnMut(DiagSocket),
    ) -> Result<(), SockDiagError> {
        for family in [Family::Ipv4, Family::Ipv6] {
            self.0
                .dump(request(family), |answer: Answer| {
                    socket(protocol, &answer).into_iter().for_each(&mut each);
                })
                .map_err(|cause| SockDiagError { protocol, cause })?;
        }
        Ok(())
    }
}

/// Lists all TCP sockets of the calling thread's namespace, IPv4 before IPv6, with their received segments. Leaves out
/// bound-only sockets, as kernels before Linux 6.8 do, so that a scenario shows the same list on all kernels.
///
/// # Errors
/// The kernel has no sock_diag for TCP.
pub fn tcp_sockets() -> Result<Vec<DiagSocket>, SockDiagError> {
    let request = |family| Request::all(Protocol::Tcp, family, true);
    let mut sockets = SockDiag::open()?.list(Protocol::Tcp, request)?;
    sockets.retain(|socket| socket.state != State::Close);
    Ok(sockets)
}

/// Converts an answer; `None` for an unknown state.
fn socket(protocol: Protocol, answer: &Answer) -> Option<DiagSocket> {
    Some(DiagSocket {
        protocol,
        family: answer.family(),
        endpoints: answer.endpoints(),
        state: answer.state()?,
        uid: answer.uid(),
        inode: (answer.inode() != 0).then_some(answer.inode()),
        cookie: answer.cookie(),
        cgroup: answer.cgroup,
        expires: answer.expires_ms().map(|ms| Duration::from_millis(ms.into())),
        segs_in: answer.segs_in,
        device: answer.device(),
        v6_only: answer.v6_only,
        queue: answer.queue(),
    })
}

#[cfg(test)]
mod tests {
    use std::{
        net::{Shutdown, SocketAddr},
        time::{Duration, Instant},
    };

    use super::*;
    use crate::net::{Namespace, Tcp};

    /// The states of the sockets with this cookie.
    fn states(cookie: u64) -> Vec<State> {
        let all = tcp_sockets().unwrap();
        all.iter().filter(|socket| socket.cookie == cookie).map(|socket| socket.state).collect()
    }

    fn check_connection_from_listen_to_time_wait(address: &str) {
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
        let entry = all.iter().find(|socket| socket.cookie == cookie).unwrap();
        assert_eq!((entry.family, entry.state, entry.uid), (family, State::Established, 0));
        assert_eq!(entry.endpoints.remote, local.into());
        assert_eq!(entry.endpoints.local, client.local().unwrap().into());
        assert!(entry.inode.is_some());
        // Only the SYN+ACK.
        assert_eq!(entry.segs_in, Some(1));

        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(server.read_to_end(soon).unwrap(), b"");
        drop(server);
        assert_eq!(client.read_to_end(soon).unwrap(), b"");
        assert_eq!(states(cookie), [State::TimeWait]);
    }

    #[test]
    #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
    fn a_connection_is_listed_from_listen_to_time_wait() {
        let inside = Namespace::private().unwrap();
        inside.enter(|| check_connection_from_listen_to_time_wait("127.0.0.1")).unwrap();
        inside.enter(|| check_connection_from_listen_to_time_wait("::1")).unwrap();
    }
}
