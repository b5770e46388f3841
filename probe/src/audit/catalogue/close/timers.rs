//! Connections that a timer closes because the peer does not answer.

use std::time::Duration;

use State::{Close, Established, Listen, SynRecv, SynSent};

use crate::{
    audit::{
        Behaviour, Harness, Requirement,
        catalogue::paths::LISTENER,
        harness::{HostPair, TestSocket},
    },
    model::{Segment, Side, State},
    net::sysctl,
    scenario::{Step as _, StepError},
    wire::Rule,
};

/// A client that times out.
const CLIENT: (&str, &[State]) = ("client", &[Close, SynSent, Established, Close]);
/// A server that receives nothing from the client.
const SERVER: (&str, &[State]) = ("server", &[Listen, SynRecv, Established]);

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "close/retransmission-timeout",
        description: "data is never acknowledged: the client retransmits it tcp_retries2=2 times, then \
                      fails with ETIMEDOUT",
        needs: &[Requirement::Wire, Requirement::Sysctl("tcp_retries2")],
        steps: |harness| {
            let hosts = harness.host_pair()?;
            hosts.a.set_sysctl(sysctl::TCP_RETRIES2, &2)?;
            let client = disconnected_client(harness, &hosts)?;
            harness.write(&client, b"data").step("client: writing")?;
            observe_timeout(harness, &client)?;
            harness.observe("RSTs of the client", hosts.count_sent(Side::A, Segment::is_rst));
            Ok(())
        },
        paths: &[LISTENER, CLIENT, SERVER],
        facts: &[("client reads", "ETIMEDOUT"), ("RSTs of the client", "0")],
        reference: "RFC 9293 §3.8.3; tcp(7), tcp_retries2",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "close/keepalive",
        description: "the keepalive probe of an idle connection is not answered, and the client sends an RST",
        needs: &[Requirement::Wire],
        steps: |harness| {
            let hosts = harness.host_pair()?;
            let client = disconnected_client(harness, &hosts)?;
            client.tcp.keep_alive(Duration::from_secs(1), 1).step("client: setting SO_KEEPALIVE")?;
            observe_timeout(harness, &client)?;
            hosts.wait_for_segment(Side::A, Segment::is_rst)?;
            harness.observe("RSTs of the client", hosts.count_sent(Side::A, Segment::is_rst));
            Ok(())
        },
        paths: &[LISTENER, CLIENT, SERVER],
        facts: &[("client reads", "ETIMEDOUT"), ("RSTs of the client", "1")],
        reference: "RFC 9293 §3.8.4; socket(7), SO_KEEPALIVE; tcp_keepalive_timer",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "close/user-timeout",
        description: "data stays unacknowledged for TCP_USER_TIMEOUT, and the client fails with ETIMEDOUT",
        needs: &[Requirement::Wire],
        steps: |harness| {
            let hosts = harness.host_pair()?;
            let client = disconnected_client(harness, &hosts)?;
            client.tcp.user_timeout(Duration::from_millis(500)).step("client: setting TCP_USER_TIMEOUT")?;
            harness.write(&client, b"data").step("client: writing")?;
            observe_timeout(harness, &client)?;
            harness.observe("RSTs of the client", hosts.count_sent(Side::A, Segment::is_rst));
            Ok(())
        },
        paths: &[LISTENER, CLIENT, SERVER],
        facts: &[("client reads", "ETIMEDOUT"), ("RSTs of the client", "0")],
        reference: "RFC 5482; tcp(7), TCP_USER_TIMEOUT",
        ..Behaviour::DEFAULT
    },
];

/// A connected client, all of whose further segments are dropped.
fn disconnected_client(harness: &mut Harness, hosts: &HostPair) -> Result<TestSocket, StepError> {
    let [_listener, client, server] = harness.connection(&hosts.a, &hosts.b)?;
    harness.wait_for_state(&server, Established)?;
    hosts.wire.add_rule(Rule::drop(|_| true).sent_by(Side::A));
    Ok(client)
}

/// Waits until the client has timed out, and observes its error.
fn observe_timeout(harness: &mut Harness, client: &TestSocket) -> Result<(), StepError> {
    harness.wait_for_state(client, Close)?;
    let read = harness.read(client);
    harness.observe_result("client reads", &read);
    Ok(())
}
