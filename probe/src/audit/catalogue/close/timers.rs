//! Connections that end because nobody answers.

use std::time::Duration;

use State::{Close, Established, Listen, SynRecv, SynSent};

use super::LISTENER;
use crate::{
    audit::{
        Behaviour, Harness, Need,
        harness::{HostPair, TestSocket},
    },
    model::{Segment, Side, State},
    net::sysctl,
    scenario::{Step as _, StepError},
    wire::Rule,
};

/// A client whose time is out.
const CLIENT: (&str, &[State]) = ("client", &[Close, SynSent, Established, Close]);
/// A server that hears nothing of it.
const SERVER: (&str, &[State]) = ("server", &[Listen, SynRecv, Established]);

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "close/retransmission-timeout",
        description: "data is sent again tcp_retries2 times without an answer",
        needs: &[Need::Wire, Need::Sysctl("tcp_retries2")],
        steps: |harness| {
            let ends = harness.ends()?;
            ends.a.set(sysctl::TCP_RETRIES2, &2)?;
            let client = cut_off(harness, &ends)?;
            harness.write(&client, b"data").step("client: writing")?;
            times_out(harness, &client)?;
            harness.state("RSTs of the client", ends.count(Side::A, Segment::is_rst));
            Ok(())
        },
        paths: &[LISTENER, CLIENT, SERVER],
        facts: &[("client reads", "ETIMEDOUT"), ("RSTs of the client", "0")],
        reference: "RFC 9293 §3.8.3; tcp(7), tcp_retries2",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "close/keepalive",
        description: "nobody answers the probe of an idle connection",
        needs: &[Need::Wire],
        steps: |harness| {
            let ends = harness.ends()?;
            let client = cut_off(harness, &ends)?;
            client.tcp.keep_alive(Duration::from_secs(1), 1).step("client: setting SO_KEEPALIVE")?;
            times_out(harness, &client)?;
            ends.shows(Side::A, Segment::is_rst)?;
            harness.state("RSTs of the client", ends.count(Side::A, Segment::is_rst));
            Ok(())
        },
        paths: &[LISTENER, CLIENT, SERVER],
        facts: &[("client reads", "ETIMEDOUT"), ("RSTs of the client", "1")],
        reference: "RFC 9293 §3.8.4; socket(7), SO_KEEPALIVE; tcp_keepalive_timer",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "close/user-timeout",
        description: "data has been without an answer for TCP_USER_TIMEOUT",
        needs: &[Need::Wire],
        steps: |harness| {
            let ends = harness.ends()?;
            let client = cut_off(harness, &ends)?;
            client.tcp.user_timeout(Duration::from_millis(500)).step("client: setting TCP_USER_TIMEOUT")?;
            harness.write(&client, b"data").step("client: writing")?;
            times_out(harness, &client)?;
            harness.state("RSTs of the client", ends.count(Side::A, Segment::is_rst));
            Ok(())
        },
        paths: &[LISTENER, CLIENT, SERVER],
        facts: &[("client reads", "ETIMEDOUT"), ("RSTs of the client", "0")],
        reference: "RFC 5482; tcp(7), TCP_USER_TIMEOUT",
        ..Behaviour::BLANK
    },
];

/// A client that is connected, and of which nothing gets through from here on.
fn cut_off(harness: &mut Harness, ends: &HostPair) -> Result<TestSocket, StepError> {
    let [_listener, client, server] = harness.connected(&ends.a, &ends.b)?;
    harness.until(&server, Established)?;
    ends.wire.add(Rule::drop(|_| true).sent_by(Side::A));
    Ok(client)
}

fn times_out(harness: &mut Harness, client: &TestSocket) -> Result<(), StepError> {
    harness.until(client, Close)?;
    let read = harness.read(client);
    harness.says("client reads", &read);
    Ok(())
}
