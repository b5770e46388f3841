//! Queries about real sockets in private namespaces.

use std::{
    net::{Ipv6Addr, Shutdown, SocketAddr, SocketAddrV6},
    process,
};

use nix::sys::utsname::uname;

use super::*;
use crate::{
    model::{Endpoint, Known, Owner, Protocol},
    net::{Tcp, link::Device},
    os::testing::eventually,
};

const PORT: u16 = 1314;

fn address(text: &str) -> SocketAddr {
    SocketAddr::new(text.parse().unwrap(), PORT)
}

/// Runs a check in a private namespace, with its inode number.
fn inside(check: impl FnOnce(u32) + Send) {
    let namespace = Namespace::private().unwrap();
    namespace.enter(|| check(namespace.inode())).unwrap();
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

/// A listener, a client connected to it, and the accepted socket.
fn connected(local: SocketAddr) -> (Tcp, Tcp, Tcp) {
    let listener = Tcp::listening(local).unwrap();
    let client = Tcp::new(if local.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 }).unwrap();
    client.connect(local, deadline()).unwrap();
    let server = listener.accept(deadline()).unwrap();
    (listener, client, server)
}

/// The endpoints of a connection, as this socket has them.
fn endpoints(socket: &Tcp, peer: SocketAddr) -> Endpoints {
    Endpoints { local: socket.local().unwrap().into(), remote: peer.into() }
}

/// Whether the kernel lists bound-only sockets.
fn lists_bound_sockets() -> bool {
    let name = uname().unwrap();
    let release = name.release().to_str().unwrap();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(6), Some(8))
}

fn found(lookup: &mut Lookup, netns: u32) -> Vec<(State, u64)> {
    let mut found: Vec<_> =
        lookup.holders(netns, PORT).unwrap().iter().map(|socket| (socket.state, socket.cookie)).collect();
    found.sort_unstable();
    found
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn the_holders_of_a_port_are_found() {
    inside(|netns| {
        let mut lookup = Lookup::new();
        assert_eq!(lookup.holders(netns, PORT).unwrap(), []);

        let other = Tcp::bound("127.0.0.1:1315".parse().unwrap()).unwrap();
        let bound = Tcp::bound(address("127.0.0.2")).unwrap();
        let bound_cookie = bound.cookie().unwrap();
        let expected = if lists_bound_sockets() { vec![(State::Close, bound_cookie)] } else { vec![] };
        assert_eq!(found(&mut lookup, netns), expected);
        drop((bound, other));
        eventually("the port is free", || lookup.holders(netns, PORT).unwrap().is_empty());

        let (listener, client, server) = connected(address("::1"));
        let cookies = [&server, &listener].map(|socket| socket.cookie().unwrap());
        assert_eq!(
            found(&mut lookup, netns),
            [(State::Established, cookies[0]), (State::Listen, cookies[1])]
        );
        for socket in lookup.holders(netns, PORT).unwrap() {
            assert_eq!(
                (socket.identity.netns, socket.identity.protocol, socket.identity.family),
                (netns, Protocol::Tcp, Family::Ipv6)
            );
            assert_eq!((socket.owner.known, socket.expires), (Known::Inferred, None));
            assert_eq!(socket.owner.task.as_ref().unwrap().pid, process::id());
        }

        // The server closes first, so the TIME_WAIT is on its port.
        server.shutdown(Shutdown::Write).unwrap();
        client.read_to_end(deadline()).unwrap();
        drop((client, listener));
        server.read_to_end(deadline()).unwrap();
        drop(server);
        eventually("nothing else is left", || lookup.holders(netns, PORT).unwrap().len() == 1);
        let holders = lookup.holders(netns, PORT).unwrap();
        let [socket] = holders.as_slice() else { panic!("{holders:?}") };
        assert_eq!((socket.state, socket.cookie), (State::TimeWait, cookies[0]));
        assert_eq!(*socket.owner, Owner::UNKNOWN);
        assert!(socket.expires.is_some_and(|left| left <= Duration::from_secs(60)));
    });
}

fn check_mini_socket(netns: u32, local: SocketAddr) {
    let mut lookup = Lookup::new();
    let (listener, client, server) = connected(local);
    let family = if local.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
    let endpoints = endpoints(&client, local);
    assert_eq!(lookup.mini_socket(netns, endpoints, family), None, "the connection is open");

    client.shutdown(Shutdown::Write).unwrap();
    server.read_to_end(deadline()).unwrap();
    // The ACK of the FIN, which may be delayed, comes with data at the latest.
    server.write_all(b"x", deadline()).unwrap();
    client.read_exact(1, deadline()).unwrap();
    drop(client);
    eventually("an orphan", || lookup.mini_socket(netns, endpoints, family).is_some());
    let (state, left) = lookup.mini_socket(netns, endpoints, family).unwrap();
    assert_eq!(state, State::FinWait2);
    assert!(left > Duration::from_secs(50) && left <= Duration::from_secs(60), "{left:?}");

    drop(server);
    let state = |lookup: &mut Lookup| lookup.mini_socket(netns, endpoints, family).unwrap().0;
    eventually("both sockets are closed", || state(&mut lookup) == State::TimeWait);
    let (_, left) = lookup.mini_socket(netns, endpoints, family).unwrap();
    assert!(left > Duration::from_secs(50) && left <= Duration::from_secs(60), "{left:?}");
    assert_eq!(lookup.mini_socket(netns, endpoints.reversed(), family), None, "the listener is not a match");
    drop(listener);
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_closed_connection_leaves_a_mini_socket_with_its_remaining_time() {
    for local in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
        inside(|netns| check_mini_socket(netns, address(local)));
    }
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_link_local_mini_socket_is_found() {
    inside(|netns| {
        let local: Ipv6Addr = "fe80::1".parse().unwrap();
        Device::named("lo").unwrap().add_address(local.into(), 64).unwrap();
        let loopback = 1;
        check_mini_socket(netns, SocketAddrV6::new(local, PORT, 0, loopback).into());
    });
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_reset_leaves_no_mini_socket() {
    inside(|netns| {
        let (_listener, client, server) = connected(address("127.0.0.1"));
        let endpoints = endpoints(&client, address("127.0.0.1"));
        client.reset_on_close().unwrap();
        drop((client, server));
        let mut lookup = Lookup::new();
        eventually("only the listener is left", || lookup.holders(netns, PORT).unwrap().len() == 1);
        assert_eq!(lookup.mini_socket(netns, endpoints, Family::Ipv4), None);
    });
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn an_idle_namespaces_socket_is_closed() {
    inside(|netns| {
        let mut lookup = Lookup::new();
        let home = lookup.home.unwrap();
        assert_eq!((lookup.holders(netns, PORT), lookup.holders(home, 0)), (Some(vec![]), Some(vec![])));
        lookup.close_idle();
        assert!(lookup.open.contains_key(&netns));
        for open in lookup.open.values_mut() {
            open.last_used -= IDLE_TIMEOUT;
        }
        lookup.close_idle();
        assert_eq!(lookup.open.into_keys().collect::<Vec<_>>(), [home]);
    });
}

#[test]
fn an_unknown_namespace_has_no_sockets() {
    let mut lookup = Lookup::new();
    let at = |port| Endpoint::new([127, 0, 0, 1].into(), port);
    let endpoints = Endpoints { local: at(PORT), remote: at(80) };
    assert_eq!(lookup.holders(1, PORT), None);
    assert_eq!(lookup.mini_socket(1, endpoints, Family::Ipv4), None);
}
