//! Connects that fail.

use State::{Close, Established, Listen, SynRecv, SynSent};

use crate::{
    audit::{Behaviour, Requirement, Variant, catalogue::paths::LISTENER, harness::SERVER_PORT},
    model::{Segment, Side, State},
    net::sysctl,
    scenario::{Step as _, StepError},
    wire::Rule,
};

/// The codes of ICMP destination unreachable to test, and the label of the socket for each.
const CODES: [(u8, &str); 5] =
    [(0, "network"), (1, "host"), (2, "protocol"), (3, "port"), (13, "prohibited")];

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "open/refused",
        description: "a client connects to a port without a listener and is refused",
        steps: |harness| {
            let host = harness.host()?;
            let client = harness.socket(&host, "client")?;
            let connected = harness.connect(&client, host.endpoint(SERVER_PORT));
            harness.observe_result("connect", &connected);
            harness.wait_for_state(&client, Close)
        },
        paths: &[("client", &[Close, SynSent, Close])],
        facts: &[("connect", "ECONNREFUSED")],
        reference: "RFC 9293 §3.10.7.1",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "open/to-port-0",
        description: "a client connects to port 0, which the kernel treats like any other port, and is \
                      refused",
        steps: |harness| {
            let host = harness.host()?;
            let client = harness.socket(&host, "client")?;
            let connected = harness.connect(&client, host.endpoint(0));
            harness.observe_result("connect", &connected);
            harness.wait_for_state(&client, Close)
        },
        paths: &[("client", &[Close, SynSent, Close])],
        facts: &[("connect", "ECONNREFUSED")],
        reference: "RFC 9293 §3.10.7.1",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "open/timeout",
        description: "the SYN is never answered: the client retransmits it, then fails with ETIMEDOUT",
        needs: &[Requirement::Wire, Requirement::Sysctl("tcp_syn_retries")],
        steps: |harness| {
            let hosts = harness.host_pair()?;
            hosts.a.set_sysctl(sysctl::TCP_SYN_RETRIES, &1)?;
            hosts.wire.add_rule(Rule::drop(Segment::is_syn));
            let client = harness.socket(&hosts.a, "client")?;
            harness.begin_connect(&client, hosts.b.endpoint(SERVER_PORT)).step("client: connecting")?;
            harness.wait_for_state(&client, Close)?;
            let connected = client.tcp.pending_error();
            harness.observe_result("connect", &connected);
            harness.observe("SYNs", hosts.count_sent(Side::A, Segment::is_syn));
            Ok(())
        },
        paths: &[("client", &[Close, SynSent, Close])],
        facts: &[("connect", "ETIMEDOUT"), ("SYNs", "2")],
        reference: "RFC 9293 §3.8.3; tcp(7), tcp_syn_retries",
        variants: &[Variant {
            cause: "since ccce324dabfe (6.5): tcp_syn_linear_timeouts retransmits at intervals of 1s, so \
                    that two retransmissions fit into the 3s of one retry",
            paths: &[],
            facts: &[("SYNs", "3")],
        }],
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "open/unreachable",
        description: "an ICMP destination unreachable in SYN_SENT aborts the connect, whether the error is \
                      soft or hard",
        needs: &[Requirement::Wire],
        steps: |harness| {
            let hosts = harness.host_pair()?;
            hosts.wire.add_rule(Rule::drop(Segment::is_syn));
            for (code, label) in CODES {
                let port = SERVER_PORT + u16::from(code);
                let client = harness.bound_socket(&hosts.a, label, port)?;
                harness
                    .begin_connect(&client, hosts.b.endpoint(SERVER_PORT))
                    .step(format!("{label}: connecting"))?;
                let is_syn = move |segment: &Segment| segment.is_syn() && segment.source.port() == port;
                let syn = hosts.wait_for_nth_segment(Side::A, 1, is_syn)?;
                hosts.wire.inject_unreachable(&syn, code);
                harness.wait_for_state(&client, Close)?;
                let connected = client.tcp.pending_error();
                harness.observe_result(label, &connected);
            }
            Ok(())
        },
        paths: &[
            ("network", &[Close, SynSent, Close]),
            ("host", &[Close, SynSent, Close]),
            ("protocol", &[Close, SynSent, Close]),
            ("port", &[Close, SynSent, Close]),
            ("prohibited", &[Close, SynSent, Close]),
        ],
        facts: &[
            ("network", "ENETUNREACH"),
            ("host", "EHOSTUNREACH"),
            ("protocol", "ENOPROTOOPT"),
            ("port", "ECONNREFUSED"),
            ("prohibited", "EHOSTUNREACH"),
        ],
        reference: "RFC 5461 §4.1, which explains why soft errors abort a connect, contrary to RFC 9293 \
                    §3.9.2.2 (MUST-56)",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "open/no-route",
        description: "without a route to the destination, connect fails before the socket leaves CLOSE",
        steps: |harness| {
            let host = harness.host()?;
            let before = host.counters()?;
            let client = harness.socket(&host, "client")?;
            let connected = harness.connect(&client, ([10, 13, 14, 2], SERVER_PORT).into());
            harness.observe_result("connect", &connected);
            harness.observe_counters(&host, &before, &["OutSegs"])
        },
        facts: &[("connect", "ENETUNREACH"), ("OutSegs", "0")],
        reference: "connect(2); tcp_v4_connect in net/ipv4/tcp_ipv4.c looks up the route first",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "open/duplicate",
        description: "the kernel refuses a second connection with the same 4-tuple without sending a segment",
        steps: |harness| {
            let host = harness.host()?;
            let listener = harness.listener(&host, "listener")?;
            let mut bind = |label| {
                let socket = harness.socket(&host, label)?;
                socket.tcp.reuse_address().step("setting SO_REUSEADDR")?;
                harness.bind(&socket, host.endpoint(SERVER_PORT + 1)).step(format!("{label}: binding"))?;
                Ok::<_, StepError>(socket)
            };
            let (first, second) = (bind("first")?, bind("second")?);
            harness.connect(&first, host.endpoint(SERVER_PORT)).step("first: connecting")?;
            let server = harness.accept(&listener, "server")?;
            harness.wait_for_state(&server, Established)?;
            let before = host.counters()?;
            let connected = harness.connect(&second, host.endpoint(SERVER_PORT));
            harness.observe_result("second", &connected);
            harness.wait_for_state(&second, Close)?;
            harness.observe_counters(&host, &before, &["OutSegs"])
        },
        paths: &[
            LISTENER,
            ("first", &[Close, SynSent, Established]),
            ("second", &[Close, SynSent, Close]),
            ("server", &[Listen, SynRecv, Established]),
        ],
        facts: &[("second", "EADDRNOTAVAIL"), ("OutSegs", "0")],
        reference: "connect(2); __inet_check_established in net/ipv4/inet_hashtables.c",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "open/exhausted",
        description: "no local port is free: connect fails with EADDRNOTAVAIL, bind to port 0 with \
                      EADDRINUSE",
        needs: &[Requirement::Sysctl("ip_local_port_range")],
        steps: |harness| {
            let host = harness.host()?;
            host.set_sysctl(sysctl::IP_LOCAL_PORT_RANGE, &(SERVER_PORT..=SERVER_PORT))?;
            let holder = host.unobserved_socket()?;
            holder.bind(host.endpoint(SERVER_PORT)).step("binding to the only port")?;
            let client = harness.socket(&host, "client")?;
            let connected = harness.connect(&client, host.endpoint(SERVER_PORT + 1));
            harness.observe_result("connect", &connected);
            let bound = host.unobserved_socket()?.bind(host.endpoint(0));
            harness.observe_result("bind", &bound);
            harness.wait_for_state(&client, Close)?;
            harness.observe_port_leaving_close(&client)
        },
        paths: &[("client", &[Close, SynSent, Close])],
        facts: &[
            ("connect", "EADDRNOTAVAIL"),
            ("bind", "EADDRINUSE"),
            ("local port on leaving CLOSE", "none"),
        ],
        reference: "connect(2); bind(2), EADDRINUSE, second entry",
        ..Behaviour::DEFAULT
    },
];
