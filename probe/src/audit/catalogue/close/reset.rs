//! Connections that end by a RST.

use State::{Close, Established, Listen, SynRecv, SynSent};

use super::LISTENER;
use crate::{
    audit::{Behaviour, Need, bench},
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
        says: "with an SO_LINGER of 0 s a close is a RST",
        steps: |bench| {
            let here = bench.here()?;
            let [_listener, client, server] = bench.connected(&here, &here)?;
            client.tcp.reset_on_close().step("client: setting SO_LINGER")?;
            let client = bench.close(client);
            let read = bench.read(&server);
            bench.says("server reads", &read);
            bench.until(client, Close)?;
            bench.until(&server, Close)?;
            bench.state_remains(&here, client)
        },
        paths: &[LISTENER, CLIENT, SERVER],
        facts: &[("server reads", "ECONNRESET"), ("remains of client", "nothing")],
        reference: "socket(7), SO_LINGER; RFC 9293 §3.10.5",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "close/unread-data",
        says: "the client closes with data that it has not read",
        steps: |bench| {
            let here = bench.here()?;
            let before = here.counters()?;
            let [_listener, client, server] = bench.connected(&here, &here)?;
            bench.write(&server, b"data").step("server: writing")?;
            client.tcp.readable(bench.deadline()).step("client: waiting for data")?;
            let client = bench.close(client);
            let read = bench.read(&server);
            bench.says("server reads", &read);
            bench.until(client, Close)?;
            bench.until(&server, Close)?;
            bench.counted(&here, &before, &["TCPAbortOnClose"])
        },
        paths: &[LISTENER, CLIENT, SERVER],
        facts: &[("server reads", "ECONNRESET"), ("TCPAbortOnClose", "1")],
        reference: "RFC 1122 §4.2.2.13; RFC 2525 §2.17",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "close/disconnect",
        says: "a client connects to AF_UNSPEC, and then to the server again",
        steps: |bench| {
            let here = bench.here()?;
            let [listener, client, server] = bench.connected(&here, &here)?;
            let disconnected = client.tcp.disconnect();
            bench.says("disconnect", &disconnected);
            let pending = client.tcp.pending_error();
            bench.says("SO_ERROR", &pending);
            let read = bench.read(&server);
            bench.says("server reads", &read);
            bench.until(&server, Close)?;
            let again = bench.connect(&client, here.port(bench::SERVER));
            bench.says("connect", &again);
            let second = bench.accept(&listener, "second server")?;
            bench.until_times(&client, 2, Established)?;
            bench.until(&second, Established)
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
        says: "the server has lost the connection without a word, and the client writes",
        needs: &[Need::Wire],
        steps: |bench| {
            let ends = bench.ends()?;
            let [_listener, client, server] = bench.connected(&ends.a, &ends.b)?;
            let word = ends.wire.add(Rule::drop(Segment::is_rst).sent_by(Side::B));
            server.tcp.reset_on_close().step("server: setting SO_LINGER")?;
            let server = bench.close(server);
            bench.until(server, Close)?;
            ends.shows(Side::B, Segment::is_rst)?;
            ends.wire.lift(word);
            for (name, wait) in [("first write", true), ("second write", false), ("third write", false)] {
                let write = bench.write(&client, b"data");
                bench.says(name, &write);
                if wait {
                    bench.until(&client, Close)?;
                }
            }
            bench.state("sent by the server's side", ends.carried(Side::B));
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
