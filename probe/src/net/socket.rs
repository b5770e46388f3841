//! TCP sockets for scenarios: non-blocking, every wait has a deadline, every error is an errno.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{Shutdown, SocketAddr},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    time::{Duration, Instant},
};

use nix::{libc, poll::PollFlags};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use super::ready::wait_ready;
use crate::model::{Errno, Family, State};

/// Why a socket operation failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SocketError {
    /// The system call's error.
    #[error("{0}")]
    Errno(Errno),
    /// The deadline passed.
    #[error("{0} did not happen within its deadline")]
    Deadline(&'static str),
    /// The peer sent its FIN after fewer bytes than requested.
    #[error("the peer closed after {0} bytes")]
    EndOfStream(usize),
}

impl SocketError {
    /// The system call's error, if there is one.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Errno(errno) => Some(*errno),
            Self::Deadline(_) | Self::EndOfStream(_) => None,
        }
    }
}

impl From<io::Error> for SocketError {
    fn from(error: io::Error) -> Self {
        // Every error here comes from a system call and has an errno.
        Self::Errno(Errno::of(&error).unwrap_or(Errno(nix::errno::Errno::EIO as i32)))
    }
}

/// The result of a socket operation.
pub type Result<T> = std::result::Result<T, SocketError>;

/// Counters of a socket by their names in `struct tcp_info`, without the prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketCounters {
    /// Segments retransmitted.
    pub total_retrans: u32,
    /// Bytes that the peer has acknowledged, with those of the SYN and the FIN.
    pub bytes_acked: u64,
    /// Bytes received in order, with that of the FIN.
    pub bytes_received: u64,
    /// Segments sent.
    pub segs_out: u32,
    /// Segments received.
    pub segs_in: u32,
    /// Payload bytes that were handed to a device, whatever it did with them.
    pub bytes_sent: u64,
    /// Those that were handed to it again, as retransmissions.
    pub bytes_retrans: u64,
}

/// A non-blocking TCP socket.
#[derive(Debug)]
pub struct Tcp(pub(super) Socket);

