//! The TCP sockets of a namespace, as `ss` lists them.

use std::{io, sync::Arc, time::Duration};

use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use nix::libc;

use super::{
    inet_diag::{Answer, Request},
    netlink::Channel,
};
use crate::model::{DiagEntry, Endpoints, Family, Owner, Protocol, State};

/// The kernel does not list its sockets.
#[derive(Debug, thiserror::Error)]
#[error("listing {} sockets by sock_diag: {cause}; this needs {}", .protocol.name(), needed(*.protocol))]
pub struct SockDiagError {
    protocol: Protocol,
    cause: io::Error,
}

/// What the kernel must have been built with.
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
    /// The id of the cgroup that it was made in; `None` for a mini-socket, and before Linux 5.8.
    pub cgroup: Option<u64>,
    /// How long a mini-socket has left; `None` for any other.
    pub expires: Option<Duration>,
    /// Segments it has received; `None` for one that is no full socket, or where nobody asked.
    pub segs_in: Option<u32>,
}

impl DiagSocket {
    /// The socket as the model has it.
    pub(super) fn listed(&self, netns: u32, owner: Arc<Owner>) -> DiagEntry {
        DiagEntry {
            cookie: self.cookie,
            netns,
            protocol: self.protocol,
            family: self.family,
            ends: self.ends,
            state: self.state,
            owner,
            expires: self.expires,
        }
    }
}

/// A way to ask for the sockets of one namespace, from any thread.
///
/// As long as it is open, it keeps the namespace alive.
pub struct SockDiag(Channel);

impl SockDiag {
    /// Opens one for the calling thread's namespace.
    ///
    /// # Errors
    /// No netlink socket for sock_diag.
    pub fn open() -> Result<Self, SockDiagError> {
        let channel = Channel::open(NETLINK_SOCK_DIAG);
        Ok(Self(channel.map_err(|cause| SockDiagError { protocol: Protocol::Tcp, cause })?))
    }

    /// Lists all sockets of a protocol, IPv4 before IPv6; none of a protocol that this kernel does not have.
    ///
    /// One that is only bound, to be seen in CLOSE, is listed since Linux 6.8; older kernels have it in no
    /// table that they walk. One that changes its table meanwhile may come twice, and the later one holds.
    ///
    /// # Errors
    /// The kernel has no sock_diag for the protocol.
    pub fn all(&mut self, protocol: Protocol) -> Result<Vec<DiagSocket>, SockDiagError> {
        self.list(protocol, |family| Request::all(protocol, family, false))
    }

    /// The same, one after the other.
    pub(super) fn each(
        &mut self,
        protocol: Protocol,
        each: impl FnMut(DiagSocket),
    ) -> Result<(), SockDiagError> {
        self.visit(protocol, |family| Request::all(protocol, family, false), each)
    }

    /// Lists the TCP and MPTCP sockets with this local port, in the same way. (The kernel sifts them, in the
    /// time that it takes to walk its table.)
    ///
    /// # Errors
    /// The kernel has no sock_diag for TCP.
    pub fn with_local_port(&mut self, port: u16) -> Result<Vec<DiagSocket>, SockDiagError> {
        let mut ask = |protocol| {
            self.list(protocol, |family| Request::all(protocol, family, false).with_local_port(port))
        };
        let mut sockets = ask(Protocol::Tcp)?;
        // Without sock_diag for MPTCP its subflows still are in the list.
        sockets.extend(ask(Protocol::Mptcp).unwrap_or_default());
        sockets.retain(|socket| socket.ends.local.port_or_zero() == port);
        Ok(sockets)
    }

    /// The one TCP socket with exactly these ends, by the kernel's own lookup, which takes microseconds. It
    /// does not find one that is bound to a device (`idiag_if` is not known here).
    ///
    /// # Errors
    /// The kernel has no sock_diag for TCP.
    pub fn one(&mut self, family: Family, ends: Endpoints) -> Result<Option<DiagSocket>, SockDiagError> {
        match self.0.get::<_, Answer>(Request::one(family, ends)) {
            Ok(answer) => {
                let found = answer.and_then(|answer| socket(Protocol::Tcp, &answer));
                // Where there is none, the kernel goes on to the listener.
                Ok(found.filter(|socket| socket.ends == ends))
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

/// Lists all TCP sockets of the calling thread's namespace, IPv4 before IPv6, with the segments that each
/// has received. A socket that is only bound does not appear, as on kernels before Linux 6.8, so that a
/// scenario shows the same on all of them.
///
/// # Errors
/// The kernel has no sock_diag for TCP.
pub fn tcp_sockets() -> Result<Vec<DiagSocket>, SockDiagError> {
    let request = |family| Request::all(Protocol::Tcp, family, true);
    let mut sockets = SockDiag::open()?.list(Protocol::Tcp, request)?;
    sockets.retain(|socket| socket.state != State::Close);
    Ok(sockets)
}

/// One answer; `None` for a state that no kernel of today has.
fn socket(protocol: Protocol, answer: &Answer) -> Option<DiagSocket> {
    Some(DiagSocket {
        protocol,
        family: answer.family(),
        ends: answer.ends(),
        state: answer.state()?,
        uid: answer.uid(),
        inode: (answer.inode() != 0).then_some(answer.inode()),
        cookie: answer.cookie(),
        cgroup: answer.cgroup,
        expires: answer.expires_ms().map(|ms| Duration::from_millis(ms.into())),
        segs_in: answer.segs_in,
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
