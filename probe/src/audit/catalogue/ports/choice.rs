//! Which local port the kernel chooses.

use State::{Close, Established, Listen};

use crate::{
    audit::{
        Behaviour, Harness, Requirement, Variant,
        catalogue::paths::{ACTIVE_OPEN, FAILED_OPEN, LISTENER, PASSIVE_OPEN},
        harness::{SERVER_PORT, TestHost, TestSocket},
    },
    model::State,
    net::{Tcp, sysctl},
    scenario::{Step as _, StepError},
};

/// The low end of the port range, an even port.
const FIRST: u16 = 40_000;
/// The port of the second listener.
const OTHER_PORT: u16 = SERVER_PORT + 1;

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "ports/parity",
        description: "connect chooses ports of one parity first, bind to port 0 those of the other",
        needs: &[Requirement::Sysctl("ip_local_port_range")],
        steps: |harness| {
            let host = harness.host()?;
            host.set_sysctl(sysctl::IP_LOCAL_PORT_RANGE, &(FIRST..=FIRST + 5))?;
            let listener = harness.listener(&host, "listener")?;
            for (number, [client, server]) in
                (1..).zip([["client 1", "server 1"], ["client 2", "server 2"], ["client 3", "server 3"]])
            {
                let client = harness.socket(&host, client)?;
                harness.connect(&client, host.endpoint(SERVER_PORT)).step("connecting")?;
                accept_and_wait(harness, &client, &listener, server)?;
                harness.observe(format!("connect, {number}"), parity(&client.tcp)?);
            }
            let mut bound = Vec::new();
            for number in 1..=3 {
                let socket = host.unobserved_socket()?;
                socket.bind(host.endpoint(0)).step("binding to port 0")?;
                harness.observe(format!("bind, {number}"), parity(&socket)?);
                bound.push(socket);
            }
            Ok(())
        },
        paths: &[
            LISTENER,
            ("client 1", ACTIVE_OPEN),
            ("server 1", PASSIVE_OPEN),
            ("client 2", ACTIVE_OPEN),
            ("server 2", PASSIVE_OPEN),
            ("client 3", ACTIVE_OPEN),
            ("server 3", PASSIVE_OPEN),
        ],
        facts: &[
            ("connect, 1", "even"),
            ("connect, 2", "even"),
            ("connect, 3", "even"),
            ("bind, 1", "odd"),
            ("bind, 2", "odd"),
            ("bind, 3", "odd"),
        ],
        reference: "__inet_hash_connect in net/ipv4/inet_hashtables.c, inet_csk_find_open_port in \
                    net/ipv4/inet_connection_sock.c; the range starts with an even port",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "ports/bind-without-port",
        description: "with IP_BIND_ADDRESS_NO_PORT, connect chooses the local port, not bind",
        steps: |harness| {
            let host = harness.host()?;
            let listener = harness.listener(&host, "listener")?;
            let client = harness.socket(&host, "client")?;
            client.tcp.bind_address_no_port().step("setting IP_BIND_ADDRESS_NO_PORT")?;
            client.tcp.bind(host.endpoint(0)).step("client: binding")?;
            let local = client.tcp.local().step("client: reading its local endpoint")?;
            harness.observe("after bind", local);
            harness.connect(&client, host.endpoint(SERVER_PORT)).step("client: connecting")?;
            let server = harness.accept(&listener, "server")?;
            let local = client.tcp.local().step("client: reading its local endpoint")?;
            harness.observe("has a port after connect", local.port() != 0);
            harness.wait_for_state(&client, Established)?;
            harness.wait_for_state(&server, Established)
        },
        paths: &[LISTENER, ("client", ACTIVE_OPEN), ("server", PASSIVE_OPEN)],
        facts: &[("after bind", "127.0.0.1:0"), ("has a port after connect", "true")],
        reference: "ip(7), IP_BIND_ADDRESS_NO_PORT (4.2)",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "ports/autobound-shared",
        description: "connect chooses a port again that it has chosen for a connection to another \
                      destination",
        needs: &[Requirement::Sysctl("ip_local_port_range")],
        steps: |harness| {
            let host = harness.host()?;
            host.set_sysctl(sysctl::IP_LOCAL_PORT_RANGE, &(FIRST..=FIRST))?;
            let listener = harness.listener(&host, "listener")?;
            let other = another_listener(harness, &host)?;
            let first = harness.socket(&host, "first")?;
            harness.connect(&first, host.endpoint(SERVER_PORT)).step("first: connecting")?;
            accept_and_wait(harness, &first, &listener, "first child")?;

            let same = harness.socket(&host, "same destination")?;
            let connected = harness.connect(&same, host.endpoint(SERVER_PORT));
            harness.observe_result("same destination", &connected);
            harness.wait_for_state(&same, Close)?;

            let second = harness.socket(&host, "another destination")?;
            let connected = harness.connect(&second, host.endpoint(OTHER_PORT));
            harness.observe_result("another destination", &connected);
            accept_and_wait(harness, &second, &other, "another child")?;
            harness.observe("same local port", first.tcp.local() == second.tcp.local());
            Ok(())
        },
        paths: &[
            LISTENER,
            ("another listener", &[Close, Listen]),
            ("first", ACTIVE_OPEN),
            ("first child", PASSIVE_OPEN),
            ("same destination", FAILED_OPEN),
            ("another destination", ACTIVE_OPEN),
            ("another child", PASSIVE_OPEN),
        ],
        facts: &[
            ("same destination", "EADDRNOTAVAIL"),
            ("another destination", "success"),
            ("same local port", "true"),
        ],
        reference: "__inet_hash_connect in net/ipv4/inet_hashtables.c: a bucket that only connect has used \
                    has fastreuse -1",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "ports/bucket-after-bind",
        description: "connect does not choose a port that another socket is bound to, and chooses it again \
                      once that socket is closed",
        needs: &[Requirement::Sysctl("ip_local_port_range")],
        steps: |harness| {
            let host = harness.host()?;
            host.set_sysctl(sysctl::IP_LOCAL_PORT_RANGE, &(FIRST..=FIRST))?;
            let listener = harness.listener(&host, "listener")?;
            let other = another_listener(harness, &host)?;
            let first = harness.socket(&host, "first")?;
            harness.connect(&first, host.endpoint(SERVER_PORT)).step("first: connecting")?;
            accept_and_wait(harness, &first, &listener, "first child")?;

            let holder = host.unobserved_socket()?;
            holder.bind(([127, 0, 0, 2], FIRST).into()).step("binding at another address")?;
            let during = harness.socket(&host, "during the bind")?;
            let connected = harness.connect(&during, host.endpoint(OTHER_PORT));
            harness.observe_result("during the bind", &connected);
            harness.wait_for_state(&during, Close)?;

            drop(holder);
            let after = harness.socket(&host, "after the bind")?;
            let connected = harness.connect(&after, host.endpoint(OTHER_PORT));
            harness.observe_result("after the bind", &connected);
            match connected {
                Ok(()) => accept_and_wait(harness, &after, &other, "another child"),
                Err(_) => harness.wait_for_state(&after, Close),
            }
        },
        paths: &[
            LISTENER,
            ("another listener", &[Close, Listen]),
            ("first", ACTIVE_OPEN),
            ("first child", PASSIVE_OPEN),
            ("during the bind", FAILED_OPEN),
            ("after the bind", ACTIVE_OPEN),
            ("another child", PASSIVE_OPEN),
        ],
        facts: &[("during the bind", "EADDRNOTAVAIL"), ("after the bind", "success")],
        reference: "d57f4b874946 (6.18, backported to 6.17.8) updates fastreuse of the inet_bind_bucket when a socket releases \
                    the port",
        variants: &[Variant {
            cause: "before d57f4b874946 (6.18, backported to 6.17.8): the bucket keeps the fastreuse that bind set, for as long \
                    as any socket uses the port",
            paths: &[("after the bind", FAILED_OPEN), ("another child", &[])],
            facts: &[("after the bind", "EADDRNOTAVAIL")],
        }],
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "ports/reserved",
        description: "connect does not choose a reserved port, so a connect to that port never becomes a \
                      self-connect",
        needs: &[Requirement::Sysctl("ip_local_port_range"), Requirement::Sysctl("ip_local_reserved_ports")],
        steps: |harness| {
            let host = harness.host()?;
            host.set_sysctl(sysctl::IP_LOCAL_PORT_RANGE, &(FIRST..=FIRST + 1))?;
            host.set_sysctl(sysctl::IP_LOCAL_RESERVED_PORTS, &vec![FIRST..=FIRST])?;
            let client = harness.socket(&host, "client")?;
            let connected = harness.connect(&client, host.endpoint(FIRST));
            harness.observe_result("connect", &connected);
            harness.wait_for_state(&client, Close)
        },
        paths: &[("client", FAILED_OPEN)],
        facts: &[("connect", "ECONNREFUSED")],
        reference: "Documentation/networking/ip-sysctl.rst, ip_local_reserved_ports",
        ..Behaviour::DEFAULT
    },
];

/// Accepts the client's connection, and waits until both sockets are reported as ESTABLISHED.
fn accept_and_wait(
    harness: &mut Harness,
    client: &TestSocket,
    listener: &TestSocket,
    label: &'static str,
) -> Result<(), StepError> {
    let server = harness.accept(listener, label)?;
    harness.wait_for_state(client, Established)?;
    harness.wait_for_state(&server, Established)
}

/// A second listener, on [`OTHER_PORT`].
fn another_listener(harness: &mut Harness, host: &TestHost) -> Result<TestSocket, StepError> {
    let listener = harness.bound_socket(host, "another listener", OTHER_PORT)?;
    listener.tcp.listen(16).step("another listener: listening")?;
    Ok(listener)
}

/// Whether the socket's local port is even or odd.
fn parity(socket: &Tcp) -> Result<&'static str, StepError> {
    let port = socket.local().step("reading the local port")?.port();
    Ok(if port % 2 == 0 { "even" } else { "odd" })
}
