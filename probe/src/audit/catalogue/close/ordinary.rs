//! One end closes, and then the other.

use State::{Close, CloseWait, Established, FinWait1, FinWait2, LastAck, Listen, SynRecv, SynSent};

use super::LISTENER;
use crate::{
    audit::{Behaviour, Need},
    model::{Segment, Side, State},
    scenario::Step as _,
    wire::Rule,
};

/// The end that closes first.
const CLIENT: (&str, &[State]) = ("client", &[Close, SynSent, Established, FinWait1, FinWait2, Close]);
/// The end that closes after it.
const SERVER: (&str, &[State]) = ("server", &[Listen, SynRecv, Established, CloseWait, LastAck, Close]);

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "close/ordinary",
        description: "the client ends its direction, then the server closes",
        steps: |harness| {
            let here = harness.here()?;
            let [_listener, client, server] = harness.connected(&here, &here)?;
            harness.finish(&client)?;
            harness.until(&client, FinWait2)?;
            harness.until(&server, CloseWait)?;
            let server = harness.close(server);
            harness.until(&client, Close)?;
            harness.until(server, Close)?;
            harness.state_remains(&here, &client)?;
            harness.state_remains(&here, server)
        },
        paths: &[LISTENER, CLIENT, SERVER],
        facts: &[("remains of client", "TIME_WAIT"), ("remains of server", "nothing")],
        reference: "RFC 9293 §3.6, figure 12",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "close/fin-and-ack",
        description: "the ACK of the first FIN is lost, and the second FIN brings it along",
        needs: &[Need::Wire],
        steps: |harness| {
            let ends = harness.ends()?;
            let [_listener, client, server] = harness.connected(&ends.a, &ends.b)?;
            ends.wire.add(Rule::drop(Segment::is_bare_ack).sent_by(Side::B));
            harness.finish(&client)?;
            harness.until(&server, CloseWait)?;
            let server = harness.close(server);
            harness.until(&client, Close)?;
            harness.until(server, Close)?;
            harness.state_remains(&ends.a, &client)
        },
        paths: &[LISTENER, CLIENT, SERVER],
        facts: &[("remains of client", "TIME_WAIT")],
        reference: "RFC 9293 §3.10.7.4, fifth and eighth: FIN-WAIT-1",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "close/second-descriptor",
        description: "a socket with two descriptors is closed by one of them, then by the other",
        steps: |harness| {
            let here = harness.here()?;
            let [_listener, client, server] = harness.connected(&here, &here)?;
            let second = client.tcp.duplicate().step("client: duplicating its descriptor")?;
            let client = harness.close(client);
            harness.write(&server, b"data").step("server: writing")?;
            let read = second.read_exact(4, harness.deadline());
            harness.says("the second reads", &read);
            harness.state_of(&server);
            drop(second);
            harness.until(client, FinWait2)?;
            harness.until(&server, CloseWait)?;
            harness.until(client, Close)
        },
        paths: &[LISTENER, CLIENT, ("server", &[Listen, SynRecv, Established, CloseWait])],
        facts: &[("the second reads", "success"), ("server", "ESTABLISHED")],
        reference: "close(2), fork(2)",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "close/fin-before-data",
        description: "a FIN overtakes the data before it, and counts only when that has come",
        needs: &[Need::Wire],
        steps: |harness| {
            let ends = harness.ends()?;
            let before = ends.b.counters()?;
            let [_listener, client, server] = harness.connected(&ends.a, &ends.b)?;
            let data = ends.wire.add(Rule::hold(Segment::has_data).sent_by(Side::A));
            harness.write(&client, b"data").step("client: writing")?;
            ends.shows(Side::A, Segment::has_data)?;
            harness.finish(&client)?;
            harness.until_risen(&ends.b, &before, "TCPOFOQueue")?;
            harness.state_of(&server);
            ends.wire.lift(data);
            harness.until(&server, CloseWait)?;
            harness.until(&client, FinWait2)?;
            let read = server.tcp.read_to_end(harness.deadline());
            harness.state("server reads", read.map_or(0, |bytes| bytes.len()));
            Ok(())
        },
        paths: &[
            LISTENER,
            ("client", &[Close, SynSent, Established, FinWait1, FinWait2]),
            ("server", &[Listen, SynRecv, Established, CloseWait]),
        ],
        facts: &[("TCPOFOQueue", "rises"), ("server", "ESTABLISHED"), ("server reads", "4")],
        reference: "RFC 9293 §3.10.7.4, eighth: the FIN is processed in its turn",
        ..Behaviour::BLANK
    },
];
