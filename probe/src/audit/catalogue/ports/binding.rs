//! Who may bind to a port that somebody else is bound to. Binding changes no state: all of it is in what bind says.

use std::net::{Ipv4Addr, Shutdown, SocketAddr};

use State::{Close, Established, Listen, SynRecv, SynSent};

use crate::{
    audit::{
        Behaviour, Need,
        harness::{SERVER, TestHost},
    },
    model::{Family, State},
    net::{Tcp, socket},
    os::{capability::Capability, user::as_user},
    scenario::{Step as _, StepError},
};

/// The user nobody.
const NOBODY: u32 = 65_534;
const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), SERVER);

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "ports/reuse-address",
        description: "SO_REUSEADDR lets sockets share a port if all have it and none listens",
        steps: |harness| {
            let here = harness.here()?;
            for (name, first, second) in [
                ("neither has it", Reuse::Nothing, Reuse::Nothing),
                ("the first has it", Reuse::Address, Reuse::Nothing),
                ("the second has it", Reuse::Nothing, Reuse::Address),
                ("both have it", Reuse::Address, Reuse::Address),
            ] {
                let bound = second_bind(&here, first, second)?;
                harness.says(name, &bound);
            }
            let first = harness.socket(&here, "listener")?;
            Reuse::Address.set(&first.tcp)?;
            harness.bind(&first, LOOPBACK).step("the first: binding")?;
            first.tcp.listen(1).step("the first: listening")?;
            let second = here.bystander()?;
            Reuse::Address.set(&second)?;
            let bound = second.bind(LOOPBACK);
            harness.says("both have it, and the first listens", &bound);
            harness.until(&first, Listen)
        },
        paths: &[("listener", &[Close, Listen])],
        facts: &[
            ("neither has it", "EADDRINUSE"),
            ("the first has it", "EADDRINUSE"),
            ("the second has it", "EADDRINUSE"),
            ("both have it", "success"),
            ("both have it, and the first listens", "EADDRINUSE"),
        ],
        reference: "socket(7), SO_REUSEADDR; inet_bind_conflict in net/ipv4/inet_connection_sock.c",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "ports/reuse-port",
        description: "SO_REUSEPORT lets sockets of one user share a port, listeners too",
        needs: &[Need::Capability(Capability::SETUID)],
        steps: |harness| {
            let here = harness.here()?;
            let first = harness.socket(&here, "listener")?;
            Reuse::Port.set(&first.tcp)?;
            harness.bind(&first, LOOPBACK).step("the first: binding")?;
            first.tcp.listen(1).step("the first: listening")?;
            let second = here.bystander()?;
            Reuse::Port.set(&second)?;
            let bound = second.bind(LOOPBACK);
            harness.says("of the same user", &bound);
            let opened = here.namespace.enter(|| as_user(NOBODY, || Tcp::new(Family::Ipv4)))?;
            let third = opened.ok_or("not permitted").step("acting as another user")?;
            let third = third.step("opening a socket as another user")?;
            Reuse::Port.set(&third)?;
            let bound = third.bind(LOOPBACK);
            harness.says("of another user", &bound);
            harness.until(&first, Listen)
        },
        paths: &[("listener", &[Close, Listen])],
        facts: &[("of the same user", "success"), ("of another user", "EADDRINUSE")],
        reference: "socket(7), SO_REUSEPORT",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "ports/mixed-reuse",
        description: "SO_REUSEADDR and SO_REUSEPORT do not go together, unless one socket has both",
        steps: |harness| {
            let here = harness.here()?;
            for (name, first, second) in [
                ("port, then address", Reuse::Port, Reuse::Address),
                ("address, then port", Reuse::Address, Reuse::Port),
                ("both, then address", Reuse::Both, Reuse::Address),
                ("both, then port", Reuse::Both, Reuse::Port),
            ] {
                let bound = second_bind(&here, first, second)?;
                harness.says(name, &bound);
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
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "ports/wildcard",
        description: "a wildcard address is in the way of every address of its families",
        needs: &[Need::Ipv6],
        steps: |harness| {
            let here = harness.here()?;
            for (name, first, second, only_v6) in [
                ("127.0.0.1 under 0.0.0.0", "0.0.0.0", "127.0.0.1", false),
                ("0.0.0.0 over 127.0.0.1", "127.0.0.1", "0.0.0.0", false),
                ("127.0.0.2 beside 127.0.0.1", "127.0.0.1", "127.0.0.2", false),
                ("[::] beside 0.0.0.0", "0.0.0.0", "::", false),
                ("[::] for IPv6 only", "0.0.0.0", "::", true),
            ] {
                let bound = bind_both(&here, first, second, only_v6)?;
                harness.says(name, &bound);
            }
            Ok(())
        },
        facts: &[
            ("127.0.0.1 under 0.0.0.0", "EADDRINUSE"),
            ("0.0.0.0 over 127.0.0.1", "EADDRINUSE"),
            ("127.0.0.2 beside 127.0.0.1", "success"),
            ("[::] beside 0.0.0.0", "EADDRINUSE"),
            ("[::] for IPv6 only", "success"),
        ],
        reference: "ip(7), INADDR_ANY; ipv6(7), IPV6_V6ONLY",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "ports/wrong-state",
        description: "a connected socket can neither be bound nor listen, a fresh one not be shut down",
        steps: |harness| {
            let here = harness.here()?;
            let [_listener, client, server] = harness.connected(&here, &here)?;
            let bound = client.tcp.bind(here.port(SERVER + 1));
            harness.says("bind, connected", &bound);
            let listening = client.tcp.listen(1);
            harness.says("listen, connected", &listening);
            let shut = here.bystander()?.shutdown(Shutdown::Both);
            harness.says("shutdown, fresh", &shut);
            harness.until(&client, Established)?;
            harness.until(&server, Established)
        },
        paths: &[
            ("listener", &[Close, Listen]),
            ("client", &[Close, SynSent, Established]),
            ("server", &[Listen, SynRecv, Established]),
        ],
        facts: &[
            ("bind, connected", "EINVAL"),
            ("listen, connected", "EINVAL"),
            ("shutdown, fresh", "ENOTCONN"),
        ],
        reference: "bind(2), EINVAL; shutdown(2), ENOTCONN",
        ..Behaviour::BLANK
    },
];

