//! Connects that come to nothing.

use State::{Close, Established, Listen, SynRecv, SynSent};

use crate::{
    audit::{Behaviour, Need, Variant, harness::SERVER},
    model::{Segment, Side, State},
    net::sysctl,
    scenario::{Step as _, StepError},
    wire::Rule,
};

/// The codes of ICMP's "destination unreachable" that are tried, each by a socket that is bound to that port.
const CODES: [(u8, &str); 5] =
    [(0, "network"), (1, "host"), (2, "protocol"), (3, "port"), (13, "prohibited")];

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "open/refused",
        description: "a client connects where nobody listens",
        steps: |harness| {
            let here = harness.here()?;
            let client = harness.socket(&here, "client")?;
            let connected = harness.connect(&client, here.port(SERVER));
            harness.says("connect", &connected);
            harness.until(&client, Close)
        },
        paths: &[("client", &[Close, SynSent, Close])],
        facts: &[("connect", "ECONNREFUSED")],
        reference: "RFC 9293 §3.10.7.1",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "open/to-port-0",
        description: "port 0 can be connected to like any other, and is refused",
        steps: |harness| {
            let here = harness.here()?;
            let client = harness.socket(&here, "client")?;
            let connected = harness.connect(&client, here.port(0));
            harness.says("connect", &connected);
            harness.until(&client, Close)
        },
        paths: &[("client", &[Close, SynSent, Close])],
        facts: &[("connect", "ECONNREFUSED")],
        reference: "RFC 9293 §3.10.7.1",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "open/timeout",
        description: "nobody answers the SYN, which is sent again as often as tcp_syn_retries=1 allows",
        needs: &[Need::Wire, Need::Sysctl("tcp_syn_retries")],
        steps: |harness| {
            let ends = harness.ends()?;
            ends.a.set(sysctl::TCP_SYN_RETRIES, &1)?;
            ends.wire.add(Rule::drop(Segment::is_syn));
            let client = harness.socket(&ends.a, "client")?;
            harness.begin_connect(&client, ends.b.port(SERVER)).step("client: connecting")?;
            harness.until(&client, Close)?;
            let connected = client.tcp.pending_error();
            harness.says("connect", &connected);
            harness.state("SYNs", ends.count(Side::A, Segment::is_syn));
            Ok(())
        },
        paths: &[("client", &[Close, SynSent, Close])],
        facts: &[("connect", "ETIMEDOUT"), ("SYNs", "2")],
        reference: "RFC 9293 §3.8.3; tcp(7), tcp_syn_retries",
        variants: &[Variant {
            cause: "since ccce324dabfe (6.5): tcp_syn_linear_timeouts sends them a second apart, so that the three seconds of \
                    one retry have room for two",
            paths: &[],
            facts: &[("SYNs", "3")],
        }],
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "open/unreachable",
        description: "an ICMP message ends a connect, whether it says that the trouble may pass or not",
        needs: &[Need::Wire],
        steps: |harness| {
            let ends = harness.ends()?;
            ends.wire.add(Rule::drop(Segment::is_syn));
            for (code, label) in CODES {
                let port = SERVER + u16::from(code);
                let client = harness.bound(&ends.a, label, port)?;
                harness.begin_connect(&client, ends.b.port(SERVER)).step(format!("{label}: connecting"))?;
                let own = move |segment: &Segment| segment.is_syn() && segment.source.port() == port;
                let syn = ends.shows_times(Side::A, 1, own)?;
                ends.wire.inject_unreachable(&syn, code);
                harness.until(&client, Close)?;
                let connected = client.tcp.pending_error();
                harness.says(label, &connected);
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
        reference: "RFC 5461 §4.1, which says why soft errors end a connect against RFC 9293 §3.9.2.2 (MUST-56)",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "open/no-route",
        description: "where no route leads, connect fails before the socket has left CLOSE",
        steps: |harness| {
            let here = harness.here()?;
            let before = here.counters()?;
            let client = harness.socket(&here, "client")?;
            let connected = harness.connect(&client, ([10, 13, 14, 2], SERVER).into());
            harness.says("connect", &connected);
            harness.counted(&here, &before, &["OutSegs"])
        },
        facts: &[("connect", "ENETUNREACH"), ("OutSegs", "0")],
        reference: "connect(2); tcp_v4_connect in net/ipv4/tcp_ipv4.c looks for a route first",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "open/duplicate",
        description: "a second connection between the same ends is refused by the kernel itself, without a packet",
        steps: |harness| {
            let here = harness.here()?;
            let listener = harness.listener(&here, "listener")?;
            let mut bind = |label| {
                let player = harness.socket(&here, label)?;
                player.tcp.reuse_address().step("setting SO_REUSEADDR")?;
                harness.bind(&player, here.port(SERVER + 1)).step(format!("{label}: binding"))?;
                Ok::<_, StepError>(player)
            };
            let (first, second) = (bind("first")?, bind("second")?);
            harness.connect(&first, here.port(SERVER)).step("first: connecting")?;
            let server = harness.accept(&listener, "server")?;
            harness.until(&server, Established)?;
            let before = here.counters()?;
            let connected = harness.connect(&second, here.port(SERVER));
            harness.says("second", &connected);
            harness.until(&second, Close)?;
            harness.counted(&here, &before, &["OutSegs"])
        },
        paths: &[
            ("listener", &[Close, Listen]),
            ("first", &[Close, SynSent, Established]),
            ("second", &[Close, SynSent, Close]),
            ("server", &[Listen, SynRecv, Established]),
        ],
        facts: &[("second", "EADDRNOTAVAIL"), ("OutSegs", "0")],
        reference: "connect(2); __inet_check_established in net/ipv4/inet_hashtables.c",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "open/exhausted",
        description: "no port is left to choose from: connect and bind to port 0 say it in two ways",
        needs: &[Need::Sysctl("ip_local_port_range")],
        steps: |harness| {
            let here = harness.here()?;
            here.set(sysctl::IP_LOCAL_PORT_RANGE, &(SERVER..=SERVER))?;
            let occupant = here.bystander()?;
            occupant.bind(here.port(SERVER)).step("taking the only port")?;
            let client = harness.socket(&here, "client")?;
            let connected = harness.connect(&client, here.port(SERVER + 1));
            harness.says("connect", &connected);
            let bound = here.bystander()?.bind(here.port(0));
            harness.says("bind", &bound);
            harness.until(&client, Close)?;
            harness.state_first_port(&client)
        },
        paths: &[("client", &[Close, SynSent, Close])],
        facts: &[("connect", "EADDRNOTAVAIL"), ("bind", "EADDRINUSE"), ("port when it left CLOSE", "none")],
        reference: "connect(2); bind(2), EADDRINUSE, the second",
        ..Behaviour::BLANK
    },
];
