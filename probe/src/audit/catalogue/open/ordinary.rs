//! Opening a connection to a listener, and without a peer (TCP_REPAIR).

use State::{Close, Established, Listen, SynRecv, SynSent};

use crate::{
    audit::{Behaviour, Requirement, catalogue::paths::LISTENER, harness::SERVER_PORT},
    model::State,
    os::capability::Capability,
    scenario::Step as _,
};

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "open/ordinary",
        description: "a client connects to a listener with a three-way handshake",
        steps: |harness| {
            let host = harness.host()?;
            let [_listener, client, server] = harness.connection(&host, &host)?;
            harness.wait_for_state(&client, Established)?;
            harness.wait_for_state(&server, Established)
        },
        paths: &[
            LISTENER,
            ("client", &[Close, SynSent, Established]),
            ("server", &[Listen, SynRecv, Established]),
        ],
        reference: "RFC 9293 §3.5, figure 6",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "open/to-any-address",
        description: "a client connects to 0.0.0.0, and the kernel connects it to 127.0.0.1",
        steps: |harness| {
            let host = harness.host()?;
            let listener = harness.listener(&host, "listener")?;
            let client = harness.socket(&host, "client")?;
            // The kernel will report 127.0.0.1 as the remote address.
            harness.set_remote(&client, host.endpoint(SERVER_PORT));
            client.tcp.begin_connect(([0, 0, 0, 0], SERVER_PORT).into()).step("client: connecting")?;
            let server = harness.accept(&listener, "server")?;
            harness.wait_for_state(&client, Established)?;
            harness.wait_for_state(&server, Established)?;
            let peer = client.tcp.remote().step("client: reading its remote endpoint")?;
            harness.observe("peer", peer);
            Ok(())
        },
        paths: &[
            LISTENER,
            ("client", &[Close, SynSent, Established]),
            ("server", &[Listen, SynRecv, Established]),
        ],
        facts: &[("peer", "127.0.0.1:1314")],
        reference: "ip_route_output_key_hash_rcu in net/ipv4/route.c: an unspecified destination is the \
                    local host",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "open/repair",
        description: "under TCP_REPAIR, connect sets the state to ESTABLISHED without sending a segment",
        needs: &[Requirement::Capability(Capability::NET_ADMIN)],
        steps: |harness| {
            let host = harness.host()?;
            let before = host.counters()?;
            let client = harness.socket(&host, "client")?;
            client.tcp.repair().step("client: setting TCP_REPAIR")?;
            harness.set_remote(&client, host.endpoint(SERVER_PORT));
            let connected = client.tcp.connect_once(host.endpoint(SERVER_PORT));
            harness.observe_result("connect", &connected);
            harness.wait_for_state(&client, Established)?;
            harness.observe_counters(&host, &before, &["OutSegs"])
        },
        paths: &[("client", &[Close, SynSent, Established])],
        facts: &[("connect", "success"), ("OutSegs", "0")],
        reference: "tcp_connect in net/ipv4/tcp_output.c: under TCP_REPAIR it calls tcp_finish_connect and \
                    returns",
        ..Behaviour::DEFAULT
    },
];
