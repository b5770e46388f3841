//! Connections that end by a RST.

use State::{Close, Established, Listen, SynRecv, SynSent};

use super::LISTENER;
use crate::{
    audit::{Behaviour, Need, harness},
    model::{Segment, Side, State},
    scenario::Step as _,
    wire::Rule,
};

/// A client that is reset, or resets.
const CLIENT: (&str, &[State]) = ("client", &[Close, SynSent, Established, Close]);
/// A server that is reset, or resets.
const SERVER: (&str, &[State]) = ("server", &[Listen, SynRecv, Established, Close]);

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "close/linger-0",
        description: "with an SO_LINGER of 0 s a close is a RST",
        steps: |harness| {
            let here = harness.here()?;
            let [_listener, client, server] = harness.connected(&here, &here)?;
            client.tcp.reset_on_close().step("client: setting SO_LINGER")?;
            let client = harness.close(client);
            let read = harness.read(&server);
            harness.says("server reads", &read);
            harness.until(client, Close)?;
            harness.until(&server, Close)?;
            harness.state_remains(&here, client)
        },
        paths: &[LISTENER, CLIENT, SERVER],
        facts: &[("server reads", "ECONNRESET"), ("remains of client", "nothing")],
        reference: "socket(7), SO_LINGER; RFC 9293 §3.10.5",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "close/unread-data",
        description: "the client closes with data that it has not read",
        steps: |harness| {
            let here = harness.here()?;
            let before = here.counters()?;
            let [_listener, client, server] = harness.connected(&here, &here)?;
            harness.write(&server, b"data").step("server: writing")?;
            client.tcp.readable(harness.deadline()).step("client: waiting for data")?;
            let client = harness.close(client);
            let read = harness.read(&server);
            harness.says("server reads", &read);
            harness.until(client, Close)?;
            harness.until(&server, Close)?;
            harness.counted(&here, &before, &["TCPAbortOnClose"])
        },
        paths: &[LISTENER, CLIENT, SERVER],
        facts: &[("server reads", "ECONNRESET"), ("TCPAbortOnClose", "1")],
        reference: "RFC 1122 §4.2.2.13; RFC 2525 §2.17",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "close/disconnect",
        description: "a client connects to AF_UNSPEC, and then to the server again",
        steps: |harness| {
            let here = harness.here()?;
            let [listener, client, server] = harness.connected(&here, &here)?;
            let disconnected = client.tcp.disconnect();
            harness.says("disconnect", &disconnected);
            let pending = client.tcp.pending_error();
            harness.says("SO_ERROR", &pending);
            let read = harness.read(&server);
            harness.says("server reads", &read);
            harness.until(&server, Close)?;
            let again = harness.connect(&client, here.port(harness::SERVER));
            harness.says("connect", &again);
            let second = harness.accept(&listener, "second server")?;
            harness.until_times(&client, 2, Established)?;
            harness.until(&second, Established)
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
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "close/half-open-peer",
        description: "the server has lost the connection without a word, and the client writes",
        needs: &[Need::Wire],
        steps: |harness| {
            let ends = harness.ends()?;
            let [_listener, client, server] = harness.connected(&ends.a, &ends.b)?;
            let word = ends.wire.add(Rule::drop(Segment::is_rst).sent_by(Side::B));
            server.tcp.reset_on_close().step("server: setting SO_LINGER")?;
            let server = harness.close(server);
            harness.until(server, Close)?;
            ends.shows(Side::B, Segment::is_rst)?;
            ends.wire.lift(word);
            for (name, wait) in [("first write", true), ("second write", false), ("third write", false)] {
                let write = harness.write(&client, b"data");
                harness.says(name, &write);
                if wait {
                    harness.until(&client, Close)?;
                }
            }
            harness.state("sent by the server's side", ends.carried(Side::B));
            Ok(())
        },
        paths: &[LISTENER, CLIENT, SERVER],
        facts: &[
            ("first write", "success"),
            ("second write", "ECONNRESET"),
            ("third write", "EPIPE"),
            ("sent by the server's side", "SYN+ACK, RST+ACK, RST"),
        ],
        reference: "RFC 9293 §3.5.1; send(2)",
        ..Behaviour::BLANK
    },
];
