//! Binding to the agreed port, and why that fails.

use std::net::SocketAddr;

use crate::{
    model::{Errno, Family},
    net::{SocketError, Tcp},
    scenario::{StepError, port_holder::port_holder},
};

/// Why binding to the agreed port failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// EADDRNOTAVAIL: this host does not have the address.
    #[error(
        "this host has no address {}: --local must be an address of this host, as `ip address` lists them (behind a NAT, \
         the inner one)",
        .0.ip()
    )]
    NotHere(SocketAddr),
    /// EADDRINUSE: another socket has the port.
    #[error("{local} is in use{by}: close that socket, or agree on another port")]
    InUse {
        /// The address and port.
        local: SocketAddr,
        /// What is known of the other socket: `, held by …`, or empty.
        by: String,
    },
    /// Any other error of socket(2), setsockopt(2) or bind(2).
    #[error(
        "binding to {local}: {cause}; a port below net.ipv4.ip_unprivileged_port_start requires CAP_NET_BIND_SERVICE"
    )]
    Other {
        /// The address and port.
        local: SocketAddr,
        /// The error.
        cause: SocketError,
    },
}

impl From<BindError> for StepError {
    fn from(error: BindError) -> Self {
        Self::Unsupported(error.to_string())
    }
}

/// Creates a socket in the calling thread's namespace and binds it.
///
/// It sets SO_REUSEADDR, so that the TIME_WAIT of an earlier rendezvous, whose socket had set it too, does
/// not hold the port. With timestamps on both hosts, even the same peer can be connected to
/// (`tcp_twsk_unique`).
///
/// # Errors
/// The address is not this host's, the port is in use, or a call failed.
pub fn bind(local: SocketAddr) -> Result<Tcp, BindError> {
    let family = if local.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
    let socket = Tcp::new(family).and_then(|socket| {
        socket.reuse_address()?;
        socket.bind(local)?;
        Ok(socket)
    });
    socket.map_err(|cause| match cause.errno() {
        Some(Errno::EADDRNOTAVAIL) => BindError::NotHere(local),
        Some(Errno::EADDRINUSE) => BindError::InUse { local, by: port_holder(local) },
        _ => BindError::Other { local, cause },
    })
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, process::id};

    use super::*;

    #[test]
    fn the_holder_of_the_port_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let error = bind(listener.local_addr().unwrap()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&format!("[{}] in LISTEN", id())), "{text}");
    }

    #[test]
    fn binding_to_another_hosts_address_is_refused() {
        // TEST-NET-1 (RFC 5737) is assigned to no host.
        let elsewhere = "192.0.2.1:1314".parse().unwrap();
        assert_eq!(bind(elsewhere).unwrap_err(), BindError::NotHere(elsewhere));
    }

    #[test]
    fn a_port_can_be_bound_again() {
        let local = bind("127.0.0.1:0".parse().unwrap()).unwrap().local().unwrap();
        drop(bind(local).unwrap());
        bind(local).unwrap();
    }
}
