//! Connections that nobody holds any more, and that have not ended.

use State::{Close, CloseWait, Established, FinWait1, FinWait2, Listen, SynRecv, SynSent};

use super::LISTENER;
use crate::{
    audit::{Behaviour, Need},
    model::{Segment, Side, State},
    net::sysctl,
    scenario::Step as _,
    wire::Rule,
};

/// A client that closes, and whose FIN is acknowledged.
const CLIENT: (&str, &[State]) = ("client", &[Close, SynSent, Established, FinWait1, FinWait2, Close]);
/// A server that gets the FIN, and then a RST.
const SERVER: (&str, &[State]) = ("server", &[Listen, SynRecv, Established, CloseWait, Close]);

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "close/orphan",
        description: "the client has closed, and the server goes on writing",
        steps: |harness| {
            let here = harness.here()?;
            let [_listener, client, server] = harness.connected(&here, &here)?;
            let client = harness.close(client);
            harness.until(client, Close)?;
            harness.until(&server, CloseWait)?;
            harness.state_remains(&here, client)?;
            let write = harness.write(&server, b"data");
            harness.says("server writes", &write);
            harness.until(&server, Close)?;
            let write = harness.write(&server, b"data");
            harness.says("server writes again", &write);
            let over = harness.eventually(|| Ok(harness.remains(&here, client)?.is_none()))?;
            harness.state("remains have gone", over);
            Ok(())
        },
        paths: &[LISTENER, CLIENT, SERVER],
        facts: &[
            ("remains of client", "FIN_WAIT2"),
            ("server writes", "success"),
            ("server writes again", "EPIPE"),
            ("remains have gone", "true"),
        ],
        reference: "RFC 9293 §3.10.4; RFC 1122 §4.2.2.13; tcp_timewait_state_process",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "close/linger2",
        description: "with TCP_LINGER2 below 0 a close in FIN_WAIT2 is a RST",
        steps: |harness| {
            let here = harness.here()?;
            let before = here.counters()?;
            let [_listener, client, server] = harness.connected(&here, &here)?;
            client.tcp.linger_in_fin_wait2(-1).step("client: setting TCP_LINGER2")?;
            harness.finish(&client)?;
            harness.until(&client, FinWait2)?;
            harness.until(&server, CloseWait)?;
            let client = harness.close(client);
            harness.until(client, Close)?;
            harness.until(&server, Close)?;
            harness.counted(&here, &before, &["TCPAbortOnLinger"])?;
            let write = harness.write(&server, b"data");
            harness.says("server writes", &write);
            harness.state_remains(&here, client)
        },
        paths: &[
            LISTENER,
            ("client", &[Close, SynSent, Established, FinWait1, FinWait2, FinWait2, Close]),
            SERVER,
        ],
        facts: &[("TCPAbortOnLinger", "1"), ("server writes", "EPIPE"), ("remains of client", "nothing")],
        reference: "tcp(7), TCP_LINGER2; __tcp_close",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "close/linger2-orphan",
        description: "with TCP_LINGER2 below 0 the ACK of an orphan's FIN is answered by a RST",
        steps: |harness| {
            let here = harness.here()?;
            let before = here.counters()?;
            let [_listener, client, server] = harness.connected(&here, &here)?;
            client.tcp.linger_in_fin_wait2(-1).step("client: setting TCP_LINGER2")?;
            let client = harness.close(client);
            harness.until(client, Close)?;
            harness.until(&server, Close)?;
            harness.counted(&here, &before, &["TCPAbortOnData"])?;
            harness.state_remains(&here, client)
        },
        paths: &[LISTENER, CLIENT, SERVER],
        facts: &[("TCPAbortOnData", "1"), ("remains of client", "nothing")],
        reference: "tcp(7), TCP_LINGER2; tcp_rcv_state_process, FIN_WAIT1",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "close/orphan-timeout",
        description: "nobody answers an orphan's FIN",
        needs: &[Need::Wire, Need::Sysctl("tcp_orphan_retries")],
        steps: |harness| {
            let ends = harness.ends()?;
            ends.a.set(sysctl::TCP_ORPHAN_RETRIES, &1)?;
            let [_listener, client, _server] = harness.connected(&ends.a, &ends.b)?;
            ends.wire.add(Rule::drop(Segment::is_fin));
            let client = harness.close(client);
            harness.until(client, Close)?;
            harness.state("RSTs of the client", ends.count(Side::A, Segment::is_rst));
            harness.state_remains(&ends.a, client)
        },
        paths: &[
            LISTENER,
            ("client", &[Close, SynSent, Established, FinWait1, Close]),
            ("server", &[Listen, SynRecv, Established]),
        ],
        facts: &[("RSTs of the client", "0"), ("remains of client", "nothing")],
        reference: "tcp(7), tcp_orphan_retries; tcp_write_timeout",
        ..Behaviour::BLANK
    },
];
