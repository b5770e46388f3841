//! Opening towards a listener, and without anybody's help.

use State::{Close, Established, Listen, SynRecv, SynSent};

use crate::{
    audit::{Behaviour, Need, harness::SERVER},
    model::State,
    os::capability::Capability,
    scenario::Step as _,
};

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "open/ordinary",
        description: "a client connects to a listener",
        steps: |harness| {
            let here = harness.here()?;
            let [_listener, client, server] = harness.connected(&here, &here)?;
            harness.until(&client, Established)?;
            harness.until(&server, Established)
        },
        paths: &[
            ("listener", &[Close, Listen]),
            ("client", &[Close, SynSent, Established]),
            ("server", &[Listen, SynRecv, Established]),
        ],
        reference: "RFC 9293 §3.5, figure 6",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "open/to-any-address",
        description: "a connect to 0.0.0.0 goes to the loopback address",
        steps: |harness| {
            let here = harness.here()?;
            let listener = harness.listener(&here, "listener")?;
            let client = harness.socket(&here, "client")?;
            // What the kernel makes of it is what it will report.
            harness.aims(&client, here.port(SERVER));
            client.tcp.begin_connect(([0, 0, 0, 0], SERVER).into()).step("client: connecting")?;
            let server = harness.accept(&listener, "server")?;
            harness.until(&client, Established)?;
            harness.until(&server, Established)?;
            let peer = client.tcp.remote().step("client: asking for its peer")?;
            harness.state("peer", peer);
            Ok(())
        },
        paths: &[
            ("listener", &[Close, Listen]),
            ("client", &[Close, SynSent, Established]),
            ("server", &[Listen, SynRecv, Established]),
        ],
        facts: &[("peer", "127.0.0.1:1314")],
        reference: "ip_route_output_key_hash_rcu in net/ipv4/route.c: no destination is the own host",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "open/repair",
        description: "under TCP_REPAIR a connect is a change of state, without a packet",
        needs: &[Need::Capability(Capability::NET_ADMIN)],
        steps: |harness| {
            let here = harness.here()?;
            let before = here.counters()?;
            let client = harness.socket(&here, "client")?;
            client.tcp.repair().step("client: setting TCP_REPAIR")?;
            harness.aims(&client, here.port(SERVER));
            let connected = client.tcp.connect_once(here.port(SERVER));
            harness.says("connect", &connected);
            harness.until(&client, Established)?;
            harness.counted(&here, &before, &["OutSegs"])
        },
        paths: &[("client", &[Close, SynSent, Established])],
        facts: &[("connect", "success"), ("OutSegs", "0")],
        reference: "tcp_connect in net/ipv4/tcp_output.c: under repair it ends with tcp_finish_connect",
        ..Behaviour::BLANK
    },
];
