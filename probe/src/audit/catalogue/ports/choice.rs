//! Which port the kernel chooses.

use State::{Close, Established, Listen, SynRecv, SynSent};

use crate::{
    audit::{
        Behaviour, Harness, Need, Variant,
        harness::{SERVER, TestHost, TestSocket},
    },
    model::State,
    net::{Tcp, sysctl},
    scenario::{Step as _, StepError},
};

/// Where the ports to choose from begin: an even one.
const FIRST: u16 = 40_000;
/// The port of another server.
const OTHER: u16 = SERVER + 1;
/// A socket that has come to its connection.
const OPENED: &[State] = &[Close, SynSent, Established];
/// One that has not.
const REFUSED: &[State] = &[Close, SynSent, Close];
/// The child of a listener.
const CHILD: &[State] = &[Listen, SynRecv, Established];

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "ports/parity",
        description: "connect takes the ports of one parity first, bind to port 0 those of the other",
        needs: &[Need::Sysctl("ip_local_port_range")],
        steps: |harness| {
            let here = harness.here()?;
            here.set(sysctl::IP_LOCAL_PORT_RANGE, &(FIRST..=FIRST + 5))?;
            let listener = harness.listener(&here, "listener")?;
            for (time, [client, server]) in
                (1..).zip([["client 1", "server 1"], ["client 2", "server 2"], ["client 3", "server 3"]])
            {
                let client = harness.socket(&here, client)?;
                harness.connect(&client, here.port(SERVER)).step("connecting")?;
                opened(harness, &client, &listener, server)?;
                harness.state(format!("connect, {time}"), parity(&client.tcp)?);
            }
            let mut bound = Vec::new();
            for time in 1..=3 {
                let socket = here.bystander()?;
                socket.bind(here.port(0)).step("binding to port 0")?;
                harness.state(format!("bind, {time}"), parity(&socket)?);
                bound.push(socket);
            }
            Ok(())
        },
        paths: &[
            ("listener", &[Close, Listen]),
            ("client 1", OPENED),
            ("server 1", CHILD),
            ("client 2", OPENED),
            ("server 2", CHILD),
            ("client 3", OPENED),
            ("server 3", CHILD),
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
                    net/ipv4/inet_connection_sock.c; the range begins with an even port",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "ports/bind-without-port",
        description: "IP_BIND_ADDRESS_NO_PORT leaves the choice of the port to connect",
        steps: |harness| {
            let here = harness.here()?;
            let listener = harness.listener(&here, "listener")?;
            let client = harness.socket(&here, "client")?;
            client.tcp.bind_address_no_port().step("setting IP_BIND_ADDRESS_NO_PORT")?;
            client.tcp.bind(here.port(0)).step("client: binding")?;
            let local = client.tcp.local().step("client: asking for its port")?;
            harness.state("after bind", local);
            harness.connect(&client, here.port(SERVER)).step("client: connecting")?;
            let server = harness.accept(&listener, "server")?;
            let local = client.tcp.local().step("client: asking for its port")?;
            harness.state("has a port after connect", local.port() != 0);
            harness.until(&client, Established)?;
            harness.until(&server, Established)
        },
        paths: &[("listener", &[Close, Listen]), ("client", OPENED), ("server", CHILD)],
        facts: &[("after bind", "127.0.0.1:0"), ("has a port after connect", "true")],
        reference: "ip(7), IP_BIND_ADDRESS_NO_PORT (4.2)",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "ports/autobound-shared",
        description: "a port that connect chose is chosen again for another destination",
        needs: &[Need::Sysctl("ip_local_port_range")],
        steps: |harness| {
            let here = harness.here()?;
            here.set(sysctl::IP_LOCAL_PORT_RANGE, &(FIRST..=FIRST))?;
            let listener = harness.listener(&here, "listener")?;
            let other = another_listener(harness, &here)?;
            let first = harness.socket(&here, "first")?;
            harness.connect(&first, here.port(SERVER)).step("first: connecting")?;
            opened(harness, &first, &listener, "first child")?;

            let same = harness.socket(&here, "same destination")?;
            let connected = harness.connect(&same, here.port(SERVER));
            harness.says("same destination", &connected);
            harness.until(&same, Close)?;

            let second = harness.socket(&here, "another destination")?;
            let connected = harness.connect(&second, here.port(OTHER));
            harness.says("another destination", &connected);
            opened(harness, &second, &other, "another child")?;
            harness.state("the same port", first.tcp.local() == second.tcp.local());
            Ok(())
        },
        paths: &[
            ("listener", &[Close, Listen]),
            ("another listener", &[Close, Listen]),
            ("first", OPENED),
            ("first child", CHILD),
            ("same destination", REFUSED),
            ("another destination", OPENED),
            ("another child", CHILD),
        ],
        facts: &[
            ("same destination", "EADDRNOTAVAIL"),
            ("another destination", "success"),
            ("the same port", "true"),
        ],
        reference: "__inet_hash_connect in net/ipv4/inet_hashtables.c: buckets of connect alone have fastreuse -1",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "ports/bucket-after-bind",
        description: "a bind keeps a port from being chosen by connect, and no longer once it is gone",
        needs: &[Need::Sysctl("ip_local_port_range")],
        steps: |harness| {
            let here = harness.here()?;
            here.set(sysctl::IP_LOCAL_PORT_RANGE, &(FIRST..=FIRST))?;
            let listener = harness.listener(&here, "listener")?;
            let other = another_listener(harness, &here)?;
            let first = harness.socket(&here, "first")?;
            harness.connect(&first, here.port(SERVER)).step("first: connecting")?;
            opened(harness, &first, &listener, "first child")?;

            let occupant = here.bystander()?;
            occupant.bind(([127, 0, 0, 2], FIRST).into()).step("binding at another address")?;
            let during = harness.socket(&here, "during the bind")?;
            let connected = harness.connect(&during, here.port(OTHER));
            harness.says("during the bind", &connected);
            harness.until(&during, Close)?;

            drop(occupant);
            let after = harness.socket(&here, "after the bind")?;
            let connected = harness.connect(&after, here.port(OTHER));
            harness.says("after the bind", &connected);
            match connected {
                Ok(()) => opened(harness, &after, &other, "another child"),
                Err(_) => harness.until(&after, Close),
            }
        },
        paths: &[
            ("listener", &[Close, Listen]),
            ("another listener", &[Close, Listen]),
            ("first", OPENED),
            ("first child", CHILD),
            ("during the bind", REFUSED),
            ("after the bind", OPENED),
            ("another child", CHILD),
        ],
        facts: &[("during the bind", "EADDRNOTAVAIL"), ("after the bind", "success")],
        reference: "d57f4b874946 (6.18): fastreuse of inet_bind_bucket is brought up to date when a port is released",
        variants: &[Variant {
            cause: "before d57f4b874946 (6.18): the bucket stays as the bind made it, for as long as anybody uses the port",
            paths: &[("after the bind", REFUSED), ("another child", &[])],
            facts: &[("after the bind", "EADDRNOTAVAIL")],
        }],
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "ports/reserved",
        description: "a reserved port is not chosen, so that a connect to it cannot meet itself",
        needs: &[Need::Sysctl("ip_local_port_range"), Need::Sysctl("ip_local_reserved_ports")],
        steps: |harness| {
            let here = harness.here()?;
            here.set(sysctl::IP_LOCAL_PORT_RANGE, &(FIRST..=FIRST + 1))?;
            here.set(sysctl::IP_LOCAL_RESERVED_PORTS, &vec![FIRST..=FIRST])?;
            let client = harness.socket(&here, "client")?;
            let connected = harness.connect(&client, here.port(FIRST));
            harness.says("connect", &connected);
            harness.until(&client, Close)
        },
        paths: &[("client", REFUSED)],
        facts: &[("connect", "ECONNREFUSED")],
        reference: "Documentation/networking/ip-sysctl.rst, ip_local_reserved_ports",
        ..Behaviour::BLANK
    },
];

/// Accepts the child of a connect, and waits until both are reported.
fn opened(
    harness: &mut Harness,
    client: &TestSocket,
    listener: &TestSocket,
    label: &'static str,
) -> Result<(), StepError> {
    let server = harness.accept(listener, label)?;
    harness.until(client, Established)?;
    harness.until(&server, Established)
}

/// A second listener, at [`OTHER`].
fn another_listener(harness: &mut Harness, here: &TestHost) -> Result<TestSocket, StepError> {
    let listener = harness.bound(here, "another listener", OTHER)?;
    listener.tcp.listen(16).step("another listener: listening")?;
    Ok(listener)
}

/// Whether its port is even or odd.
fn parity(socket: &Tcp) -> Result<&'static str, StepError> {
    let port = socket.local().step("asking for its port")?.port();
    Ok(if port % 2 == 0 { "even" } else { "odd" })
}
