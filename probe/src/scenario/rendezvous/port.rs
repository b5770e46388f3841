//! Binding to the agreed port, and who is in the way.

use std::net::SocketAddr;

use crate::{
    model::{Errno, Family},
    net::{SocketError, Tcp},
    scenario::{StepError, occupant::occupant},
};

/// Why the agreed port is not to be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// EADDRNOTAVAIL: the address is another host's, or nobody's.
    #[error(
        "this host has no address {}: --local is this end's (`ip address` lists what there is; behind a NAT, the \
         inner one)",
        .0.ip()
    )]
    NotHere(SocketAddr),
    /// EADDRINUSE: another socket has the port.
    #[error("{local} is in use{by}: end that, or agree on another port")]
    InUse {
        /// The address and port.
        local: SocketAddr,
        /// What is known of the other socket, after a comma.
        by: String,
    },
    /// Anything else that bind(2) or socket(2) refuse with.
    #[error(
        "binding to {local}: {cause}; a port below net.ipv4.ip_unprivileged_port_start needs CAP_NET_BIND_SERVICE"
    )]
    Other {
        /// The address and port.
        local: SocketAddr,
        /// The answer.
        cause: SocketError,
    },
}

impl From<BindError> for StepError {
    fn from(error: BindError) -> Self {
        Self::Unsupported(error.to_string())
    }
}

/// A socket of the calling thread's namespace, bound to the address and port.
///
/// It has SO_REUSEADDR, so that the TIME_WAIT of an earlier rendezvous, which had it too, leaves the port
/// free: for the same peer as well, where both ends use timestamps (`tcp_twsk_unique`).
///
/// # Errors
/// [`BindError`] says why the port is not to be had.
pub fn bind(local: SocketAddr) -> Result<Tcp, BindError> {
    let family = if local.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
    let made = Tcp::new(family).and_then(|socket| {
        socket.reuse_address()?;
        socket.bind(local)?;
        Ok(socket)
    });
    made.map_err(|cause| match cause.errno() {
        Some(Errno::EADDRNOTAVAIL) => BindError::NotHere(local),
        Some(Errno::EADDRINUSE) => BindError::InUse { local, by: occupant(local) },
        _ => BindError::Other { local, cause },
    })
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, process::id};

    use super::*;

    #[test]
    fn who_has_the_port_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let error = bind(listener.local_addr().unwrap()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&format!("[{}] in LISTEN", id())), "{text}");
    }

    #[test]
    fn another_hosts_address_is_no_place_to_bind() {
        // TEST-NET-1 (RFC 5737): nobody's.
        let elsewhere = "192.0.2.1:1314".parse().unwrap();
        assert_eq!(bind(elsewhere).unwrap_err(), BindError::NotHere(elsewhere));
    }

    #[test]
    fn a_port_can_be_had_again() {
        let local = bind("127.0.0.1:0".parse().unwrap()).unwrap().local().unwrap();
        drop(bind(local).unwrap());
        bind(local).unwrap();
    }
}
