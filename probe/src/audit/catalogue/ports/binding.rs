//! Whether a socket may bind to a port that another one is bound to. Binding changes no state, so these
//! entries observe the result of bind(2).

use std::net::{Ipv4Addr, Shutdown, SocketAddr};

use State::{Close, Established, Listen, SynRecv, SynSent};

use crate::{
    audit::{
        Behaviour, Requirement,
        catalogue::paths::LISTENER,
        harness::{SERVER_PORT, TestHost},
    },
    model::{Family, State},
    net::{Tcp, socket},
    os::{capability::Capability, user::as_user},
    scenario::{Step as _, StepError},
};

/// The uid of the user `nobody`.
const NOBODY: u32 = 65_534;
const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), SERVER_PORT);

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "ports/reuse-address",
        description: "SO_REUSEADDR lets sockets share a port if all of them set it and none listens",
        steps: |harness| {
            let host = harness.host()?;
            for (name, first, second) in [
                ("neither sets it", Reuse::None, Reuse::None),
                ("first sets it", Reuse::Address, Reuse::None),
                ("second sets it", Reuse::None, Reuse::Address),
                ("both set it", Reuse::Address, Reuse::Address),
            ] {
                let bound = second_bind(&host, first, second)?;
                harness.observe_result(name, &bound);
            }
            let first = harness.socket(&host, "listener")?;
            Reuse::Address.set(&first.tcp)?;
            harness.bind(&first, LOOPBACK).step("listener: binding")?;
            first.tcp.listen(1).step("listener: listening")?;
            let second = host.unobserved_socket()?;
            Reuse::Address.set(&second)?;
            let bound = second.bind(LOOPBACK);
            harness.observe_result("both set it, first listens", &bound);
            harness.wait_for_state(&first, Listen)
        },
        paths: &[LISTENER],
        facts: &[
            ("neither sets it", "EADDRINUSE"),
            ("first sets it", "EADDRINUSE"),
            ("second sets it", "EADDRINUSE"),
            ("both set it", "success"),
            ("both set it, first listens", "EADDRINUSE"),
        ],
        reference: "socket(7), SO_REUSEADDR; inet_bind_conflict in net/ipv4/inet_connection_sock.c",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "ports/reuse-port",
        description: "SO_REUSEPORT lets sockets of the same user share a port, listeners included",
        needs: &[Requirement::Capability(Capability::SETUID)],
        steps: |harness| {
            let host = harness.host()?;
            let first = harness.socket(&host, "listener")?;
            Reuse::Port.set(&first.tcp)?;
            harness.bind(&first, LOOPBACK).step("listener: binding")?;
            first.tcp.listen(1).step("listener: listening")?;
            let second = host.unobserved_socket()?;
            Reuse::Port.set(&second)?;
            let bound = second.bind(LOOPBACK);
            harness.observe_result("same user", &bound);
            let opened = host.namespace.enter(|| as_user(NOBODY, || Tcp::new(Family::Ipv4)))?;
            let third = opened.ok_or("not permitted").step("changing the user")?;
            let third = third.step("opening a socket as another user")?;
            Reuse::Port.set(&third)?;
            let bound = third.bind(LOOPBACK);
            harness.observe_result("another user", &bound);
            harness.wait_for_state(&first, Listen)
        },
        paths: &[LISTENER],
        facts: &[("same user", "success"), ("another user", "EADDRINUSE")],
        reference: "socket(7), SO_REUSEPORT",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "ports/mixed-reuse",
        description: "a socket with SO_REUSEADDR and one with SO_REUSEPORT share a port only if one of them \
                      sets both",
        steps: |harness| {
            let host = harness.host()?;
            for (name, first, second) in [
                ("port, then address", Reuse::Port, Reuse::Address),
                ("address, then port", Reuse::Address, Reuse::Port),
                ("both, then address", Reuse::Both, Reuse::Address),
                ("both, then port", Reuse::Both, Reuse::Port),
            ] {
                let bound = second_bind(&host, first, second)?;
                harness.observe_result(name, &bound);
            }
            Ok(())
        },
        facts: &[
            ("port, then address", "EADDRINUSE"),
            ("address, then port", "EADDRINUSE"),
            ("both, then address", "success"),
            ("both, then port", "success"),
        ],
        reference: "inet_bind_conflict in net/ipv4/inet_connection_sock.c",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "ports/wildcard",
        description: "a socket bound to a wildcard address conflicts with every address of the families \
                      that it covers",
        needs: &[Requirement::Ipv6],
        steps: |harness| {
            let host = harness.host()?;
            for (name, first, second, only_v6) in [
                ("0.0.0.0, then 127.0.0.1", "0.0.0.0", "127.0.0.1", false),
                ("127.0.0.1, then 0.0.0.0", "127.0.0.1", "0.0.0.0", false),
                ("127.0.0.1, then 127.0.0.2", "127.0.0.1", "127.0.0.2", false),
                ("0.0.0.0, then [::]", "0.0.0.0", "::", false),
                ("0.0.0.0, then [::] with IPV6_V6ONLY", "0.0.0.0", "::", true),
            ] {
                let bound = second_bind_on(&host, first, second, only_v6)?;
                harness.observe_result(name, &bound);
            }
            Ok(())
        },
        facts: &[
            ("0.0.0.0, then 127.0.0.1", "EADDRINUSE"),
            ("127.0.0.1, then 0.0.0.0", "EADDRINUSE"),
            ("127.0.0.1, then 127.0.0.2", "success"),
            ("0.0.0.0, then [::]", "EADDRINUSE"),
            ("0.0.0.0, then [::] with IPV6_V6ONLY", "success"),
        ],
        reference: "ip(7), INADDR_ANY; ipv6(7), IPV6_V6ONLY",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "ports/wrong-state",
        description: "bind and listen fail on a connected socket, shutdown on an unconnected one",
        steps: |harness| {
            let host = harness.host()?;
            let [_listener, client, server] = harness.connection(&host, &host)?;
            let bound = client.tcp.bind(host.endpoint(SERVER_PORT + 1));
            harness.observe_result("bind when connected", &bound);
            let listening = client.tcp.listen(1);
            harness.observe_result("listen when connected", &listening);
            let shut = host.unobserved_socket()?.shutdown(Shutdown::Both);
            harness.observe_result("shutdown when unconnected", &shut);
            harness.wait_for_state(&client, Established)?;
            harness.wait_for_state(&server, Established)
        },
        paths: &[
            LISTENER,
            ("client", &[Close, SynSent, Established]),
            ("server", &[Listen, SynRecv, Established]),
        ],
        facts: &[
            ("bind when connected", "EINVAL"),
            ("listen when connected", "EINVAL"),
            ("shutdown when unconnected", "ENOTCONN"),
        ],
        reference: "bind(2), EINVAL; shutdown(2), ENOTCONN",
        ..Behaviour::DEFAULT
    },
];

