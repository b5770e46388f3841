//! One side closes, then the other.

use State::{Close, CloseWait, Established, FinWait1, FinWait2, Listen, SynRecv, SynSent};

use crate::{
    audit::{
        Behaviour, Requirement,
        catalogue::{
            paths::{CLIENT_CLOSES_FIRST, LISTENER, SERVER_CLOSES_SECOND},
            steps::close_client_first,
        },
    },
    model::{Segment, Side, State},
    scenario::Step as _,
    wire::Rule,
};

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "close/ordinary",
        description: "the client closes first, then the server, and the client's side keeps a TIME_WAIT",
        steps: |harness| {
            let host = harness.host()?;
            let [_listener, client, server] = harness.connection(&host, &host)?;
            let server = close_client_first(harness, &client, server)?;
            harness.observe_mini_socket(&host, &client)?;
            harness.observe_mini_socket(&host, server)
        },
        paths: &[LISTENER, ("client", CLIENT_CLOSES_FIRST), ("server", SERVER_CLOSES_SECOND)],
        facts: &[("mini-socket of client", "TIME_WAIT"), ("mini-socket of server", "none")],
        reference: "RFC 9293 §3.6, figure 12",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "close/fin-and-ack",
        description: "the ACK of the first FIN is lost, and the second FIN acknowledges the first one",
        needs: &[Requirement::Wire],
        steps: |harness| {
            let hosts = harness.host_pair()?;
            let [_listener, client, server] = harness.connection(&hosts.a, &hosts.b)?;
            hosts.wire.add_rule(Rule::drop(Segment::is_bare_ack).sent_by(Side::B));
            harness.shutdown_write(&client)?;
            harness.wait_for_state(&server, CloseWait)?;
            let server = harness.close(server);
            harness.wait_for_state(&client, Close)?;
            harness.wait_for_state(server, Close)?;
            harness.observe_mini_socket(&hosts.a, &client)
        },
        paths: &[LISTENER, ("client", CLIENT_CLOSES_FIRST), ("server", SERVER_CLOSES_SECOND)],
        facts: &[("mini-socket of client", "TIME_WAIT")],
        reference: "RFC 9293 §3.10.7.4, fifth and eighth: FIN-WAIT-1",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "close/second-descriptor",
        description: "close sends a FIN only for the last descriptor of a socket",
        steps: |harness| {
            let host = harness.host()?;
            let [_listener, client, server] = harness.connection(&host, &host)?;
            let second = client.tcp.duplicate().step("client: duplicating its descriptor")?;
            let client = harness.close(client);
            harness.write(&server, b"data").step("server: writing")?;
            let read = second.read_exact(4, harness.deadline());
            harness.observe_result("read from second descriptor", &read);
            harness.observe_state(&server);
            drop(second);
            harness.wait_for_state(client, FinWait2)?;
            harness.wait_for_state(&server, CloseWait)?;
            harness.wait_for_state(client, Close)
        },
        paths: &[
            LISTENER,
            ("client", CLIENT_CLOSES_FIRST),
            ("server", &[Listen, SynRecv, Established, CloseWait]),
        ],
        facts: &[("read from second descriptor", "success"), ("server", "ESTABLISHED")],
        reference: "close(2), fork(2)",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "close/fin-before-data",
        description: "a FIN arrives before the data that precedes it, and takes effect once the data has \
                      arrived",
        needs: &[Requirement::Wire],
        steps: |harness| {
            let hosts = harness.host_pair()?;
            let before = hosts.b.counters()?;
            let [_listener, client, server] = harness.connection(&hosts.a, &hosts.b)?;
            let data = hosts.wire.add_rule(Rule::hold(Segment::has_data).sent_by(Side::A));
            harness.write(&client, b"data").step("client: writing")?;
            hosts.wait_for_segment(Side::A, Segment::has_data)?;
            harness.shutdown_write(&client)?;
            harness.observe_counter_rise(&hosts.b, &before, "TCPOFOQueue")?;
            harness.observe_state(&server);
            hosts.wire.remove_rule(data);
            harness.wait_for_state(&server, CloseWait)?;
            harness.wait_for_state(&client, FinWait2)?;
            let read = server.tcp.read_to_end(harness.deadline());
            harness.observe("bytes read by server", read.map_or(0, |bytes| bytes.len()));
            Ok(())
        },
        paths: &[
            LISTENER,
            ("client", &[Close, SynSent, Established, FinWait1, FinWait2]),
            ("server", &[Listen, SynRecv, Established, CloseWait]),
        ],
        facts: &[("TCPOFOQueue", "rises"), ("server", "ESTABLISHED"), ("bytes read by server", "4")],
        reference: "RFC 9293 §3.10.7.4, eighth: a FIN is processed in sequence",
        ..Behaviour::DEFAULT
    },
];
