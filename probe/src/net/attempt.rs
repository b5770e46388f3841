//! Single system calls on a socket, for what each of them says: none waits for anything, unless it says so.

use std::{
    io::{Read as _, Write as _},
    net::SocketAddr,
};

use nix::libc;
use socket2::SockRef;

use super::{Tcp, socket::Result};

impl Tcp {
    /// One connect(2).
    ///
    /// # Errors
    /// EINPROGRESS where the connection has only been begun, EALREADY, EISCONN, and what became of an earlier one.
    pub fn connect_once(&self, remote: SocketAddr) -> Result<()> {
        Ok(SockRef::from(self).connect(&remote.into())?)
    }

    /// One connect(2) that waits for its outcome, as on a socket that blocks.
    ///
    /// # Errors
    /// EINTR after a signal, EINPROGRESS after SO_SNDTIMEO; else the connection's own.
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
    /// EAGAIN where no connection waits; EINVAL where the socket does not listen.
    pub fn accept_once(&self) -> Result<()> {
        Ok(SockRef::from(self).accept().map(drop)?)
    }

    /// One read(2).
    ///
    /// # Errors
    /// EAGAIN where there is nothing to read; recv(2)'s.
    pub fn read_once(&self, into: &mut [u8]) -> Result<usize> {
        Ok((&*SockRef::from(self)).read(into)?)
    }

    /// One write(2).
    ///
    /// # Errors
    /// EAGAIN where there is no room, or no connection yet; EPIPE, without a signal.
    pub fn write_once(&self, bytes: &[u8]) -> Result<usize> {
        Ok((&*SockRef::from(self)).write(bytes)?)
    }

    /// Connects with `bytes` in the SYN: sendto(2) with MSG_FASTOPEN (RFC 7413).
    ///
    /// # Errors
    /// EOPNOTSUPP where `tcp_fastopen` forbids it; EINPROGRESS where there is no cookie yet for this server, so that
    /// nothing was sent but a request for one; connect(2)'s.
    pub fn fast_open(&self, bytes: &[u8], remote: SocketAddr) -> Result<usize> {
        Ok(SockRef::from(self).send_to_with_flags(bytes, &remote.into(), libc::MSG_FASTOPEN)?)
    }
}
