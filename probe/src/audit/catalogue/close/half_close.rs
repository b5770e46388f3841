//! One direction has ended, the other goes on.

use State::{Close, CloseWait, Established, FinWait1, FinWait2, LastAck, Listen, SynRecv, SynSent};

use super::LISTENER;
use crate::{
    audit::{Behaviour, Need, harness::SERVER},
    model::{Segment, State},
    net::sysctl,
    scenario::Step as _,
    wire::Rule,
};

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "close/shutdown-then-close",
        description: "the client shuts down, and closes when its FIN has been acknowledged",
        steps: |harness| {
            let here = harness.here()?;
            let [_listener, client, server] = harness.connected(&here, &here)?;
            harness.finish(&client)?;
            harness.until(&client, FinWait2)?;
            let client = harness.close(client);
            harness.until(client, Close)?;
            harness.until(&server, CloseWait)?;
            harness.state_remains(&here, client)
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
        description: "both ends shut down, and close before their FINs have been acknowledged",
        needs: &[Need::Wire],
        steps: |harness| {
            let ends = harness.ends()?;
            let [_listener, client, server] = harness.connected(&ends.a, &ends.b)?;
            harness.until(&server, Established)?;
            let acks = ends.wire.add(Rule::hold(Segment::is_bare_ack));
            harness.finish(&client)?;
            harness.until(&server, CloseWait)?;
            let client = harness.close(client);
            harness.until_times(client, 2, FinWait1)?;
            // This FIN brings the ACK of the first one along.
            harness.finish(&server)?;
            harness.until(client, Close)?;
            let server = harness.close(server);
            harness.until_times(server, 2, LastAck)?;
            ends.wire.lift(acks);
            harness.until(server, Close)
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
        description: "a direction that was shut down stays so past tcp_fin_timeout, and data comes the other way",
        needs: &[Need::Sysctl("tcp_fin_timeout")],
        steps: |harness| {
            let here = harness.here()?;
            here.set(sysctl::TCP_FIN_TIMEOUT, &1)?;
            let [listener, client, server] = harness.connected(&here, &here)?;
            harness.finish(&client)?;
            harness.until(&client, FinWait2)?;
            // An orphan that comes to FIN_WAIT2 later tells when the time is over.
            let orphan = harness.socket(&here, "orphan")?;
            harness.connect(&orphan, here.port(SERVER)).step("orphan: connecting")?;
            let peer = harness.accept(&listener, "peer")?;
            let orphan = harness.close(orphan);
            harness.until(orphan, Close)?;
            harness.until(&peer, CloseWait)?;
            let over = harness.eventually(|| Ok(harness.remains(&here, orphan)?.is_none()))?;
            harness.state("remains of the orphan have gone", over);
            harness.state_of(&client);
            harness.write(&server, b"data").step("server: writing")?;
            let read = client.tcp.read_exact(4, harness.deadline());
            harness.says("client reads", &read);
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