impl Tcp {
    /// Creates a socket in the calling thread's network namespace.
    ///
    /// # Errors
    /// EAFNOSUPPORT, or EMFILE.
    pub fn new(family: Family) -> Result<Self> {
        let domain = match family {
            Family::Ipv4 => Domain::IPV4,
            Family::Ipv6 => Domain::IPV6,
        };
        Ok(Self(Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))?))
    }

    /// Creates a socket of `local`'s family with SO_REUSEADDR and SO_REUSEPORT, bound to `local`.
    ///
    /// # Errors
    /// bind(2)'s.
    pub fn bound(local: SocketAddr) -> Result<Self> {
        let family = if local.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
        let socket = Self::new(family)?;
        socket.reuse_address()?;
        socket.reuse_port()?;
        socket.bind(local)?;
        Ok(socket)
    }

    /// Creates a listener on `local` with SO_REUSEADDR and SO_REUSEPORT.
    ///
    /// # Errors
    /// bind(2)'s and listen(2)'s.
    pub fn listening(local: SocketAddr) -> Result<Self> {
        let socket = Self::bound(local)?;
        socket.listen(128)?;
        Ok(socket)
    }

    /// Sets SO_REUSEADDR.
    ///
    /// # Errors
    /// setsockopt(2)'s.
    pub fn reuse_address(&self) -> Result<()> {
        Ok(self.0.set_reuse_address(true)?)
    }

    /// Sets SO_REUSEPORT.
    ///
    /// # Errors
    /// setsockopt(2)'s.
    pub fn reuse_port(&self) -> Result<()> {
        Ok(self.0.set_reuse_port(true)?)
    }

    /// bind(2).
    ///
    /// # Errors
    /// EADDRINUSE, EADDRNOTAVAIL, EACCES, EINVAL.
    pub fn bind(&self, local: SocketAddr) -> Result<()> {
        Ok(self.0.bind(&local.into())?)
    }

    /// listen(2).
    ///
    /// # Errors
    /// EADDRINUSE, EINVAL.
    pub fn listen(&self, backlog: i32) -> Result<()> {
        Ok(self.0.listen(backlog)?)
    }

    /// Starts to connect: one connect(2), for which EINPROGRESS is success. [`Tcp::outcome`] waits for the result.
    ///
    /// # Errors
    /// Immediate errors of connect(2): EISCONN, EALREADY, EADDRNOTAVAIL, ENETUNREACH…
    pub fn begin_connect(&self, remote: SocketAddr) -> Result<()> {
        match self.0.connect(&remote.into()) {
            Err(error) if Errno::of(&error) == Some(Errno::EINPROGRESS) => Ok(()),
            result => Ok(result?),
        }
    }

    /// Waits until a started connect succeeds or fails.
    ///
    /// # Errors
    /// SO_ERROR (ECONNREFUSED, ECONNRESET, ETIMEDOUT…), the deadline, or ENOTCONN if none was started.
    pub fn outcome(&self, deadline: Instant) -> Result<()> {
        self.wait("the end of connect", PollFlags::POLLOUT, deadline)?;
        self.pending_error()?;
        // Linux keeps a non-blocking socket in SS_CONNECTING until a connect(2) returns 0. This call collects that, so that
        // the next one fails with EISCONN as on any connected socket.
        match self.0.connect(&self.0.peer_addr()?) {
            Err(error) if Errno::of(&error) == Some(Errno::EISCONN) => Ok(()),
            result => Ok(result?),
        }
    }

    /// Connects and waits for the result.
    ///
    /// # Errors
    /// Those of [`Tcp::begin_connect`] and [`Tcp::outcome`].
    pub fn connect(&self, remote: SocketAddr, deadline: Instant) -> Result<()> {
        self.begin_connect(remote)?;
        self.outcome(deadline)
    }

    /// Waits for a connection and accepts it.
    ///
    /// # Errors
    /// accept(2)'s, or the deadline.
    pub fn accept(&self, deadline: Instant) -> Result<Self> {
        self.when_ready("a connection to accept", PollFlags::POLLIN, deadline, || {
            let (socket, _) = self.0.accept()?;
            socket.set_nonblocking(true)?;
            Ok(Self(socket))
        })
    }

    /// Writes all of `bytes`. A write after the peer's RST fails with EPIPE and sends no SIGPIPE.
    ///
    /// # Errors
    /// send(2)'s, or the deadline.
    pub fn write_all(&self, mut bytes: &[u8], deadline: Instant) -> Result<()> {
        while !bytes.is_empty() {
            let sent =
                self.when_ready("room to write", PollFlags::POLLOUT, deadline, || (&self.0).write(bytes))?;
            bytes = &bytes[sent..];
        }
        Ok(())
    }

    /// Reads exactly `count` bytes.
    ///
    /// # Errors
    /// recv(2)'s, the deadline, or the peer's FIN before `count` bytes.
    pub fn read_exact(&self, count: usize, deadline: Instant) -> Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        let mut filled = 0;
        while filled < count {
            match self.read(&mut bytes[filled..], deadline)? {
                0 => return Err(SocketError::EndOfStream(filled)),
                received => filled += received,
            }
        }
        Ok(bytes)
    }

    /// Reads until the peer's FIN.
    ///
    /// # Errors
    /// recv(2)'s, or the deadline.
    pub fn read_to_end(&self, deadline: Instant) -> Result<Vec<u8>> {
        let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
        loop {
            match self.read(&mut chunk, deadline)? {
                0 => return Ok(bytes),
                received => bytes.extend_from_slice(&chunk[..received]),
            }
        }
    }

    /// Waits for data and reads what is available; 0 after the peer's FIN.
    ///
    /// # Errors
    /// recv(2)'s, or the deadline.
    pub fn read(&self, into: &mut [u8], deadline: Instant) -> Result<usize> {
        self.when_ready("data to read", PollFlags::POLLIN, deadline, || (&self.0).read(into))
    }

    /// shutdown(2).
    ///
    /// # Errors
    /// ENOTCONN.
    pub fn shutdown(&self, how: Shutdown) -> Result<()> {
        Ok(self.0.shutdown(how)?)
    }

    /// Makes close(2) send a RST: SO_LINGER with a timeout of zero.
    ///
    /// # Errors
    /// setsockopt(2)'s.
    pub fn reset_on_close(&self) -> Result<()> {
        Ok(self.0.set_linger(Some(Duration::ZERO))?)
    }

    /// The local endpoint.
    ///
    /// # Errors
    /// getsockname(2)'s.
    pub fn local(&self) -> Result<SocketAddr> {
        Ok(self.0.local_addr()?.as_socket().expect("a TCP socket has an IP address"))
    }

    /// The peer's endpoint.
    ///
    /// # Errors
    /// getpeername(2)'s.
    pub fn remote(&self) -> Result<SocketAddr> {
        Ok(self.0.peer_addr()?.as_socket().expect("a TCP socket has an IP address"))
    }

    /// The socket cookie (SO_COOKIE), which identifies the socket in the kernel's reports.
    ///
    /// # Errors
    /// ENOPROTOOPT before Linux 4.12.
    pub fn cookie(&self) -> Result<u64> {
        Ok(self.0.cookie()?)
    }

    /// One connect(2).
    ///
    /// # Errors
    /// EINPROGRESS if the connect continues, EALREADY, EISCONN, and the error of an earlier connect.
    pub fn connect_once(&self, remote: SocketAddr) -> Result<()> {
        Ok(SockRef::from(self).connect(&remote.into())?)
    }

    /// One blocking connect(2).
    ///
    /// # Errors
    /// EINTR after a signal, EINPROGRESS after SO_SNDTIMEO, or those of the connection.
    pub fn connect_blocking(&self, remote: SocketAddr) -> Result<()> {
        let socket = SockRef::from(self);
        socket.set_nonblocking(false)?;
        let connected = socket.connect(&remote.into());
        socket.set_nonblocking(true)?;
        Ok(connected?)
    }

    /// One accept(2).
    ///
    /// # Errors
    /// EAGAIN if no connection is queued; EINVAL if the socket does not listen.
    pub fn accept_once(&self) -> Result<()> {
        Ok(SockRef::from(self).accept().map(drop)?)
    }

    /// One write(2).
    ///
    /// # Errors
    /// EAGAIN if the send buffer is full or there is no connection yet; EPIPE, without SIGPIPE.
    pub fn write_once(&self, bytes: &[u8]) -> Result<usize> {
        Ok((&*SockRef::from(self)).write(bytes)?)
    }

    /// Connects with `bytes` in the SYN: sendto(2) with MSG_FASTOPEN (RFC 7413).
    ///
    /// # Errors
    /// EOPNOTSUPP if `tcp_fastopen` forbids it; EINPROGRESS if there is no cookie for this server yet, so that the SYN only
    /// requests one; connect(2)'s.
    pub fn fast_open(&self, bytes: &[u8], remote: SocketAddr) -> Result<usize> {
        Ok(SockRef::from(self).send_to_with_flags(bytes, &remote.into(), libc::MSG_FASTOPEN)?)
    }

    /// Creates an MPTCP socket (RFC 8684) in the calling thread's network namespace.
    ///
    /// # Errors
    /// EPROTONOSUPPORT: this kernel was built without CONFIG_MPTCP. ENOPROTOOPT: `net.mptcp.enabled` is 0.
    pub fn multipath(family: Family) -> Result<Self> {
        let domain = if family == Family::Ipv4 { Domain::IPV4 } else { Domain::IPV6 };
        Ok(Self(Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::MPTCP))?))
    }

    /// Lets a listener accept data in SYNs, with at most `length` children whose handshake is not complete: `TCP_FASTOPEN`,
    /// tcp(7).
    ///
    /// # Errors
    /// setsockopt(2)'s.
    pub fn fast_open_queue(&self, length: i32) -> Result<()> {
        self.set(libc::IPPROTO_TCP, libc::TCP_FASTOPEN, length)
    }

    /// Puts the socket into repair mode, in which its state changes without segments: `TCP_REPAIR`, for checkpoint and
    /// restore.
    ///
    /// # Errors
    /// EPERM: this needs CAP_NET_ADMIN. ENOPROTOOPT: this kernel was built without CONFIG_CHECKPOINT_RESTORE.
    pub fn repair(&self) -> Result<()> {
        self.set(libc::IPPROTO_TCP, libc::TCP_REPAIR, 1)
    }

    /// Makes bind(2) with port 0 leave the choice of a port to connect(2): `IP_BIND_ADDRESS_NO_PORT`, ip(7).
    ///
    /// # Errors
    /// setsockopt(2)'s.
    pub fn bind_address_no_port(&self) -> Result<()> {
        self.set(libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1)
    }

    /// Restricts an IPv6 socket to IPv6: `IPV6_V6ONLY`, ipv6(7).
    ///
    /// # Errors
    /// setsockopt(2)'s.
    pub fn only_v6(&self) -> Result<()> {
        Ok(SockRef::from(self).set_only_v6(true)?)
    }

    /// Sets the timeout of blocking send(2) and connect(2) calls: `SO_SNDTIMEO`, socket(7).
    ///
    /// # Errors
    /// setsockopt(2)'s.
    pub fn send_timeout(&self, time: Duration) -> Result<()> {
        Ok(SockRef::from(self).set_write_timeout(Some(time))?)
    }

    /// Makes a listener create a child only when data arrives, or after `seconds`: `TCP_DEFER_ACCEPT`, tcp(7).
    ///
    /// # Errors
    /// setsockopt(2)'s.
    pub fn defer_accept(&self, seconds: i32) -> Result<()> {
        self.set(libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, seconds)
    }

    /// Sets how many seconds an orphan stays in FIN_WAIT2; negative for not at all: `TCP_LINGER2`, tcp(7).
    ///
    /// # Errors
    /// setsockopt(2)'s.
    pub fn linger_in_fin_wait2(&self, seconds: i32) -> Result<()> {
        self.set(libc::IPPROTO_TCP, libc::TCP_LINGER2, seconds)
    }

    /// Probes an idle connection after `interval`, `probes` times with that interval in between: `SO_KEEPALIVE`, socket(7),
    /// and `TCP_KEEPIDLE`, `TCP_KEEPINTVL`, `TCP_KEEPCNT`, tcp(7). The kernel counts whole seconds.
    ///
    /// # Errors
    /// setsockopt(2)'s.
    pub fn keep_alive(&self, interval: Duration, probes: u32) -> Result<()> {
        let how = TcpKeepalive::new().with_time(interval).with_interval(interval).with_retries(probes);
        Ok(SockRef::from(self).set_tcp_keepalive(&how)?)
    }

    /// Sets how long data may stay unacknowledged: `TCP_USER_TIMEOUT`, tcp(7).
    ///
    /// # Errors
    /// setsockopt(2)'s.
    pub fn user_timeout(&self, time: Duration) -> Result<()> {
        Ok(SockRef::from(self).set_tcp_user_timeout(Some(time))?)
    }

    /// Closes the connection and makes the socket reusable: connect(2) to `AF_UNSPEC`.
    ///
    /// # Errors
    /// connect(2)'s.
    #[expect(unsafe_code, reason = "neither std, socket2 nor nix has an address without a family")]
    pub fn disconnect(&self) -> Result<()> {
        let unspecified = libc::sockaddr { sa_family: 0, sa_data: [0; 14] };
        let length = libc::socklen_t::try_from(size_of_val(&unspecified)).expect("sixteen");
        // SAFETY: the address is `length` bytes long and outlives the call, which only reads it.
        let result = unsafe { libc::connect(self.as_fd().as_raw_fd(), &raw const unspecified, length) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error().into()) }
    }

    /// Returns and clears the pending error: `SO_ERROR`, socket(7).
    ///
    /// # Errors
    /// The pending error.
    pub fn pending_error(&self) -> Result<()> {
        self.wait_for_lock();
        SockRef::from(self).take_error()?.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Waits until the socket's lock is free: `TCP_INFO` takes it and `SO_ERROR` does not. The kernel wakes waiters for an
    /// error before it changes the state (`tcp_write_err`, `tcp_reset`); clearing the error in between would remove it from
    /// the report of that transition.
    fn wait_for_lock(&self) {
        // If TCP_INFO fails there is nothing to wait for.
        let _ = self.state();
    }

    /// The state, from `TCP_INFO`, tcp(7).
    ///
    /// # Errors
    /// getsockopt(2)'s.
    pub fn state(&self) -> Result<State> {
        // `tcpi_state` is the first byte, and the kernel copies no more than the buffer holds.
        let mut state = [0];
        self.copy_info(&mut state)?;
        State::from_kernel(state[0]).ok_or(SocketError::Errno(Errno::EINVAL))
    }

    /// The counters, from `TCP_INFO`, tcp(7); zeros for those that this kernel lacks.
    ///
    /// # Errors
    /// getsockopt(2)'s.
    pub fn counters(&self) -> Result<SocketCounters> {
        let mut info = [0; 216];
        self.copy_info(&mut info)?;
        let u32_at = |at| u32::from_ne_bytes(*info[at..].first_chunk().expect("within the structure"));
        let u64_at = |at| u64::from_ne_bytes(*info[at..].first_chunk().expect("within the structure"));
        Ok(SocketCounters {
            total_retrans: u32_at(100),
            bytes_acked: u64_at(120),
            bytes_received: u64_at(128),
            segs_out: u32_at(136),
            segs_in: u32_at(140),
            bytes_sent: u64_at(200),
            bytes_retrans: u64_at(208),
        })
    }

    /// Copies as much of `struct tcp_info` as fits and the kernel has.
    #[expect(unsafe_code, reason = "neither socket2 nor nix reads TCP_INFO")]
    fn copy_info(&self, into: &mut [u8]) -> Result<()> {
        let mut length = libc::socklen_t::try_from(into.len()).expect("a few hundred");
        // SAFETY: the kernel writes at most `length` bytes, which is what `into` holds.
        let result = unsafe {
            libc::getsockopt(
                self.as_fd().as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_INFO,
                into.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error().into()) }
    }

    /// Waits for data or the peer's FIN, without reading.
    ///
    /// # Errors
    /// poll(2)'s, or the deadline.
    pub fn readable(&self, deadline: Instant) -> Result<()> {
        let ready = wait_ready(self.as_fd(), PollFlags::POLLIN, deadline)?;
        if ready { Ok(()) } else { Err(SocketError::Deadline("data to read")) }
    }

    /// A second descriptor of the same socket: dup(2).
    ///
    /// # Errors
    /// EMFILE.
    pub fn duplicate(&self) -> Result<Self> {
        Ok(Self(self.0.try_clone()?))
    }

    #[expect(unsafe_code, reason = "neither socket2 nor nix has these options")]
    fn set(&self, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> Result<()> {
        let length = libc::socklen_t::try_from(size_of_val(&value)).expect("four");
        // SAFETY: the value is `length` bytes long and outlives the call, which only reads it.
        let result = unsafe {
            libc::setsockopt(self.as_fd().as_raw_fd(), level, name, (&raw const value).cast(), length)
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error().into()) }
    }

    /// Repeats `operation` while it fails with EAGAIN, waiting for `events` in between.
    fn when_ready<T>(
        &self,
        what: &'static str,
        events: PollFlags,
        deadline: Instant,
        mut operation: impl FnMut() -> io::Result<T>,
    ) -> Result<T> {
        loop {
            match operation() {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                result => return Ok(result?),
            }
            self.wait(what, events, deadline)?;
        }
    }

    fn wait(&self, what: &'static str, events: PollFlags, deadline: Instant) -> Result<()> {
        if wait_ready(self.0.as_fd(), events, deadline)? { Ok(()) } else { Err(SocketError::Deadline(what)) }
    }
}

