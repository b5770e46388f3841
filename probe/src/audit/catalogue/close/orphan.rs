//! Orphans: connections that no process has a descriptor of, and that are not closed yet.

use State::{Close, CloseWait, Established, FinWait1, FinWait2, Listen, SynRecv, SynSent};

use crate::{
    audit::{Behaviour, Requirement, catalogue::paths::LISTENER},
    model::{Segment, Side, State},
    net::sysctl,
    scenario::Step as _,
    wire::Rule,
};

/// A client that closes, and whose FIN is acknowledged.
const CLIENT: (&str, &[State]) = ("client", &[Close, SynSent, Established, FinWait1, FinWait2, Close]);
/// A server that receives a FIN, then an RST.
const SERVER: (&str, &[State]) = ("server", &[Listen, SynRecv, Established, CloseWait, Close]);

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "close/orphan",
        description: "the client closes, and its FIN_WAIT2 mini-socket answers the server's data with an RST",
        steps: |harness| {
            let host = harness.host()?;
            let [_listener, client, server] = harness.connection(&host, &host)?;
            let client = harness.close(client);
            harness.wait_for_state(client, Close)?;
            harness.wait_for_state(&server, CloseWait)?;
            harness.observe_mini_socket(&host, client)?;
            let write = harness.write(&server, b"data");
            harness.observe_result("server writes", &write);
            harness.wait_for_state(&server, Close)?;
            let write = harness.write(&server, b"data");
            harness.observe_result("server writes again", &write);
            let removed = harness.poll_until(|| Ok(harness.mini_socket(&host, client)?.is_none()))?;
            harness.observe("mini-socket is removed", removed);
            Ok(())
        },
        paths: &[LISTENER, CLIENT, SERVER],
        facts: &[
            ("mini-socket of client", "FIN_WAIT2"),
            ("server writes", "success"),
            ("server writes again", "EPIPE"),
            ("mini-socket is removed", "true"),
        ],
        reference: "RFC 9293 §3.10.4; RFC 1122 §4.2.2.13; tcp_timewait_state_process",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "close/linger2",
        description: "with TCP_LINGER2 below 0, close in FIN_WAIT2 sends an RST",
        steps: |harness| {
            let host = harness.host()?;
            let before = host.counters()?;
            let [_listener, client, server] = harness.connection(&host, &host)?;
            client.tcp.linger_in_fin_wait2(-1).step("client: setting TCP_LINGER2")?;
            harness.shutdown_write(&client)?;
            harness.wait_for_state(&client, FinWait2)?;
            harness.wait_for_state(&server, CloseWait)?;
            let client = harness.close(client);
            harness.wait_for_state(client, Close)?;
            harness.wait_for_state(&server, Close)?;
            harness.observe_counters(&host, &before, &["TCPAbortOnLinger"])?;
            let write = harness.write(&server, b"data");
            harness.observe_result("server writes", &write);
            harness.observe_mini_socket(&host, client)
        },
        paths: &[
            LISTENER,
            ("client", &[Close, SynSent, Established, FinWait1, FinWait2, FinWait2, Close]),
            SERVER,
        ],
        facts: &[("TCPAbortOnLinger", "1"), ("server writes", "EPIPE"), ("mini-socket of client", "none")],
        reference: "tcp(7), TCP_LINGER2; __tcp_close",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "close/linger2-orphan",
        description: "with TCP_LINGER2 below 0, an orphan answers the ACK of its FIN with an RST",
        steps: |harness| {
            let host = harness.host()?;
            let before = host.counters()?;
            let [_listener, client, server] = harness.connection(&host, &host)?;
            client.tcp.linger_in_fin_wait2(-1).step("client: setting TCP_LINGER2")?;
            let client = harness.close(client);
            harness.wait_for_state(client, Close)?;
            harness.wait_for_state(&server, Close)?;
            harness.observe_counters(&host, &before, &["TCPAbortOnData"])?;
            harness.observe_mini_socket(&host, client)
        },
        paths: &[LISTENER, CLIENT, SERVER],
        facts: &[("TCPAbortOnData", "1"), ("mini-socket of client", "none")],
        reference: "tcp(7), TCP_LINGER2; tcp_rcv_state_process, FIN_WAIT1",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "close/orphan-timeout",
        description: "the FIN of an orphan is never acknowledged, and the kernel closes the orphan without \
                      an RST",
        needs: &[Requirement::Wire, Requirement::Sysctl("tcp_orphan_retries")],
        steps: |harness| {
            let hosts = harness.host_pair()?;
            hosts.a.set_sysctl(sysctl::TCP_ORPHAN_RETRIES, &1)?;
            let [_listener, client, _server] = harness.connection(&hosts.a, &hosts.b)?;
            hosts.wire.add_rule(Rule::drop(Segment::is_fin));
            let client = harness.close(client);
            harness.wait_for_state(client, Close)?;
            harness.observe("RSTs of the client", hosts.count_sent(Side::A, Segment::is_rst));
            harness.observe_mini_socket(&hosts.a, client)
        },
        paths: &[
            LISTENER,
            ("client", &[Close, SynSent, Established, FinWait1, Close]),
            ("server", &[Listen, SynRecv, Established]),
        ],
        facts: &[("RSTs of the client", "0"), ("mini-socket of client", "none")],
        reference: "tcp(7), tcp_orphan_retries; tcp_write_timeout",
        ..Behaviour::DEFAULT
    },
];