/// The options of a socket that let it share its port.
#[derive(Clone, Copy)]
enum Reuse {
    None,
    Address,
    Port,
    Both,
}

impl Reuse {
    fn set(self, socket: &Tcp) -> Result<(), StepError> {
        if matches!(self, Self::Address | Self::Both) {
            socket.reuse_address().step("setting SO_REUSEADDR")?;
        }
        if matches!(self, Self::Port | Self::Both) {
            socket.reuse_port().step("setting SO_REUSEPORT")?;
        }
        Ok(())
    }
}

/// The result of bind for the second of two sockets with these options.
fn second_bind(host: &TestHost, first: Reuse, second: Reuse) -> Result<socket::Result<()>, StepError> {
    let sockets = [host.unobserved_socket()?, host.unobserved_socket()?];
    first.set(&sockets[0])?;
    second.set(&sockets[1])?;
    sockets[0].bind(LOOPBACK).step("binding the first")?;
    Ok(sockets[1].bind(LOOPBACK))
}

/// The result of bind for the second of two sockets without these options, on these addresses.
fn second_bind_on(
    host: &TestHost,
    first: &str,
    second: &str,
    only_v6: bool,
) -> Result<socket::Result<()>, StepError> {
    let open = |address: &str| -> Result<(Tcp, SocketAddr), StepError> {
        let address = SocketAddr::new(address.parse().step("parsing an address")?, SERVER_PORT);
        let family = if address.is_ipv6() { Family::Ipv6 } else { Family::Ipv4 };
        let socket = host.namespace.enter(|| Tcp::new(family))?.step("opening a socket")?;
        Ok((socket, address))
    };
    let ((first, first_address), (second, second_address)) = (open(first)?, open(second)?);
    if only_v6 {
        second.only_v6().step("setting IPV6_V6ONLY")?;
    }
    first.bind(first_address).step("binding the first")?;
    Ok(second.bind(second_address))
}