/// What a socket says of sharing its port.
#[derive(Clone, Copy)]
enum Reuse {
    Nothing,
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

/// What bind says to the second of two sockets.
fn second_bind(here: &TestHost, first: Reuse, second: Reuse) -> Result<socket::Result<()>, StepError> {
    let sockets = [here.bystander()?, here.bystander()?];
    first.set(&sockets[0])?;
    second.set(&sockets[1])?;
    sockets[0].bind(LOOPBACK).step("binding the first")?;
    Ok(sockets[1].bind(LOOPBACK))
}

/// What bind says to the second of two sockets without options, at these addresses.
fn bind_both(
    here: &TestHost,
    first: &str,
    second: &str,
    only_v6: bool,
) -> Result<socket::Result<()>, StepError> {
    let open = |address: &str| -> Result<(Tcp, SocketAddr), StepError> {
        let address = SocketAddr::new(address.parse().step("reading an address")?, SERVER);
        let family = if address.is_ipv6() { Family::Ipv6 } else { Family::Ipv4 };
        let socket = here.namespace.enter(|| Tcp::new(family))?.step("opening a socket")?;
        Ok((socket, address))
    };
    let ((one, there), (other, address)) = (open(first)?, open(second)?);
    if only_v6 {
        other.only_v6().step("setting IPV6_V6ONLY")?;
    }
    one.bind(there).step("binding the first")?;
    Ok(other.bind(address))
}
