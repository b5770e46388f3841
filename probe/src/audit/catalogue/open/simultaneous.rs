//! Two sockets that connect to each other.

use State::{Close, Established, SynRecv, SynSent};

use crate::{
    audit::{
        Behaviour, Harness, Requirement, Variant,
        harness::{HostPair, SERVER_PORT, TestSocket},
    },
    model::{Segment, Side, State},
    scenario::{Step as _, StepError},
    wire::Rule,
};

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "open/simultaneous",
        description: "simultaneous open: two SYNs cross, and each moves the other socket to SYN_RECV",
        needs: &[Requirement::Wire, Requirement::SimultaneousOpen],
        steps: |harness| {
            let hosts = harness.host_pair()?;
            let [a, b] = cross_syns(harness, &hosts)?;
            harness.wait_for_state(&a, Established)?;
            harness.wait_for_state(&b, Established)?;
            harness.observe("sent by a", hosts.sent_segments(Side::A));
            harness.observe("sent by b", hosts.sent_segments(Side::B));
            Ok(())
        },
        paths: &[
            ("a", &[Close, SynSent, SynRecv, Established]),
            ("b", &[Close, SynSent, SynRecv, Established]),
        ],
        facts: &[("sent by a", "SYN, SYN+ACK"), ("sent by b", "SYN, SYN+ACK")],
        reference: "RFC 9293 §3.5, figure 7 (MUST-10)",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "open/crossed-syn-ack",
        description: "simultaneous open: both SYN+ACKs are accepted in SYN_RECV, without a challenge ACK",
        needs: &[Requirement::Wire, Requirement::SimultaneousOpen],
        steps: |harness| {
            let hosts = harness.host_pair()?;
            let before = (hosts.a.counters()?, hosts.b.counters()?);
            let [a, b] = cross_syns(harness, &hosts)?;
            harness.wait_for_state(&a, Established)?;
            harness.wait_for_state(&b, Established)?;
            for (side, host, before) in [(Side::A, &hosts.a, &before.0), (Side::B, &hosts.b, &before.1)] {
                let now = host.counters()?;
                for counter in ["TCPSYNChallenge", "TCPChallengeACK"] {
                    let rise = now.since(before, counter).ok_or("this kernel does not count it");
                    harness.observe(format!("{counter} at {side}"), rise.step(counter)?);
                }
            }
            Ok(())
        },
        paths: &[
            ("a", &[Close, SynSent, SynRecv, Established]),
            ("b", &[Close, SynSent, SynRecv, Established]),
        ],
        facts: &[
            ("TCPSYNChallenge at a", "0"),
            ("TCPChallengeACK at a", "0"),
            ("TCPSYNChallenge at b", "0"),
            ("TCPChallengeACK at b", "0"),
        ],
        reference: "RFC 9293 §3.10.7.4, fifth: ACK in SYN-RECEIVED",
        variants: &[Variant {
            cause: "before 23e89e8ee7be (6.11, backported to 6.1): the kernel drops the SYN+ACK like a SYN \
                    on an open connection (RFC 5961 §4.2), and its challenge ACK opens the other side",
            paths: &[],
            facts: &[
                ("TCPSYNChallenge at a", "1"),
                ("TCPChallengeACK at a", "1"),
                ("TCPSYNChallenge at b", "1"),
                ("TCPChallengeACK at b", "1"),
            ],
        }],
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "open/asymmetric",
        description: "one of two SYNs is lost: one side sees a simultaneous open, the other an active open",
        needs: &[Requirement::Wire, Requirement::SimultaneousOpen],
        steps: |harness| {
            let hosts = harness.host_pair()?;
            // Drop every SYN of b, which retransmits it.
            hosts.wire.add_rule(Rule::drop(Segment::is_syn).sent_by(Side::B));
            let [a, b] = bound_sockets(harness, &hosts)?;
            harness.begin_connect(&b, hosts.a.endpoint(SERVER_PORT)).step("b: connecting")?;
            hosts.wait_for_segment(Side::B, Segment::is_syn)?;
            harness.begin_connect(&a, hosts.b.endpoint(SERVER_PORT)).step("a: connecting")?;
            harness.wait_for_state(&a, Established)?;
            harness.wait_for_state(&b, Established)?;
            harness.observe("sent by a", hosts.sent_segments(Side::A));
            harness.observe("sent by b", hosts.sent_segments(Side::B));
            Ok(())
        },
        paths: &[("a", &[Close, SynSent, Established]), ("b", &[Close, SynSent, SynRecv, Established])],
        facts: &[("sent by a", "SYN"), ("sent by b", "SYN, SYN+ACK")],
        reference: "RFC 9293 §3.5, figure 7, with one SYN lost",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "open/two-connects-without-delay",
        description: "two sockets connect to each other on loopback: each SYN arrives while the other \
                      socket is in CLOSE, and is refused",
        steps: |harness| {
            let host = harness.host()?;
            let a = harness.bound_socket(&host, "a", SERVER_PORT)?;
            let b = harness.bound_socket(&host, "b", SERVER_PORT + 1)?;
            let connected = harness.connect(&a, host.endpoint(SERVER_PORT + 1));
            harness.observe_result("a connects", &connected);
            let connected = harness.connect(&b, host.endpoint(SERVER_PORT));
            harness.observe_result("b connects", &connected);
            harness.wait_for_state(&a, Close)?;
            harness.wait_for_state(&b, Close)
        },
        paths: &[("a", &[Close, SynSent, Close]), ("b", &[Close, SynSent, Close])],
        facts: &[("a connects", "ECONNREFUSED"), ("b connects", "ECONNREFUSED")],
        reference: "RFC 9293 §3.10.7.1: a SYN in CLOSED",
        ..Behaviour::DEFAULT
    },
];

/// Has both sides connect to each other, and delivers their SYNs when both have been sent.
pub(super) fn cross_syns(harness: &mut Harness, hosts: &HostPair) -> Result<[TestSocket; 2], StepError> {
    let syns = hosts.wire.add_rule(Rule::hold(Segment::is_syn));
    let [a, b] = bound_sockets(harness, hosts)?;
    harness.begin_connect(&a, hosts.b.endpoint(SERVER_PORT)).step("a: connecting")?;
    harness.begin_connect(&b, hosts.a.endpoint(SERVER_PORT)).step("b: connecting")?;
    hosts.wait_for_both(Segment::is_syn)?;
    hosts.wire.remove_rule(syns);
    Ok([a, b])
}

/// Two sockets that are bound to [`SERVER_PORT`], one on each side.
fn bound_sockets(harness: &mut Harness, hosts: &HostPair) -> Result<[TestSocket; 2], StepError> {
    Ok([harness.bound_socket(&hosts.a, "a", SERVER_PORT)?, harness.bound_socket(&hosts.b, "b", SERVER_PORT)?])
}
