//! Connections of a socket with itself.

use State::{Close, Established, Listen, SynRecv, SynSent};

use crate::{
    audit::{Behaviour, Need, harness::SERVER},
    model::{Family, State},
    net::{Tcp, sysctl},
    scenario::Step as _,
};

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "open/self-connect",
        description: "a socket connects to the port that it is bound to, and so to itself",
        needs: &[Need::Crossing],
        steps: |harness| {
            let here = harness.here()?;
            let own = harness.bound(&here, "self", SERVER)?;
            let connected = harness.connect(&own, here.port(SERVER));
            harness.says("connect", &connected);
            harness.until(&own, Established)?;
            let echo =
                own.tcp.write_once(b"I love you.").and_then(|_| own.tcp.read_exact(11, harness.deadline()));
            harness.state("reads its own words", echo.is_ok_and(|words| words == b"I love you."));
            Ok(())
        },
        paths: &[("self", &[Close, SynSent, SynRecv, Established])],
        facts: &[("connect", "success"), ("reads its own words", "true")],
        reference: "RFC 9293 §3.5: its own SYN is the other of a simultaneous open",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "open/self-connect-autobound",
        description: "the kernel chooses the very port that the socket connects to",
        needs: &[Need::Crossing, Need::Sysctl("ip_local_port_range")],
        steps: |harness| {
            let here = harness.here()?;
            here.set(sysctl::IP_LOCAL_PORT_RANGE, &(SERVER..=SERVER))?;
            let own = harness.socket(&here, "self")?;
            let connected = harness.connect(&own, here.port(SERVER));
            harness.says("connect", &connected);
            harness.until(&own, Established)?;
            harness.state_first_port(&own)
        },
        paths: &[("self", &[Close, SynSent, SynRecv, Established])],
        facts: &[("connect", "success"), ("port when it left CLOSE", "none")],
        reference: "__inet_hash_connect in net/ipv4/inet_hashtables.c does not look at the remote port",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "open/self-connect-parity",
        description: "connecting to closed ports meets itself only on ports of the parity that connect chooses first",
        needs: &[Need::Crossing, Need::Sysctl("ip_local_port_range")],
        steps: |harness| {
            let here = harness.here()?;
            here.set(sysctl::IP_LOCAL_PORT_RANGE, &(SERVER..=SERVER + 1))?;
            let (even, odd) = (here.port(SERVER), here.port(SERVER + 1));
            for label in ["odd, first", "odd, second", "odd, third"] {
                let other = harness.socket(&here, label)?;
                let connected = harness.connect(&other, odd);
                harness.says(label, &connected);
                harness.until(&other, Close)?;
            }
            let occupant = here.bystander()?;
            occupant.bind(even).step("taking the even port")?;
            let last = harness.socket(&here, "odd, the even taken")?;
            let connected = harness.connect(&last, odd);
            harness.says("odd, the even taken", &connected);
            harness.until(&last, Established)?;
            drop(occupant);
            let own = harness.socket(&here, "even")?;
            let connected = harness.connect(&own, even);
            harness.says("even", &connected);
            harness.until(&own, Established)
        },
        paths: &[
            ("odd, first", &[Close, SynSent, Close]),
            ("odd, second", &[Close, SynSent, Close]),
            ("odd, third", &[Close, SynSent, Close]),
            ("odd, the even taken", &[Close, SynSent, SynRecv, Established]),
            ("even", &[Close, SynSent, SynRecv, Established]),
        ],
        facts: &[
            ("odd, first", "ECONNREFUSED"),
            ("odd, second", "ECONNREFUSED"),
            ("odd, third", "ECONNREFUSED"),
            ("odd, the even taken", "success"),
            ("even", "success"),
        ],
        reference: "__inet_hash_connect in net/ipv4/inet_hashtables.c: first the ports of the range's lower end's parity",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "open/self-connect-over-listener",
        description: "a self-connect takes precedence over a listener on the same port",
        needs: &[Need::Crossing],
        steps: |harness| {
            let here = harness.here()?;
            let [listener, own] = [harness.socket(&here, "listener")?, harness.socket(&here, "self")?];
            for player in [&listener, &own] {
                player.tcp.reuse_port().step("setting SO_REUSEPORT")?;
                harness.bind(player, here.port(SERVER)).step("binding")?;
            }
            listener.tcp.listen(16).step("listening")?;
            let connected = harness.connect(&own, here.port(SERVER));
            harness.says("connect", &connected);
            harness.until(&own, Established)?;
            harness.state("its peer is itself", own.tcp.local() == own.tcp.remote());
            let accepted = listener.tcp.accept_once();
            harness.says("accept", &accepted);
            Ok(())
        },
        paths: &[("listener", &[Close, Listen]), ("self", &[Close, SynSent, SynRecv, Established])],
        facts: &[("connect", "success"), ("its peer is itself", "true"), ("accept", "EAGAIN")],
        reference: "__inet_lookup in include/net/inet_hashtables.h: connections before listeners",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "open/self-connect-ipv6",
        description: "a socket connects to itself on ::1, and on 127.0.0.1 mapped into IPv6",
        needs: &[Need::Crossing, Need::Ipv6],
        steps: |harness| {
            let here = harness.here()?;
            for (label, address) in [("::1", "[::1]:1314"), ("mapped", "[::ffff:127.0.0.1]:1315")] {
                let own = harness.made(&here, label, || Tcp::new(Family::Ipv6))?;
                let address = address.parse().step("reading an address")?;
                harness.bind(&own, address).step(format!("{label}: binding"))?;
                let connected = harness.connect(&own, address);
                harness.says(label, &connected);
                harness.until(&own, Established)?;
            }
            Ok(())
        },
        paths: &[
            ("::1", &[Close, SynSent, SynRecv, Established]),
            ("mapped", &[Close, SynSent, SynRecv, Established]),
        ],
        facts: &[("::1", "success"), ("mapped", "success")],
        reference: "RFC 9293 §3.5; RFC 4291 §2.5.5.2",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "open/same-port-other-address",
        description: "a connect from 127.0.0.1 to the same port of 127.0.0.2 is refused, for that is somebody else",
        steps: |harness| {
            let here = harness.here()?;
            let client = harness.bound(&here, "client", SERVER)?;
            let connected = harness.connect(&client, ([127, 0, 0, 2], SERVER).into());
            harness.says("connect", &connected);
            harness.until(&client, Close)
        },
        paths: &[("client", &[Close, SynSent, Close])],
        facts: &[("connect", "ECONNREFUSED")],
        reference: "RFC 9293 §3.10.7.1",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "open/self-connect-mptcp",
        description: "an MPTCP socket connects to itself, for its subflow (a stranger to the program) does",
        needs: &[Need::Crossing, Need::Mptcp],
        steps: |harness| {
            let here = harness.here()?;
            let own = harness.made(&here, "mptcp", || Tcp::multipath(Family::Ipv4))?;
            harness.bind(&own, here.port(SERVER)).step("binding")?;
            let connected = harness.connect(&own, here.port(SERVER));
            harness.says("connect", &connected);
            harness.until(&own, Established)
        },
        paths: &[
            ("mptcp", &[Close, SynSent, Established]),
            ("stranger 1", &[Close, SynSent, SynRecv, Established]),
        ],
        facts: &[("connect", "success")],
        reference: "mptcp_connect in net/mptcp/protocol.c; RFC 8684 §3.7: it falls back to TCP",
        ..Behaviour::BLANK
    },
];
