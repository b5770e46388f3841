//! Two ends that open towards each other.

use State::{Close, Established, SynRecv, SynSent};

use crate::{
    audit::{
        Behaviour, Harness, Need, Variant,
        harness::{HostPair, SERVER, TestSocket},
    },
    model::{Segment, Side, State},
    scenario::{Step as _, StepError},
    wire::Rule,
};

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "open/simultaneous",
        description: "two SYNs cross, and each opens the other end",
        needs: &[Need::Wire, Need::Crossing],
        steps: |harness| {
            let (ends, [a, b]) = crossing(harness)?;
            harness.until(&a, Established)?;
            harness.until(&b, Established)?;
            harness.state("sent by a", ends.carried(Side::A));
            harness.state("sent by b", ends.carried(Side::B));
            Ok(())
        },
        paths: &[
            ("a", &[Close, SynSent, SynRecv, Established]),
            ("b", &[Close, SynSent, SynRecv, Established]),
        ],
        facts: &[("sent by a", "SYN, SYN+ACK"), ("sent by b", "SYN, SYN+ACK")],
        reference: "RFC 9293 §3.5, figure 7 (MUST-10)",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "open/crossed-syn-ack",
        description: "the SYN+ACK of a simultaneous open is accepted, not challenged",
        needs: &[Need::Wire, Need::Crossing],
        steps: |harness| {
            let ends = harness.ends()?;
            let before = (ends.a.counters()?, ends.b.counters()?);
            let [a, b] = cross(harness, &ends)?;
            harness.until(&a, Established)?;
            harness.until(&b, Established)?;
            for (side, place, before) in [(Side::A, &ends.a, &before.0), (Side::B, &ends.b, &before.1)] {
                let now = place.counters()?;
                for counter in ["TCPSYNChallenge", "TCPChallengeACK"] {
                    let rise = now.since(before, counter).ok_or("this kernel does not count it");
                    harness.state(format!("{counter} at {side}"), rise.step(counter)?);
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
            cause: "before 23e89e8ee7be (6.11, and updates of 6.1): the SYN+ACK is dropped as a SYN in a connection \
                    (RFC 5961 §4.2), and the challenge ACK that answers it opens the other end",
            paths: &[],
            facts: &[
                ("TCPSYNChallenge at a", "1"),
                ("TCPChallengeACK at a", "1"),
                ("TCPSYNChallenge at b", "1"),
                ("TCPChallengeACK at b", "1"),
            ],
        }],
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "open/asymmetric",
        description: "one of two SYNs is lost: one end sees a simultaneous open, the other an ordinary one",
        needs: &[Need::Wire, Need::Crossing],
        steps: |harness| {
            let ends = harness.ends()?;
            // All of b's, for it would send one again.
            ends.wire.add(Rule::drop(Segment::is_syn).sent_by(Side::B));
            let [a, b] = bound(harness, &ends)?;
            harness.begin_connect(&b, ends.a.port(SERVER)).step("b: connecting")?;
            ends.shows(Side::B, Segment::is_syn)?;
            harness.begin_connect(&a, ends.b.port(SERVER)).step("a: connecting")?;
            harness.until(&a, Established)?;
            harness.until(&b, Established)?;
            harness.state("sent by a", ends.carried(Side::A));
            harness.state("sent by b", ends.carried(Side::B));
            Ok(())
        },
        paths: &[("a", &[Close, SynSent, Established]), ("b", &[Close, SynSent, SynRecv, Established])],
        facts: &[("sent by a", "SYN"), ("sent by b", "SYN, SYN+ACK")],
        reference: "RFC 9293 §3.5, figure 7, with one SYN lost",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "open/two-connects-without-delay",
        description: "on loopback a SYN arrives before the other end has sent its own, and is refused",
        steps: |harness| {
            let here = harness.here()?;
            let a = harness.bound(&here, "a", SERVER)?;
            let b = harness.bound(&here, "b", SERVER + 1)?;
            let connected = harness.connect(&a, here.port(SERVER + 1));
            harness.says("a connects", &connected);
            let connected = harness.connect(&b, here.port(SERVER));
            harness.says("b connects", &connected);
            harness.until(&a, Close)?;
            harness.until(&b, Close)
        },
        paths: &[("a", &[Close, SynSent, Close]), ("b", &[Close, SynSent, Close])],
        facts: &[("a connects", "ECONNREFUSED"), ("b connects", "ECONNREFUSED")],
        reference: "RFC 9293 §3.10.7.1: the SYN finds a socket in CLOSED",
        ..Behaviour::BLANK
    },
];

/// Both ends with a SYN on its way to the other.
fn crossing(harness: &mut Harness) -> Result<(HostPair, [TestSocket; 2]), StepError> {
    let ends = harness.ends()?;
    let players = cross(harness, &ends)?;
    Ok((ends, players))
}

/// Lets both ends connect, and holds their SYNs until both are under way.
pub(super) fn cross(harness: &mut Harness, ends: &HostPair) -> Result<[TestSocket; 2], StepError> {
    let syns = ends.wire.add(Rule::hold(Segment::is_syn));
    let [a, b] = bound(harness, ends)?;
    harness.begin_connect(&a, ends.b.port(SERVER)).step("a: connecting")?;
    harness.begin_connect(&b, ends.a.port(SERVER)).step("b: connecting")?;
    ends.both_show(Segment::is_syn)?;
    ends.wire.lift(syns);
    Ok([a, b])
}

fn bound(harness: &mut Harness, ends: &HostPair) -> Result<[TestSocket; 2], StepError> {
    Ok([harness.bound(&ends.a, "a", SERVER)?, harness.bound(&ends.b, "b", SERVER)?])
}
