//! Ports in TIME_WAIT.

use std::net::SocketAddr;

use State::{Close, Closing, Established, FinWait1, Listen, SynRecv, SynSent};

use crate::{
    audit::{
        Behaviour, Harness, Requirement,
        catalogue::{
            paths::{
                ACTIVE_OPEN, CLIENT_CLOSES_FIRST, FAILED_OPEN, LISTENER, PASSIVE_OPEN, SERVER_CLOSES_SECOND,
            },
            steps::close_client_first,
        },
        harness::{SERVER_PORT, TestSocket},
    },
    model::{Side, State},
    net::sysctl,
    scenario::{Step as _, StepError},
    wire::Rule,
};

/// The clients' port, and the first of several.
const CLIENT_PORT: u16 = 1400;
/// A port whose SYNs the wire drops.
const UNANSWERED_PORT: u16 = 1500;

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "ports/rebind-over-time-wait",
        description: "bind to a port in TIME_WAIT succeeds only if both the old and the new socket set \
                      SO_REUSEADDR",
        steps: |harness| {
            let host = harness.host()?;
            let listener = harness.listener(&host, "listener")?;
            for (port, [old, server], name, old_reuses, new_reuses) in [
                (CLIENT_PORT, ["client 1", "server 1"], "both set it", true, true),
                (CLIENT_PORT + 1, ["client 2", "server 2"], "old socket set it", true, false),
                (CLIENT_PORT + 2, ["client 3", "server 3"], "new socket sets it", false, true),
            ] {
                let client = harness.socket(&host, old)?;
                if old_reuses {
                    client.tcp.reuse_address().step("setting SO_REUSEADDR")?;
                }
                harness.bind(&client, host.endpoint(port)).step(format!("{old}: binding"))?;
                leave_time_wait(harness, client, host.endpoint(SERVER_PORT), &listener, server)?;
                let new = host.unobserved_socket()?;
                if new_reuses {
                    new.reuse_address().step("setting SO_REUSEADDR")?;
                }
                let bound = new.bind(host.endpoint(port));
                harness.observe_result(name, &bound);
            }
            Ok(())
        },
        paths: &[
            LISTENER,
            ("client 1", CLIENT_CLOSES_FIRST),
            ("server 1", SERVER_CLOSES_SECOND),
            ("client 2", CLIENT_CLOSES_FIRST),
            ("server 2", SERVER_CLOSES_SECOND),
            ("client 3", CLIENT_CLOSES_FIRST),
            ("server 3", SERVER_CLOSES_SECOND),
        ],
        facts: &[
            ("both set it", "success"),
            ("old socket set it", "EADDRINUSE"),
            ("new socket sets it", "EADDRINUSE"),
        ],
        reference: "inet_bind_conflict in net/ipv4/inet_connection_sock.c; a TIME_WAIT keeps the socket's \
                    sk_reuse",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "ports/self-connect-time-wait",
        description: "the TIME_WAIT of a self-connect holds the port for a minute, even against a server \
                      with SO_REUSEADDR",
        needs: &[Requirement::SimultaneousOpen],
        steps: |harness| {
            let host = harness.host()?;
            let socket = harness.bound_socket(&host, "self", SERVER_PORT)?;
            harness.connect(&socket, host.endpoint(SERVER_PORT)).step("self: connecting")?;
            harness.wait_for_state(&socket, Established)?;
            let socket = harness.close(socket);
            harness.wait_for_state(socket, Close)?;
            harness.observe_mini_socket(&host, socket)?;
            harness.observe_expiry(&host, socket)?;
            let server = host.unobserved_socket()?;
            server.reuse_address().step("setting SO_REUSEADDR")?;
            let bound = server.bind(host.endpoint(SERVER_PORT));
            harness.observe_result("bind", &bound);
            Ok(())
        },
        paths: &[("self", &[Close, SynSent, SynRecv, Established, FinWait1, Closing, Close])],
        facts: &[("mini-socket of self", "TIME_WAIT"), ("expires in", "60s"), ("bind", "EADDRINUSE")],
        reference: "TCP_TIMEWAIT_LEN in include/net/tcp.h; the self-connected socket had no SO_REUSEADDR",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "ports/reuse-of-time-wait",
        description: "connect reuses a 4-tuple that has been in TIME_WAIT for a second: on loopback by \
                      default, elsewhere with tcp_tw_reuse=1",
        needs: &[
            Requirement::Wire,
            Requirement::Sysctl("ip_local_port_range"),
            Requirement::Sysctl("tcp_tw_reuse"),
        ],
        steps: |harness| {
            let hosts = harness.host_pair()?;
            hosts.a.set_sysctl(sysctl::IP_LOCAL_PORT_RANGE, &(CLIENT_PORT..=CLIENT_PORT))?;
            let wire = hosts.b.endpoint(SERVER_PORT);
            let wire_listener = harness.listener(&hosts.b, "wire listener")?;
            let loopback = SocketAddr::from(([127, 0, 0, 1], SERVER_PORT));
            let loopback_listener = harness.socket(&hosts.a, "loopback listener")?;
            harness.bind(&loopback_listener, loopback).step("loopback listener: binding")?;
            loopback_listener.tcp.listen(16).step("loopback listener: listening")?;

            let client = harness.socket(&hosts.a, "loopback client")?;
            leave_time_wait(harness, client, loopback, &loopback_listener, "loopback server")?;
            let client = harness.socket(&hosts.a, "wire client")?;
            leave_time_wait(harness, client, wire, &wire_listener, "wire server")?;

            // Wait a second by the kernel's clock: until an unanswered SYN is retransmitted.
            hosts.wire.add_rule(Rule::drop(|segment| segment.destination.port() == UNANSWERED_PORT));
            let timer = harness.socket(&hosts.b, "timer")?;
            harness.begin_connect(&timer, hosts.a.endpoint(UNANSWERED_PORT)).step("timer: connecting")?;
            hosts
                .wait_for_nth_segment(Side::B, 2, |segment| segment.destination.port() == UNANSWERED_PORT)?;

            let client = harness.socket(&hosts.a, "wire client 2")?;
            let connected = harness.connect(&client, wire);
            harness.observe_result("over the wire", &connected);
            harness.wait_for_state(&client, Close)?;
            let client = harness.socket(&hosts.a, "loopback client 2")?;
            let connected = harness.connect(&client, loopback);
            harness.observe_result("on loopback", &connected);
            let server = harness.accept(&loopback_listener, "loopback server 2")?;
            harness.wait_for_state(&client, Established)?;
            harness.wait_for_state(&server, Established)?;

            hosts.a.set_sysctl(sysctl::TCP_TW_REUSE, &1)?;
            let client = harness.socket(&hosts.a, "wire client 3")?;
            let connected = harness.connect(&client, wire);
            harness.observe_result("over the wire, tcp_tw_reuse=1", &connected);
            let server = harness.accept(&wire_listener, "wire server 3")?;
            harness.wait_for_state(&client, Established)?;
            harness.wait_for_state(&server, Established)
        },
        paths: &[
            ("wire listener", &[Close, Listen]),
            ("loopback listener", &[Close, Listen]),
            ("loopback client", CLIENT_CLOSES_FIRST),
            ("loopback server", SERVER_CLOSES_SECOND),
            ("wire client", CLIENT_CLOSES_FIRST),
            ("wire server", SERVER_CLOSES_SECOND),
            ("timer", &[Close, SynSent]),
            ("wire client 2", FAILED_OPEN),
            ("loopback client 2", ACTIVE_OPEN),
            ("loopback server 2", PASSIVE_OPEN),
            ("wire client 3", ACTIVE_OPEN),
            ("wire server 3", PASSIVE_OPEN),
        ],
        facts: &[
            ("over the wire", "EADDRNOTAVAIL"),
            ("on loopback", "success"),
            ("over the wire, tcp_tw_reuse=1", "success"),
        ],
        reference: "Documentation/networking/ip-sysctl.rst, tcp_tw_reuse=2 and tcp_tw_reuse_delay; RFC 6191",
        ..Behaviour::DEFAULT
    },
];

/// Connects the client and closes the connection, so that its port is in TIME_WAIT.
fn leave_time_wait(
    harness: &mut Harness,
    client: TestSocket,
    remote: SocketAddr,
    listener: &TestSocket,
    server_label: &'static str,
) -> Result<(), StepError> {
    harness.connect(&client, remote).step("connecting")?;
    let server = harness.accept(listener, server_label)?;
    harness.wait_for_state(&server, Established)?;
    close_client_first(harness, &client, server)?;
    // The socket stays bound to its port until its descriptor is closed.
    harness.close(client);
    Ok(())
}
