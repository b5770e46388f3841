//! Events in SYN_RECV: after the peer's SYN of a simultaneous open, and before its SYN+ACK.

use std::net::Shutdown;

use State::{Close, CloseWait, Closing, Established, FinWait1, FinWait2, SynRecv, SynSent};

use super::simultaneous::cross_syns;
use crate::{
    audit::{
        Behaviour, Harness, Requirement, Variant,
        harness::{HostPair, TestSocket},
    },
    model::{Flags, Segment, Side, State},
    scenario::{Step as _, StepError},
    wire::{Rule, RuleId},
};

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "open/close-in-syn-recv",
        description: "close in SYN_RECV: both sides of a simultaneous open close before the SYN+ACKs arrive",
        needs: &[Requirement::Wire, Requirement::SimultaneousOpen],
        steps: |harness| {
            let (hosts, [a, b], later_segments) = both_in_syn_recv(harness)?;
            let (a, b) = (harness.close(a), harness.close(b));
            harness.wait_for_state(a, FinWait1)?;
            harness.wait_for_state(b, FinWait1)?;
            hosts.wait_for_both(Segment::is_fin)?;
            hosts.wire.remove_rule(later_segments);
            harness.wait_for_state(a, Close)?;
            harness.wait_for_state(b, Close)?;
            harness.observe("sent by a", hosts.sent_segments(Side::A));
            harness.observe("sent by b", hosts.sent_segments(Side::B));
            Ok(())
        },
        paths: &[
            ("a", &[Close, SynSent, SynRecv, FinWait1, Closing, Close]),
            ("b", &[Close, SynSent, SynRecv, FinWait1, Closing, Close]),
        ],
        facts: &[("sent by a", "SYN, SYN+ACK, FIN+ACK"), ("sent by b", "SYN, SYN+ACK, FIN+ACK")],
        reference: "RFC 9293 §3.10.4, CLOSE in SYN-RECEIVED",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "open/shutdown-in-syn-recv",
        description: "shutdown in SYN_RECV: one side of a simultaneous open shuts down before the SYN+ACK \
                      arrives",
        needs: &[Requirement::Wire, Requirement::SimultaneousOpen],
        steps: |harness| {
            let (hosts, [a, b], later_segments) = both_in_syn_recv(harness)?;
            a.tcp.shutdown(Shutdown::Write).step("a: shutting down")?;
            hosts.wire.remove_rule(later_segments);
            harness.wait_for_state(&a, FinWait2)?;
            harness.wait_for_state(&b, CloseWait)?;
            harness.observe("sent by a", hosts.sent_segments(Side::A));
            Ok(())
        },
        paths: &[
            ("a", &[Close, SynSent, SynRecv, Established, FinWait1, FinWait2]),
            ("b", &[Close, SynSent, SynRecv, Established, CloseWait]),
        ],
        facts: &[("sent by a", "SYN, SYN+ACK, FIN+ACK")],
        reference: "tcp_shutdown in net/ipv4/tcp.c since 94062790aedb (6.9, CVE-2024-36905): the FIN waits \
                    for the SYN+ACK",
        variants: &[Variant {
            cause: "before 94062790aedb (6.9): the FIN is sent at once, as RFC 9293 §3.10.4 specifies",
            paths: &[("a", &[Close, SynSent, SynRecv, FinWait1, FinWait2])],
            facts: &[],
        }],
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "open/reset-in-syn-recv",
        description: "RST in SYN_RECV: an RST aborts one side of a simultaneous open before the SYN+ACK \
                      arrives",
        needs: &[Requirement::Wire, Requirement::SimultaneousOpen],
        steps: |harness| {
            let (hosts, [a, _b], _later_segments) = both_in_syn_recv(harness)?;
            let syn = hosts.wait_for_segment(Side::B, Segment::is_syn)?;
            let rst = Segment { flags: Flags::RST, seq: syn.seq.wrapping_add(1), ..syn };
            hosts.wire.inject(Side::B, &rst, &[]);
            harness.wait_for_state(&a, Close)?;
            let error = a.tcp.pending_error();
            harness.observe_result("a", &error);
            Ok(())
        },
        paths: &[("a", &[Close, SynSent, SynRecv, Close]), ("b", &[Close, SynSent, SynRecv])],
        facts: &[("a", "ECONNREFUSED")],
        reference: "RFC 9293 §3.10.7.4, second: RST in SYN-RECEIVED after an active OPEN",
        variants: &[Variant {
            cause: "Linux reports a refusal in SYN_SENT only (tcp_reset in net/ipv4/tcp_input.c): in \
                    SYN_RECV the error is a reset, where RFC 9293 requires \"connection refused\"",
            paths: &[],
            facts: &[("a", "ECONNRESET")],
        }],
        ..Behaviour::DEFAULT
    },
];

/// Two sockets in SYN_RECV. The wire holds every segment that they have sent since their SYNs until the
/// returned rule is removed.
fn both_in_syn_recv(harness: &mut Harness) -> Result<(HostPair, [TestSocket; 2], RuleId), StepError> {
    let hosts = harness.host_pair()?;
    let later_segments = hosts.wire.add_rule(Rule::hold(|segment| !segment.is_syn()));
    let [a, b] = cross_syns(harness, &hosts)?;
    harness.wait_for_state(&a, SynRecv)?;
    harness.wait_for_state(&b, SynRecv)?;
    Ok((hosts, [a, b], later_segments))
}
