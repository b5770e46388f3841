//! TCP sockets as scenarios use them: never blocking, every wait with a deadline, every refusal an
//! errno.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr},
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use nix::poll::PollFlags;
use socket2::{Domain, Protocol, Socket, Type};

use super::ready::wait_ready;
use crate::model::{Errno, Family};

/// Why a socket did not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SocketError {
    /// The kernel's answer.
    #[error("{0}")]
    Errno(Errno),
    /// Nothing happened in time.
    #[error("{0} did not happen within its deadline")]
    Deadline(&'static str),
    /// The peer sent less than was asked for, and then its FIN.
    #[error("the peer closed after {0} bytes")]
    EndOfStream(usize),
}

impl SocketError {
    /// The kernel's answer, where it gave one.
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
        // Every error here comes from a system call; std makes none of its own for these.
        Self::Errno(Errno::of(&error).unwrap_or(Errno(nix::errno::Errno::EIO as i32)))
    }
}

/// The result of a socket operation.
pub type Result<T> = std::result::Result<T, SocketError>;

/// A TCP socket that never blocks.
#[derive(Debug)]
pub struct Tcp(pub(super) Socket);

impl Tcp {
    /// A socket in the calling thread's network namespace.
    ///
    /// # Errors
    /// The kernel has no such family, or no descriptor is left.
    pub fn new(family: Family) -> Result<Self> {
        let domain = match family {
            Family::Ipv4 => Domain::IPV4,
            Family::Ipv6 => Domain::IPV6,
        };
        Ok(Self(Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))?))
    }

    /// A socket of `local`'s family with SO_REUSEADDR and SO_REUSEPORT, bound to `local`.
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

    /// A listener on `local`, with SO_REUSEADDR and SO_REUSEPORT.
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

    /// Begins to connect: one connect(2), in which EINPROGRESS is success. [`Tcp::outcome`] waits for
    /// the rest.
    ///
    /// # Errors
    /// What the kernel refuses at once: EISCONN, EALREADY, EADDRNOTAVAIL, ENETUNREACH…
    pub fn begin_connect(&self, remote: SocketAddr) -> Result<()> {
        match self.0.connect(&remote.into()) {
            Err(error) if Errno::of(&error) == Some(Errno::EINPROGRESS) => Ok(()),
            result => Ok(result?),
        }
    }

    /// Waits until a connection that was begun is made or refused.
    ///
    /// # Errors
    /// SO_ERROR (ECONNREFUSED, ECONNRESET, ETIMEDOUT…), the deadline, or ENOTCONN where none was begun.
    pub fn outcome(&self, deadline: Instant) -> Result<()> {
        self.wait("the end of connect", PollFlags::POLLOUT, deadline)?;
        self.pending_error()?;
        // To Linux a non-blocking socket is still connecting (SS_CONNECTING) until a connect(2) has
        // returned 0. Collected here, so that the next one gives EISCONN as on any connected socket.
        match self.0.connect(&self.0.peer_addr()?) {
            Err(error) if Errno::of(&error) == Some(Errno::EISCONN) => Ok(()),
            result => Ok(result?),
        }
    }

    /// Connects, and waits for the outcome.
    ///
    /// # Errors
    /// Those of [`Tcp::begin_connect`] and [`Tcp::outcome`].
    pub fn connect(&self, remote: SocketAddr, deadline: Instant) -> Result<()> {
        self.begin_connect(remote)?;
        self.outcome(deadline)
    }

    /// Accepts the next connection.
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

    /// Writes all of `bytes`. A write to a connection that the peer has reset gives EPIPE, never SIGPIPE.
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
    /// recv(2)'s, the deadline, or the end of the stream before that.
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

    /// Reads what is there, once there is something; 0 after the peer's FIN.
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

    /// Makes close(2) reset the connection: SO_LINGER with a time of zero.
    ///
    /// # Errors
    /// setsockopt(2)'s.
    pub fn reset_on_close(&self) -> Result<()> {
        Ok(self.0.set_linger(Some(Duration::ZERO))?)
    }

    /// The local address: getsockname(2).
    ///
    /// # Errors
    /// getsockname(2)'s.
    pub fn local(&self) -> Result<SocketAddr> {
        Ok(self.0.local_addr()?.as_socket().expect("a TCP socket has an IP address"))
    }

    /// The peer's address: getpeername(2).
    ///
    /// # Errors
    /// getpeername(2)'s.
    pub fn remote(&self) -> Result<SocketAddr> {
        Ok(self.0.peer_addr()?.as_socket().expect("a TCP socket has an IP address"))
    }

    /// The socket's identity over its whole life (SO_COOKIE), which the kernel's reports carry too.
    ///
    /// # Errors
    /// ENOPROTOOPT before Linux 4.12.
    pub fn cookie(&self) -> Result<u64> {
        Ok(self.0.cookie()?)
    }

    /// Tries `operation` until it is no longer EAGAIN, waiting for `events` in between.
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
    fn a_connection_carries_bytes_and_ends() {
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
    fn refusals_are_errnos() {
        let mute = Tcp::new(Family::Ipv4).unwrap();
        mute.bind(ANY_PORT).unwrap();
        let closed = mute.local().unwrap();
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
    fn a_wait_ends_with_its_deadline() {
        let listener = Tcp::listening(ANY_PORT).unwrap();
        let before = Instant::now();
        let error = listener.accept(before + Duration::from_millis(20)).unwrap_err();
        assert_eq!(error, SocketError::Deadline("a connection to accept"));
        assert!(before.elapsed() >= Duration::from_millis(20));
    }
}
