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
        says: "the client has closed, and the server goes on writing",
        steps: |bench| {
            let here = bench.here()?;
            let [_listener, client, server] = bench.connected(&here, &here)?;
            let client = bench.close(client);
            bench.until(client, Close)?;
            bench.until(&server, CloseWait)?;
            bench.state_remains(&here, client)?;
            let write = bench.write(&server, b"data");
            bench.says("server writes", &write);
            bench.until(&server, Close)?;
            let write = bench.write(&server, b"data");
            bench.says("server writes again", &write);
            let over = bench.eventually(|| Ok(bench.remains(&here, client)?.is_none()))?;
            bench.state("remains have gone", over);
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
        says: "with TCP_LINGER2 below 0 a close in FIN_WAIT2 is a RST",
        steps: |bench| {
            let here = bench.here()?;
            let before = here.counters()?;
            let [_listener, client, server] = bench.connected(&here, &here)?;
            client.tcp.linger_in_fin_wait2(-1).step("client: setting TCP_LINGER2")?;
            bench.finish(&client)?;
            bench.until(&client, FinWait2)?;
            bench.until(&server, CloseWait)?;
            let client = bench.close(client);
            bench.until(client, Close)?;
            bench.until(&server, Close)?;
            bench.counted(&here, &before, &["TCPAbortOnLinger"])?;
            let write = bench.write(&server, b"data");
            bench.says("server writes", &write);
            bench.state_remains(&here, client)
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
        says: "with TCP_LINGER2 below 0 the ACK of an orphan's FIN is answered by a RST",
        steps: |bench| {
            let here = bench.here()?;
            let before = here.counters()?;
            let [_listener, client, server] = bench.connected(&here, &here)?;
            client.tcp.linger_in_fin_wait2(-1).step("client: setting TCP_LINGER2")?;
            let client = bench.close(client);
            bench.until(client, Close)?;
            bench.until(&server, Close)?;
            bench.counted(&here, &before, &["TCPAbortOnData"])?;
            bench.state_remains(&here, client)
        },
        paths: &[LISTENER, CLIENT, SERVER],
        facts: &[("TCPAbortOnData", "1"), ("remains of client", "nothing")],
        reference: "tcp(7), TCP_LINGER2; tcp_rcv_state_process, FIN_WAIT1",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "close/orphan-timeout",
        says: "nobody answers an orphan's FIN",
        needs: &[Need::Wire, Need::Sysctl("tcp_orphan_retries")],
        steps: |bench| {
            let ends = bench.ends()?;
            ends.a.set(sysctl::TCP_ORPHAN_RETRIES, &1)?;
            let [_listener, client, _server] = bench.connected(&ends.a, &ends.b)?;
            ends.wire.add(Rule::drop(Segment::is_fin));
            let client = bench.close(client);
            bench.until(client, Close)?;
            bench.state("RSTs of the client", ends.count(Side::A, Segment::is_rst));
            bench.state_remains(&ends.a, client)
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