impl AsFd for Tcp {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[test]
    fn a_connection_transfers_bytes_and_closes() {
        let listener = Tcp::listening(ANY_PORT).unwrap();
        let client = Tcp::new(Family::Ipv4).unwrap();
        client.connect(listener.local().unwrap(), soon()).unwrap();
        let server = listener.accept(soon()).unwrap();
        assert_ne!(server.cookie().unwrap(), client.cookie().unwrap());

        client.write_all(b"I love you.", soon()).unwrap();
        assert_eq!(server.read_exact(11, soon()).unwrap(), b"I love you.");
        client.write_all(b"bye", soon()).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(server.read_exact(4, soon()), Err(SocketError::EndOfStream(3)));
        server.write_all(b"and you", soon()).unwrap();
        drop(server);
        assert_eq!(client.read_to_end(soon()).unwrap(), b"and you");
    }

    #[test]
    fn errors_are_errnos() {
        let bound = Tcp::new(Family::Ipv4).unwrap();
        bound.bind(ANY_PORT).unwrap();
        let closed = bound.local().unwrap();
        let client = Tcp::new(Family::Ipv4).unwrap();
        assert_eq!(client.connect(closed, soon()).unwrap_err().errno(), Some(Errno::ECONNREFUSED));

        let listener = Tcp::listening(ANY_PORT).unwrap();
        let client = Tcp::new(Family::Ipv4).unwrap();
        client.connect(listener.local().unwrap(), soon()).unwrap();
        assert_eq!(client.begin_connect(closed), Err(SocketError::Errno(Errno::EISCONN)));
        let server = listener.accept(soon()).unwrap();
        server.reset_on_close().unwrap();
        drop(server);
        assert_eq!(client.read_exact(1, soon()), Err(SocketError::Errno(Errno::ECONNRESET)));
        assert_eq!(client.write_all(b"x", soon()), Err(SocketError::Errno(Errno::EPIPE)));
    }

