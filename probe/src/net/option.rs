//! Options and calls of TCP sockets that bring about what ordinary programs rarely see.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
    time::{Duration, Instant},
};

use nix::{libc, poll::PollFlags};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use super::{
    ready::wait_ready,
    socket::{Result, SocketError, Tcp},
};
use crate::model::{Errno, Family, State};

impl Tcp {
    /// An MPTCP socket (RFC 8684) in the calling thread's network namespace.
    ///
    /// # Errors
    /// EPROTONOSUPPORT: this kernel was built without CONFIG_MPTCP. ENOPROTOOPT: `net.mptcp.enabled` is 0.
    pub fn multipath(family: Family) -> Result<Self> {
        let domain = if family == Family::Ipv4 { Domain::IPV4 } else { Domain::IPV6 };
        Ok(Self(Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::MPTCP))?))
    }

    /// Lets a listener take data in SYNs, and so many children at once whose handshake has not ended: `TCP_FASTOPEN`,
    /// tcp(7).
    ///
    /// # Errors
    /// setsockopt(2)'s.
    pub fn fast_open_queue(&self, length: i32) -> Result<()> {
        self.set(libc::IPPROTO_TCP, libc::TCP_FASTOPEN, length)
    }

    /// Lets the socket be put into a state without the peer's knowing: `TCP_REPAIR`, for checkpoint and restore.
    ///
    /// # Errors
    /// EPERM: this needs CAP_NET_ADMIN. ENOPROTOOPT: this kernel was built without CONFIG_CHECKPOINT_RESTORE.
    pub fn repair(&self) -> Result<()> {
        self.set(libc::IPPROTO_TCP, libc::TCP_REPAIR, 1)
    }

    /// Leaves the choice of a port to connect(2), where bind(2) names an address alone: `IP_BIND_ADDRESS_NO_PORT`, ip(7).
    ///
    /// # Errors
    /// setsockopt(2)'s.
    pub fn bind_address_no_port(&self) -> Result<()> {
        self.set(libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1)
    }

    /// Keeps an IPv6 socket from IPv4: `IPV6_V6ONLY`, ipv6(7).
    ///
    /// # Errors
    /// setsockopt(2)'s.
    pub fn only_v6(&self) -> Result<()> {
        Ok(SockRef::from(self).set_only_v6(true)?)
    }

    /// Sets how long a call that blocks may take to send, or to connect: `SO_SNDTIMEO`, socket(7).
    ///
    /// # Errors
    /// setsockopt(2)'s.
    pub fn send_timeout(&self, time: Duration) -> Result<()> {
        Ok(SockRef::from(self).set_write_timeout(Some(time))?)
    }

    /// Lets a listener's child come into being only when data arrives, or after so many seconds:
    /// `TCP_DEFER_ACCEPT`, tcp(7).
    ///
    /// # Errors
    /// setsockopt(2)'s.
    pub fn defer_accept(&self, seconds: i32) -> Result<()> {
        self.set(libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, seconds)
    }

    /// Sets how many seconds an orphan stays in FIN_WAIT2; below zero it does not stay at all: `TCP_LINGER2`, tcp(7).
    ///
    /// # Errors
    /// setsockopt(2)'s.
    pub fn linger_in_fin_wait2(&self, seconds: i32) -> Result<()> {
        self.set(libc::IPPROTO_TCP, libc::TCP_LINGER2, seconds)
    }

    /// Probes an idle connection after `pause`, that often, with as much time in between: `SO_KEEPALIVE`, socket(7), and
    /// `TCP_KEEPIDLE`, `TCP_KEEPINTVL`, `TCP_KEEPCNT`, tcp(7). The kernel counts whole seconds.
    ///
    /// # Errors
    /// setsockopt(2)'s.
    pub fn keep_alive(&self, pause: Duration, probes: u32) -> Result<()> {
        let how = TcpKeepalive::new().with_time(pause).with_interval(pause).with_retries(probes);
        Ok(SockRef::from(self).set_tcp_keepalive(&how)?)
    }

    /// Sets how long data may stay without its ACK: `TCP_USER_TIMEOUT`, tcp(7).
    ///
    /// # Errors
    /// setsockopt(2)'s.
    pub fn user_timeout(&self, time: Duration) -> Result<()> {
        Ok(SockRef::from(self).set_tcp_user_timeout(Some(time))?)
    }

    /// Ends the connection and makes the socket ready for another: connect(2) to `AF_UNSPEC`.
    ///
    /// # Errors
    /// connect(2)'s.
    #[expect(unsafe_code, reason = "neither std, socket2 nor nix has an address without a family")]
    pub fn disconnect(&self) -> Result<()> {
        let nobody = libc::sockaddr { sa_family: 0, sa_data: [0; 14] };
        let length = libc::socklen_t::try_from(size_of_val(&nobody)).expect("sixteen");
        // SAFETY: the address is `length` bytes long and outlives the call, which only reads it.
        let result = unsafe { libc::connect(self.as_fd().as_raw_fd(), &raw const nobody, length) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error().into()) }
    }

    /// Takes the error that is pending: `SO_ERROR`, socket(7).
    ///
    /// # Errors
    /// That error.
    pub fn pending_error(&self) -> Result<()> {
        self.settle();
        SockRef::from(self).take_error()?.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Waits until nothing is being done to the socket: `TCP_INFO` takes its lock, and `SO_ERROR` does not. The kernel
    /// wakes up who waits for an error before it changes the state (`tcp_write_err`, `tcp_reset`): to take the error in
    /// between would take it from the report of that change.
    fn settle(&self) {
        // There is nothing to wait for in a socket that cannot be asked.
        let _ = self.state();
    }

    /// The state, by `TCP_INFO`, tcp(7).
    ///
    /// # Errors
    /// getsockopt(2)'s.
    #[expect(unsafe_code, reason = "neither socket2 nor nix reads TCP_INFO")]
    pub fn state(&self) -> Result<State> {
        // `tcpi_state` is the first byte, and the kernel fills as much as there is room for.
        let mut state = 0_u8;
        let mut length: libc::socklen_t = 1;
        // SAFETY: the kernel writes at most `length` bytes, which is what `state` holds.
        let result = unsafe {
            libc::getsockopt(
                self.as_fd().as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_INFO,
                (&raw mut state).cast(),
                &raw mut length,
            )
        };
        if result != 0 {
            return Err(io::Error::last_os_error().into());
        }
        State::from_kernel(state).ok_or(SocketError::Errno(Errno::EINVAL))
    }

    /// Waits until there is data to read, or the peer's FIN, and leaves it there.
    ///
    /// # Errors
    /// poll(2)'s, or the deadline.
    pub fn readable(&self, deadline: Instant) -> Result<()> {
        let ready = wait_ready(self.as_fd(), PollFlags::POLLIN, deadline)?;
        if ready { Ok(()) } else { Err(SocketError::Deadline("data to read")) }
    }

    /// A second descriptor for the same socket, as fork(2) and dup(2) make them.
    ///
    /// # Errors
    /// No descriptor is left.
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
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn a_socket_that_was_disconnected_connects_again() {
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
