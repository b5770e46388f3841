//! Requests: connections of which the third segment has not come. They are mini-sockets, and no state of theirs is
//! reported.

use State::{Close, CloseWait, Established, FinWait1, FinWait2, Listen, SynRecv, SynSent};

use crate::{
    audit::{
        Behaviour, Harness, Need,
        harness::{HostPair, SERVER, TestSocket},
    },
    model::{Flags, Segment, Side, State},
    net::sysctl,
    scenario::{Step as _, StepError},
    wire::Rule,
};

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "listen/half-open",
        description: "a SYN comes, and nobody answers the SYN+ACK",
        needs: &[Need::Wire, Need::Sysctl("tcp_synack_retries")],
        steps: |harness| {
            let ends = harness.ends()?;
            ends.b.set(sysctl::TCP_SYNACK_RETRIES, &1)?;
            let _listener = harness.listener(&ends.b, "listener")?;
            ends.wire.add(Rule::drop(Segment::is_syn_ack));
            request(harness, &ends)?;
            let given_up = harness.eventually(|| Ok(ends.b.requests()? == 0))?;
            harness.state("given up", given_up);
            harness.state("SYN+ACKs", ends.count(Side::B, Segment::is_syn_ack));
            Ok(())
        },
        paths: &[("listener", &[Close, Listen])],
        facts: &[("request", "true"), ("given up", "true"), ("SYN+ACKs", "2")],
        reference: "tcp(7), tcp_synack_retries; RFC 9293 §3.10.7.2",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "listen/request-reset",
        description: "a SYN comes, and the SYN+ACK is answered by a RST",
        needs: &[Need::Wire],
        steps: |harness| {
            let ends = harness.ends()?;
            let before = ends.b.counters()?;
            let _listener = harness.listener(&ends.b, "listener")?;
            let answer = ends.wire.add(Rule::hold(Segment::is_syn_ack));
            request(harness, &ends)?;
            // Side A has no socket there, so its kernel resets.
            ends.wire.lift(answer);
            harness.until_risen(&ends.b, &before, "EmbryonicRsts")?;
            harness.state("request after the RST", ends.b.requests()?);
            Ok(())
        },
        paths: &[("listener", &[Close, Listen])],
        facts: &[("request", "true"), ("EmbryonicRsts", "rises"), ("request after the RST", "0")],
        reference: "RFC 9293 §3.10.7.4, second: RST in SYN-RECEIVED after a passive OPEN",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "listen/closed-on-request",
        description: "the listener closes while a third ACK is on its way",
        needs: &[Need::Wire],
        steps: |harness| {
            let ends = harness.ends()?;
            let third = ends.wire.add(Rule::hold(Segment::is_bare_ack).sent_by(Side::A));
            let [listener, client] = half_connected(harness, &ends)?;
            harness.close(listener);
            ends.wire.lift(third);
            let read = harness.read(&client);
            harness.says("client reads", &read);
            harness.until(&client, Close)?;
            harness.state("sent by the listener's side", ends.carried(Side::B));
            Ok(())
        },
        paths: &[("listener", &[Close, Listen, Close]), ("client", &[Close, SynSent, Established, Close])],
        facts: &[
            ("requests", "1"),
            ("client reads", "ECONNRESET"),
            ("sent by the listener's side", "SYN+ACK, RST"),
        ],
        reference: "RFC 9293 §3.10.7.1; tcp_v4_rcv finds the request's listener gone and looks again",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "listen/third-ack-lost-data",
        description: "the third ACK is lost, and the first data brings it along",
        needs: &[Need::Wire],
        steps: |harness| {
            let ends = harness.ends()?;
            let third = ends.wire.add(Rule::drop(Segment::is_bare_ack).sent_by(Side::A));
            let [listener, client] = half_connected(harness, &ends)?;
            harness.write(&client, b"data").step("client: writing")?;
            let server = harness.accept(&listener, "server")?;
            ends.wire.lift(third);
            let read = server.tcp.read_exact(4, harness.deadline());
            harness.says("server reads", &read);
            harness.until(&server, Established)?;
            harness.state("sent by the client", ends.carried(Side::A));
            Ok(())
        },
        paths: &[
            ("listener", &[Close, Listen]),
            ("client", &[Close, SynSent, Established]),
            ("server", &[Listen, SynRecv, Established]),
        ],
        facts: &[("requests", "1"), ("server reads", "success"), ("sent by the client", "SYN, data")],
        reference: "RFC 9293 §3.10.7.4, fifth: SYN-RECEIVED",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "listen/third-ack-lost-fin",
        description: "the third ACK is lost, and the FIN brings it along",
        needs: &[Need::Wire],
        steps: |harness| {
            let ends = harness.ends()?;
            let third = ends.wire.add(Rule::drop(Segment::is_bare_ack).sent_by(Side::A));
            let [listener, client] = half_connected(harness, &ends)?;
            harness.finish(&client)?;
            let server = harness.accept(&listener, "server")?;
            ends.wire.lift(third);
            harness.until(&server, CloseWait)?;
            harness.until(&client, FinWait2)?;
            harness.state("sent by the client", ends.carried(Side::A));
            Ok(())
        },
        paths: &[
            ("listener", &[Close, Listen]),
            ("client", &[Close, SynSent, Established, FinWait1, FinWait2]),
            ("server", &[Listen, SynRecv, Established, CloseWait]),
        ],
        facts: &[("requests", "1"), ("sent by the client", "SYN, FIN+ACK")],
        reference: "RFC 9293 §3.10.7.4, fifth and eighth: SYN-RECEIVED",
        ..Behaviour::BLANK
    },
];

/// A request of side A that no socket there has made.
fn request(harness: &mut Harness, ends: &HostPair) -> Result<(), StepError> {
    ends.wire.inject(Side::A, &syn(ends), b"");
    let asked = harness.eventually(|| Ok(ends.b.requests()? == 1))?;
    harness.state("request", asked);
    Ok(())
}

/// A listener, and a client that is connected to it. What the wire keeps of the third ACK, the listener has not heard.
fn half_connected(harness: &mut Harness, ends: &HostPair) -> Result<[TestSocket; 2], StepError> {
    let listener = harness.listener(&ends.b, "listener")?;
    let client = harness.socket(&ends.a, "client")?;
    harness.connect(&client, ends.b.port(SERVER)).step("client: connecting")?;
    harness.state("requests", ends.b.requests()?);
    Ok([listener, client])
}

/// A SYN from a port of side A that no socket has.
fn syn(ends: &HostPair) -> Segment {
    Segment {
        source: ends.a.port(4711),
        destination: ends.b.port(SERVER),
        flags: Flags::SYN,
        seq: 1_000,
        ack: 0,
        window: 65_535,
        payload: 0,
    }
}
