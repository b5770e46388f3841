//! Opening towards a listener, and without anybody's help.

use State::{Close, Established, Listen, SynRecv, SynSent};

use crate::{
    audit::{Behaviour, Need, bench::SERVER},
    model::State,
    net::capability::Capability,
    scenario::Step as _,
};

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "open/ordinary",
        says: "a client connects to a listener",
        steps: |bench| {
            let here = bench.here()?;
            let [_listener, client, server] = bench.connected(&here, &here)?;
            bench.until(&client, Established)?;
            bench.until(&server, Established)
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
        says: "a connect to 0.0.0.0 goes to the loopback address",
        steps: |bench| {
            let here = bench.here()?;
            let listener = bench.listener(&here, "listener")?;
            let client = bench.socket(&here, "client")?;
            // What the kernel makes of it is what it will report.
            bench.aims(&client, here.port(SERVER));
            client.tcp.begin_connect(([0, 0, 0, 0], SERVER).into()).step("client: connecting")?;
            let server = bench.accept(&listener, "server")?;
            bench.until(&client, Established)?;
            bench.until(&server, Established)?;
            let peer = client.tcp.remote().step("client: asking for its peer")?;
            bench.state("peer", peer);
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
        says: "under TCP_REPAIR a connect is a change of state, without a packet",
        needs: &[Need::Capability(Capability::NET_ADMIN)],
        steps: |bench| {
            let here = bench.here()?;
            let before = here.counters()?;
            let client = bench.socket(&here, "client")?;
            client.tcp.repair().step("client: setting TCP_REPAIR")?;
            bench.aims(&client, here.port(SERVER));
            let connected = client.tcp.connect_once(here.port(SERVER));
            bench.says("connect", &connected);
            bench.until(&client, Established)?;
            bench.counted(&here, &before, &["OutSegs"])
        },
        paths: &[("client", &[Close, SynSent, Established])],
        facts: &[("connect", "success"), ("OutSegs", "0")],
        reference: "tcp_connect in net/ipv4/tcp_output.c: under repair it ends with tcp_finish_connect",
        ..Behaviour::BLANK
    },
];
