//! Unexpected segments on an open connection.

use State::{Close, Established, Listen, SynRecv, SynSent};

use crate::{
    audit::{Behaviour, Requirement, catalogue::paths::LISTENER, harness::SERVER_PORT},
    model::{Segment, Side, State},
    scenario::Step as _,
    wire::Rule,
};

/// The local port of both clients.
const PORT: u16 = 4711;

pub const BEHAVIOURS: &[Behaviour] = &[Behaviour {
    id: "close/syn-in-established",
    description: "SYN in ESTABLISHED: a client that has lost the connection connects again from the same \
                  port",
    needs: &[Requirement::Wire],
    steps: |harness| {
        let hosts = harness.host_pair()?;
        let before = hosts.b.counters()?;
        let listener = harness.listener(&hosts.b, "listener")?;
        let client = harness.bound_socket(&hosts.a, "client", PORT)?;
        harness.connect(&client, hosts.b.endpoint(SERVER_PORT)).step("client: connecting")?;
        let server = harness.accept(&listener, "server")?;
        let resets = hosts.wire.add_rule(Rule::drop(Segment::is_rst).sent_by(Side::A));
        client.tcp.reset_on_close().step("client: setting SO_LINGER")?;
        let client = harness.close(client);
        harness.wait_for_state(client, Close)?;
        hosts.wait_for_segment(Side::A, Segment::is_rst)?;
        hosts.wire.remove_rule(resets);

        let second_client = harness.bound_socket(&hosts.a, "second client", PORT)?;
        let connected = harness.connect(&second_client, hosts.b.endpoint(SERVER_PORT));
        harness.observe_result("connect", &connected);
        let second_server = harness.accept(&listener, "second server")?;
        harness.wait_for_state(&second_server, Established)?;
        harness.wait_for_state(&server, Close)?;
        let read = harness.read(&server);
        harness.observe_result("server reads", &read);
        harness.observe_counter_rise(&hosts.b, &before, "TCPChallengeACK")?;
        harness.observe_counter_rise(&hosts.b, &before, "TCPSYNChallenge")?;
        // Side A's last RST answers side B's challenge ACK, which is a bare ACK and so not observed.
        harness.observe("sent by side a", hosts.sent_segments(Side::A));
        Ok(())
    },
    paths: &[
        LISTENER,
        ("client", &[Close, SynSent, Established, Close]),
        ("server", &[Listen, SynRecv, Established, Close]),
        ("second client", &[Close, SynSent, Established]),
        ("second server", &[Listen, SynRecv, Established]),
    ],
    facts: &[
        ("connect", "success"),
        ("server reads", "ECONNRESET"),
        ("TCPChallengeACK", "rises"),
        ("TCPSYNChallenge", "rises"),
        ("sent by side a", "SYN, RST+ACK, SYN, RST"),
    ],
    reference: "RFC 9293 §3.10.7.4, fourth; RFC 5961 §4",
    ..Behaviour::DEFAULT
}];
