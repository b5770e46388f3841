//! One direction has ended, the other goes on.

use State::{Close, CloseWait, Established, FinWait1, FinWait2, LastAck, Listen, SynRecv, SynSent};

use super::LISTENER;
use crate::{
    audit::{Behaviour, Need, bench::SERVER},
    model::{Segment, State},
    net::sysctl,
    scenario::Step as _,
    wire::Rule,
};

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "close/shutdown-then-close",
        says: "the client shuts down, and closes when its FIN has been acknowledged",
        steps: |bench| {
            let here = bench.here()?;
            let [_listener, client, server] = bench.connected(&here, &here)?;
            bench.finish(&client)?;
            bench.until(&client, FinWait2)?;
            let client = bench.close(client);
            bench.until(client, Close)?;
            bench.until(&server, CloseWait)?;
            bench.state_remains(&here, client)
        },
        paths: &[
            LISTENER,
            ("client", &[Close, SynSent, Established, FinWait1, FinWait2, FinWait2, Close]),
            ("server", &[Listen, SynRecv, Established, CloseWait]),
        ],
        facts: &[("remains of client", "FIN_WAIT2")],
        reference: "RFC 9293 §3.10.4; tcp_close_state sets the state that is set",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "close/shutdown-then-close-early",
        says: "both ends shut down, and close before their FINs have been acknowledged",
        needs: &[Need::Wire],
        steps: |bench| {
            let ends = bench.ends()?;
            let [_listener, client, server] = bench.connected(&ends.a, &ends.b)?;
            bench.until(&server, Established)?;
            let acks = ends.wire.add(Rule::hold(Segment::is_bare_ack));
            bench.finish(&client)?;
            bench.until(&server, CloseWait)?;
            let client = bench.close(client);
            bench.until_times(client, 2, FinWait1)?;
            // This FIN brings the ACK of the first one along.
            bench.finish(&server)?;
            bench.until(client, Close)?;
            let server = bench.close(server);
            bench.until_times(server, 2, LastAck)?;
            ends.wire.lift(acks);
            bench.until(server, Close)
        },
        paths: &[
            LISTENER,
            ("client", &[Close, SynSent, Established, FinWait1, FinWait1, FinWait2, Close]),
            ("server", &[Listen, SynRecv, Established, CloseWait, LastAck, LastAck, Close]),
        ],
        reference: "RFC 9293 §3.10.4; tcp_close_state sets the state that is set",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "close/half-close",
        says: "a direction that was shut down stays so past tcp_fin_timeout, and data comes the other way",
        needs: &[Need::Sysctl("tcp_fin_timeout")],
        steps: |bench| {
            let here = bench.here()?;
            here.set(sysctl::TCP_FIN_TIMEOUT, &1)?;
            let [listener, client, server] = bench.connected(&here, &here)?;
            bench.finish(&client)?;
            bench.until(&client, FinWait2)?;
            // An orphan that comes to FIN_WAIT2 later tells when the time is over.
            let orphan = bench.socket(&here, "orphan")?;
            bench.connect(&orphan, here.port(SERVER)).step("orphan: connecting")?;
            let peer = bench.accept(&listener, "peer")?;
            let orphan = bench.close(orphan);
            bench.until(orphan, Close)?;
            bench.until(&peer, CloseWait)?;
            let over = bench.eventually(|| Ok(bench.remains(&here, orphan)?.is_none()))?;
            bench.state("remains of the orphan have gone", over);
            bench.state_of(&client);
            bench.write(&server, b"data").step("server: writing")?;
            let read = client.tcp.read_exact(4, bench.deadline());
            bench.says("client reads", &read);
            Ok(())
        },
        paths: &[
            LISTENER,
            ("client", &[Close, SynSent, Established, FinWait1, FinWait2]),
            ("server", &[Listen, SynRecv, Established, CloseWait]),
            ("orphan", &[Close, SynSent, Established, FinWait1, FinWait2, Close]),
            ("peer", &[Listen, SynRecv, Established, CloseWait]),
        ],
        facts: &[
            ("remains of the orphan have gone", "true"),
            ("client", "FIN_WAIT2"),
            ("client reads", "success"),
        ],
        reference: "RFC 9293 §3.6.1; tcp(7), tcp_fin_timeout: of orphans alone",
        ..Behaviour::BLANK
    },
];
