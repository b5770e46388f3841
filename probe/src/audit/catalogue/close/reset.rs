//! Connections that an RST closes.

use State::{Close, Established, Listen, SynRecv, SynSent};

use crate::{
    audit::{Behaviour, Requirement, catalogue::paths::LISTENER, harness},
    model::{Segment, Side, State},
    scenario::Step as _,
    wire::Rule,
};

/// A client that sends or receives an RST.
const CLIENT: (&str, &[State]) = ("client", &[Close, SynSent, Established, Close]);
/// A server that sends or receives an RST.
const SERVER: (&str, &[State]) = ("server", &[Listen, SynRecv, Established, Close]);

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "close/linger-0",
        description: "with SO_LINGER set to 0s, close sends an RST",
        steps: |harness| {
            let host = harness.host()?;
            let [_listener, client, server] = harness.connection(&host, &host)?;
            client.tcp.reset_on_close().step("client: setting SO_LINGER")?;
            let client = harness.close(client);
            let read = harness.read(&server);
            harness.observe_result("server reads", &read);
            harness.wait_for_state(client, Close)?;
            harness.wait_for_state(&server, Close)?;
            harness.observe_mini_socket(&host, client)
        },
        paths: &[LISTENER, CLIENT, SERVER],
        facts: &[("server reads", "ECONNRESET"), ("mini-socket of client", "none")],
        reference: "socket(7), SO_LINGER; RFC 9293 §3.10.5",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "close/unread-data",
        description: "the client closes with unread data and sends an RST",
        steps: |harness| {
            let host = harness.host()?;
            let before = host.counters()?;
            let [_listener, client, server] = harness.connection(&host, &host)?;
            harness.write(&server, b"data").step("server: writing")?;
            client.tcp.readable(harness.deadline()).step("client: waiting for data")?;
            let client = harness.close(client);
            let read = harness.read(&server);
            harness.observe_result("server reads", &read);
            harness.wait_for_state(client, Close)?;
            harness.wait_for_state(&server, Close)?;
            harness.observe_counters(&host, &before, &["TCPAbortOnClose"])
        },
        paths: &[LISTENER, CLIENT, SERVER],
        facts: &[("server reads", "ECONNRESET"), ("TCPAbortOnClose", "1")],
        reference: "RFC 1122 §4.2.2.13; RFC 2525 §2.17",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "close/disconnect",
        description: "a client disconnects with AF_UNSPEC, which sends an RST, and connects to the server \
                      again",
        steps: |harness| {
            let host = harness.host()?;
            let [listener, client, server] = harness.connection(&host, &host)?;
            let disconnected = client.tcp.disconnect();
            harness.observe_result("disconnect", &disconnected);
            let pending = client.tcp.pending_error();
            harness.observe_result("SO_ERROR", &pending);
            let read = harness.read(&server);
            harness.observe_result("server reads", &read);
            harness.wait_for_state(&server, Close)?;
            let connected = harness.connect(&client, host.endpoint(harness::SERVER_PORT));
            harness.observe_result("connect", &connected);
            let second_server = harness.accept(&listener, "second server")?;
            harness.wait_for_nth_entry(&client, 2, Established)?;
            harness.wait_for_state(&second_server, Established)
        },
        paths: &[
            LISTENER,
            ("client", &[Close, SynSent, Established, Close, SynSent, Established]),
            SERVER,
            ("second server", &[Listen, SynRecv, Established]),
        ],
        facts: &[
            ("disconnect", "success"),
            ("SO_ERROR", "ECONNRESET"),
            ("server reads", "ECONNRESET"),
            ("connect", "success"),
        ],
        reference: "connect(2), AF_UNSPEC; tcp_disconnect",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "close/half-open-peer",
        description: "half-open connection: the server no longer has it, and answers the client's data with an RST",
        needs: &[Requirement::Wire],
        steps: |harness| {
            let hosts = harness.host_pair()?;
            let [_listener, client, server] = harness.connection(&hosts.a, &hosts.b)?;
            let resets = hosts.wire.add_rule(Rule::drop(Segment::is_rst).sent_by(Side::B));
            server.tcp.reset_on_close().step("server: setting SO_LINGER")?;
            let server = harness.close(server);
            harness.wait_for_state(server, Close)?;
            hosts.wait_for_segment(Side::B, Segment::is_rst)?;
            hosts.wire.remove_rule(resets);
            for (name, wait_for_rst) in
                [("first write", true), ("second write", false), ("third write", false)]
            {
                let write = harness.write(&client, b"data");
                harness.observe_result(name, &write);
                if wait_for_rst {
                    harness.wait_for_state(&client, Close)?;
                }
            }
            harness.observe("sent by the server's host", hosts.sent_segments(Side::B));
            Ok(())
        },
        paths: &[LISTENER, CLIENT, SERVER],
        facts: &[
            ("first write", "success"),
            ("second write", "ECONNRESET"),
            ("third write", "EPIPE"),
            ("sent by the server's host", "SYN+ACK, RST+ACK, RST"),
        ],
        reference: "RFC 9293 §3.5.1; send(2)",
        ..Behaviour::DEFAULT
    },
];
