//! Questions about real sockets, in namespaces of their own.

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

/// Runs a check in a namespace of its own, with its number.
fn inside(check: impl FnOnce(u32) + Send) {
    let namespace = Namespace::private().unwrap();
    namespace.enter(|| check(namespace.inode())).unwrap();
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

/// A client and the socket accepted for it, on a port of the listener's.
fn connected(local: SocketAddr) -> (Tcp, Tcp, Tcp) {
    let listener = Tcp::listening(local).unwrap();
    let client = Tcp::new(if local.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 }).unwrap();
    client.connect(local, deadline()).unwrap();
    let server = listener.accept(deadline()).unwrap();
    (listener, client, server)
}

/// Both ends of a connection, as this one of its sockets has them.
fn ends(socket: &Tcp, peer: SocketAddr) -> Endpoints {
    Endpoints { local: socket.local().unwrap().into(), remote: peer.into() }
}

/// Whether the kernel lists sockets that are only bound.
fn lists_bound_sockets() -> bool {
    let name = uname().unwrap();
    let release = name.release().to_str().unwrap();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(6), Some(8))
}

fn found(lookup: &mut Lookup, netns: u32) -> Vec<(State, u64)> {
    let mut found: Vec<_> =
        lookup.holders(netns, PORT).iter().map(|socket| (socket.state, socket.cookie)).collect();
    found.sort_unstable();
    found
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn whoever_has_a_port_is_found() {
    inside(|netns| {
        let mut lookup = Lookup::new();
        assert_eq!(lookup.holders(netns, PORT), []);

        let other = Tcp::bound("127.0.0.1:1315".parse().unwrap()).unwrap();
        let bound = Tcp::bound(address("127.0.0.2")).unwrap();
        let bound_cookie = bound.cookie().unwrap();
        let wanted = if lists_bound_sockets() { vec![(State::Close, bound_cookie)] } else { vec![] };
        assert_eq!(found(&mut lookup, netns), wanted);
        drop((bound, other));
        eventually("the port is free", || lookup.holders(netns, PORT).is_empty());

        let (listener, client, server) = connected(address("::1"));
        let cookies = [&server, &listener].map(|socket| socket.cookie().unwrap());
        assert_eq!(
            found(&mut lookup, netns),
            [(State::Established, cookies[0]), (State::Listen, cookies[1])]
        );
        for socket in lookup.holders(netns, PORT) {
            assert_eq!((socket.netns, socket.protocol, socket.family), (netns, Protocol::Tcp, Family::Ipv6));
            assert_eq!((socket.owner.known, socket.expires), (Known::Inferred, None));
            assert_eq!(socket.owner.task.as_ref().unwrap().pid, process::id());
        }

        // The server's end is the first to close, so the TIME_WAIT is on its port.
        server.shutdown(Shutdown::Write).unwrap();
        client.read_to_end(deadline()).unwrap();
        drop((client, listener));
        server.read_to_end(deadline()).unwrap();
        drop(server);
        eventually("nothing else is left", || lookup.holders(netns, PORT).len() == 1);
        let holders = lookup.holders(netns, PORT);
        let [socket] = holders.as_slice() else { panic!("{holders:?}") };
        assert_eq!((socket.state, socket.cookie), (State::TimeWait, cookies[0]));
        assert_eq!(*socket.owner, Owner::UNKNOWN);
        assert!(socket.expires.is_some_and(|left| left <= Duration::from_secs(60)));
    });
}

fn check_remains(netns: u32, local: SocketAddr) {
    let mut lookup = Lookup::new();
    let (listener, client, server) = connected(local);
    let family = if local.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
    let ends = ends(&client, local);
    assert_eq!(lookup.remains(netns, ends, family), None, "a connection that lives");

    client.shutdown(Shutdown::Write).unwrap();
    server.read_to_end(deadline()).unwrap();
    // Data brings the ACK of the FIN along, which by itself may be late.
    server.write_all(b"x", deadline()).unwrap();
    client.read_exact(1, deadline()).unwrap();
    drop(client);
    eventually("an orphan", || lookup.remains(netns, ends, family).is_some());
    let (state, left) = lookup.remains(netns, ends, family).unwrap();
    assert_eq!(state, State::FinWait2);
    assert!(left > Duration::from_secs(50) && left <= Duration::from_secs(60), "{left:?}");

    drop(server);
    let state = |lookup: &mut Lookup| lookup.remains(netns, ends, family).unwrap().0;
    eventually("both ends are closed", || state(&mut lookup) == State::TimeWait);
    let (_, left) = lookup.remains(netns, ends, family).unwrap();
    assert!(left > Duration::from_secs(50) && left <= Duration::from_secs(60), "{left:?}");
    assert_eq!(lookup.remains(netns, ends.reversed(), family), None, "its listener is no answer");
    drop(listener);
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn what_stays_of_a_connection_is_told_with_its_end() {
    for local in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
        inside(|netns| check_remains(netns, address(local)));
    }
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_link_local_connection_is_found_although_it_is_bound_to_a_device() {
    inside(|netns| {
        let local: Ipv6Addr = "fe80::1".parse().unwrap();
        Device::named("lo").unwrap().address(local.into(), 64).unwrap();
        let loopback = 1;
        check_remains(netns, SocketAddrV6::new(local, PORT, 0, loopback).into());
    });
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn after_a_reset_nothing_stays() {
    inside(|netns| {
        let (_listener, client, server) = connected(address("127.0.0.1"));
        let ends = ends(&client, address("127.0.0.1"));
        client.reset_on_close().unwrap();
        drop((client, server));
        let mut lookup = Lookup::new();
        eventually("only the listener is left", || lookup.holders(netns, PORT).len() == 1);
        assert_eq!(lookup.remains(netns, ends, Family::Ipv4), None);
    });
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_namespace_is_let_go_after_a_while() {
    inside(|netns| {
        let mut lookup = Lookup::new();
        let home = lookup.home.unwrap();
        assert_eq!((lookup.holders(netns, PORT), lookup.holders(home, 0)), (vec![], vec![]));
        lookup.tidy();
        assert!(lookup.open.contains_key(&netns));
        for open in lookup.open.values_mut() {
            open.used -= READY_FOR;
        }
        lookup.tidy();
        assert_eq!(lookup.open.into_keys().collect::<Vec<_>>(), [home]);
    });
}

#[test]
fn of_a_namespace_that_is_gone_nothing_is_known() {
    let mut lookup = Lookup::new();
    let at = |port| Endpoint::new([127, 0, 0, 1].into(), port);
    let ends = Endpoints { local: at(PORT), remote: at(80) };
    assert_eq!(lookup.holders(1, PORT), []);
    assert_eq!(lookup.remains(1, ends, Family::Ipv4), None);
}
