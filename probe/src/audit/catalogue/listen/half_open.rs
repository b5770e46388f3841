//! Request sockets: connections whose third ACK has not arrived. They are mini-sockets, and the kernel does
//! not report their states.

use State::{Close, CloseWait, Established, FinWait1, FinWait2, Listen, SynRecv, SynSent};

use crate::{
    audit::{
        Behaviour, Harness, Requirement,
        catalogue::paths::LISTENER,
        harness::{HostPair, SERVER_PORT, TestSocket},
    },
    model::{Flags, Segment, Side, State},
    net::sysctl,
    scenario::{Step as _, StepError},
    wire::Rule,
};

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "listen/half-open",
        description: "the SYN+ACK is never answered: the listener retransmits it tcp_synack_retries=1 \
                      times, then drops the request",
        needs: &[Requirement::Wire, Requirement::Sysctl("tcp_synack_retries")],
        steps: |harness| {
            let hosts = harness.host_pair()?;
            hosts.b.set_sysctl(sysctl::TCP_SYNACK_RETRIES, &1)?;
            let _listener = harness.listener(&hosts.b, "listener")?;
            hosts.wire.add_rule(Rule::drop(Segment::is_syn_ack));
            inject_request(harness, &hosts)?;
            let dropped = harness.poll_until(|| Ok(hosts.b.request_sockets()? == 0))?;
            harness.observe("request dropped", dropped);
            harness.observe("SYN+ACKs", hosts.count_sent(Side::B, Segment::is_syn_ack));
            Ok(())
        },
        paths: &[LISTENER],
        facts: &[("request created", "true"), ("request dropped", "true"), ("SYN+ACKs", "2")],
        reference: "tcp(7), tcp_synack_retries; RFC 9293 §3.10.7.2",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "listen/request-reset",
        description: "an RST answers the SYN+ACK, and the listener drops the request",
        needs: &[Requirement::Wire],
        steps: |harness| {
            let hosts = harness.host_pair()?;
            let before = hosts.b.counters()?;
            let _listener = harness.listener(&hosts.b, "listener")?;
            let syn_ack = hosts.wire.add_rule(Rule::hold(Segment::is_syn_ack));
            inject_request(harness, &hosts)?;
            // Side A has no matching socket, so its kernel answers with an RST.
            hosts.wire.remove_rule(syn_ack);
            harness.observe_counter_rise(&hosts.b, &before, "EmbryonicRsts")?;
            harness.observe("request sockets after the RST", hosts.b.request_sockets()?);
            Ok(())
        },
        paths: &[LISTENER],
        facts: &[
            ("request created", "true"),
            ("EmbryonicRsts", "rises"),
            ("request sockets after the RST", "0"),
        ],
        reference: "RFC 9293 §3.10.7.4, second: RST in SYN-RECEIVED after a passive OPEN",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "listen/closed-on-request",
        description: "the listener closes while the third ACK is in flight, and an RST answers that ACK",
        needs: &[Requirement::Wire],
        steps: |harness| {
            let hosts = harness.host_pair()?;
            let third_acks = hosts.wire.add_rule(Rule::hold(Segment::is_bare_ack).sent_by(Side::A));
            let [listener, client] = half_open_client(harness, &hosts)?;
            harness.close(listener);
            hosts.wire.remove_rule(third_acks);
            let read = harness.read(&client);
            harness.observe_result("client reads", &read);
            harness.wait_for_state(&client, Close)?;
            harness.observe("sent by the listener's host", hosts.sent_segments(Side::B));
            Ok(())
        },
        paths: &[("listener", &[Close, Listen, Close]), ("client", &[Close, SynSent, Established, Close])],
        facts: &[
            ("request sockets", "1"),
            ("client reads", "ECONNRESET"),
            ("sent by the listener's host", "SYN+ACK, RST"),
        ],
        reference: "RFC 9293 §3.10.7.1; tcp_v4_rcv finds the request's listener closed and repeats the \
                    lookup",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "listen/third-ack-lost-data",
        description: "the third ACK is lost, and the first data completes the handshake",
        needs: &[Requirement::Wire],
        steps: |harness| {
            let hosts = harness.host_pair()?;
            let third_acks = hosts.wire.add_rule(Rule::drop(Segment::is_bare_ack).sent_by(Side::A));
            let [listener, client] = half_open_client(harness, &hosts)?;
            harness.write(&client, b"data").step("client: writing")?;
            let server = harness.accept(&listener, "server")?;
            hosts.wire.remove_rule(third_acks);
            let read = server.tcp.read_exact(4, harness.deadline());
            harness.observe_result("server reads", &read);
            harness.wait_for_state(&server, Established)?;
            harness.observe("sent by the client", hosts.sent_segments(Side::A));
            Ok(())
        },
        paths: &[
            LISTENER,
            ("client", &[Close, SynSent, Established]),
            ("server", &[Listen, SynRecv, Established]),
        ],
        facts: &[("request sockets", "1"), ("server reads", "success"), ("sent by the client", "SYN, data")],
        reference: "RFC 9293 §3.10.7.4, fifth: SYN-RECEIVED",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "listen/third-ack-lost-fin",
        description: "the third ACK is lost, and the FIN completes the handshake",
        needs: &[Requirement::Wire],
        steps: |harness| {
            let hosts = harness.host_pair()?;
            let third_acks = hosts.wire.add_rule(Rule::drop(Segment::is_bare_ack).sent_by(Side::A));
            let [listener, client] = half_open_client(harness, &hosts)?;
            harness.shutdown_write(&client)?;
            let server = harness.accept(&listener, "server")?;
            hosts.wire.remove_rule(third_acks);
            harness.wait_for_state(&server, CloseWait)?;
            harness.wait_for_state(&client, FinWait2)?;
            harness.observe("sent by the client", hosts.sent_segments(Side::A));
            Ok(())
        },
        paths: &[
            LISTENER,
            ("client", &[Close, SynSent, Established, FinWait1, FinWait2]),
            ("server", &[Listen, SynRecv, Established, CloseWait]),
        ],
        facts: &[("request sockets", "1"), ("sent by the client", "SYN, FIN+ACK")],
        reference: "RFC 9293 §3.10.7.4, fifth and eighth: SYN-RECEIVED",
        ..Behaviour::DEFAULT
    },
];

/// Injects a SYN from a port of side A that has no socket, and observes the request socket that it creates.
fn inject_request(harness: &mut Harness, hosts: &HostPair) -> Result<(), StepError> {
    let syn = Segment {
        source: hosts.a.endpoint(4711),
        destination: hosts.b.endpoint(SERVER_PORT),
        flags: Flags::SYN,
        seq: 1_000,
        ack: 0,
        window: 65_535,
        payload: 0,
    };
    hosts.wire.inject(Side::A, &syn, b"");
    let created = harness.poll_until(|| Ok(hosts.b.request_sockets()? == 1))?;
    harness.observe("request created", created);
    Ok(())
}

/// A listener, and a client in ESTABLISHED whose third ACK the wire holds or drops. Observes the request sockets.
fn half_open_client(harness: &mut Harness, hosts: &HostPair) -> Result<[TestSocket; 2], StepError> {
    let listener = harness.listener(&hosts.b, "listener")?;
    let client = harness.socket(&hosts.a, "client")?;
    harness.connect(&client, hosts.b.endpoint(SERVER_PORT)).step("client: connecting")?;
    harness.observe("request sockets", hosts.b.request_sockets()?);
    Ok([listener, client])
}
