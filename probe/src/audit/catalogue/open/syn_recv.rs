//! What can happen to an end of a simultaneous open between the peer's SYN and its SYN+ACK.

use std::net::Shutdown;

use State::{Close, CloseWait, Closing, Established, FinWait1, FinWait2, SynRecv, SynSent};

use super::simultaneous::cross;
use crate::{
    audit::{
        Behaviour, Harness, Need, Variant,
        harness::{HostPair, TestSocket},
    },
    model::{Flags, Segment, Side, State},
    scenario::{Step as _, StepError},
    wire::{Rule, RuleId},
};

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "open/close-in-syn-recv",
        description: "both ends of a simultaneous open close before the SYN+ACKs arrive",
        needs: &[Need::Wire, Need::Crossing],
        steps: |harness| {
            let (ends, [a, b], answers) = half_way(harness)?;
            let (a, b) = (harness.close(a), harness.close(b));
            harness.until(a, FinWait1)?;
            harness.until(b, FinWait1)?;
            ends.both_show(Segment::is_fin)?;
            ends.wire.lift(answers);
            harness.until(a, Close)?;
            harness.until(b, Close)?;
            harness.state("sent by a", ends.carried(Side::A));
            harness.state("sent by b", ends.carried(Side::B));
            Ok(())
        },
        paths: &[
            ("a", &[Close, SynSent, SynRecv, FinWait1, Closing, Close]),
            ("b", &[Close, SynSent, SynRecv, FinWait1, Closing, Close]),
        ],
        facts: &[("sent by a", "SYN, SYN+ACK, FIN+ACK"), ("sent by b", "SYN, SYN+ACK, FIN+ACK")],
        reference: "RFC 9293 §3.10.4, CLOSE in SYN-RECEIVED",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "open/shutdown-in-syn-recv",
        description: "one end of a simultaneous open ends its direction before the SYN+ACK arrives",
        needs: &[Need::Wire, Need::Crossing],
        steps: |harness| {
            let (ends, [a, b], answers) = half_way(harness)?;
            a.tcp.shutdown(Shutdown::Write).step("a: ending its direction")?;
            ends.wire.lift(answers);
            harness.until(&a, FinWait2)?;
            harness.until(&b, CloseWait)?;
            harness.state("sent by a", ends.carried(Side::A));
            Ok(())
        },
        paths: &[
            ("a", &[Close, SynSent, SynRecv, Established, FinWait1, FinWait2]),
            ("b", &[Close, SynSent, SynRecv, Established, CloseWait]),
        ],
        facts: &[("sent by a", "SYN, SYN+ACK, FIN+ACK")],
        reference: "tcp_shutdown in net/ipv4/tcp.c since 94062790aedb (6.9, CVE-2024-36905): it waits for the SYN+ACK",
        variants: &[Variant {
            cause: "before 94062790aedb (6.9): at once, as RFC 9293 §3.10.4 has it",
            paths: &[("a", &[Close, SynSent, SynRecv, FinWait1, FinWait2])],
            facts: &[],
        }],
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "open/reset-in-syn-recv",
        description: "a RST ends one end of a simultaneous open before the SYN+ACK arrives",
        needs: &[Need::Wire, Need::Crossing],
        steps: |harness| {
            let (ends, [a, _b], _answers) = half_way(harness)?;
            let syn = ends.shows(Side::B, Segment::is_syn)?;
            let reset = Segment { flags: Flags::RST, seq: syn.seq.wrapping_add(1), ..syn };
            ends.wire.inject(Side::B, &reset, &[]);
            harness.until(&a, Close)?;
            let error = a.tcp.pending_error();
            harness.says("a", &error);
            Ok(())
        },
        paths: &[("a", &[Close, SynSent, SynRecv, Close]), ("b", &[Close, SynSent, SynRecv])],
        facts: &[("a", "ECONNREFUSED")],
        reference: "RFC 9293 §3.10.7.4, second: RST in SYN-RECEIVED after an active OPEN",
        variants: &[Variant {
            cause: "Linux tells a refusal by SYN_SENT alone (tcp_reset in net/ipv4/tcp_input.c): in SYN_RECV it is a \
                    reset, where RFC 9293 asks for \"connection refused\"",
            paths: &[],
            facts: &[("a", "ECONNRESET")],
        }],
        ..Behaviour::BLANK
    },
];

/// Both ends in SYN_RECV, and whatever they have sent since their SYNs held until the rule is lifted.
fn half_way(harness: &mut Harness) -> Result<(HostPair, [TestSocket; 2], RuleId), StepError> {
    let ends = harness.ends()?;
    let answers = ends.wire.add(Rule::hold(|segment| !segment.is_syn()));
    let [a, b] = cross(harness, &ends)?;
    harness.until(&a, SynRecv)?;
    harness.until(&b, SynRecv)?;
    Ok((ends, [a, b], answers))
}