    #[test]
    fn a_wait_ends_at_its_deadline() {
        let listener = Tcp::listening(ANY_PORT).unwrap();
        let before = Instant::now();
        let error = listener.accept(before + Duration::from_millis(20)).unwrap_err();
        assert_eq!(error, SocketError::Deadline("a connection to accept"));
        assert!(before.elapsed() >= Duration::from_millis(20));
    }

    #[test]
    fn a_disconnected_socket_can_connect_again() {
        let soon = Instant::now() + Duration::from_secs(5);
        let listener = Tcp::listening(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        listener.defer_accept(0).unwrap();
        let address = listener.local().unwrap();
        let client = Tcp::new(Family::Ipv4).unwrap();
        for timeout in [1, 2] {
            client.connect(address, soon).unwrap();
            assert_eq!(client.state(), Ok(State::Established));
            client.user_timeout(Duration::from_secs(timeout)).unwrap();
            client.keep_alive(Duration::from_secs(timeout), 1).unwrap();
            client.linger_in_fin_wait2(-1).unwrap();
            client.disconnect().unwrap();
            assert_eq!(client.state(), Ok(State::Close));
            assert_eq!(client.pending_error(), Err(SocketError::Errno(Errno::ECONNRESET)));
            assert_eq!(client.pending_error(), Ok(()));
        }
    }
}
