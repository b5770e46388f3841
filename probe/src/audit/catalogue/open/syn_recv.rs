//! What can happen to an end of a simultaneous open between the peer's SYN and its SYN+ACK.

use std::net::Shutdown;

use State::{Close, CloseWait, Closing, Established, FinWait1, FinWait2, SynRecv, SynSent};

use super::simultaneous::cross;
use crate::{
    audit::{
        Behaviour, Bench, Need, Variant,
        bench::{Ends, Player},
    },
    model::{Flags, Segment, Side, State},
    scenario::{Step as _, Trouble},
    wire::{Rule, RuleId},
};

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "open/close-in-syn-recv",
        says: "both ends of a simultaneous open close before the SYN+ACKs arrive",
        needs: &[Need::Wire, Need::Crossing],
        steps: |bench| {
            let (ends, [a, b], answers) = half_way(bench)?;
            let (a, b) = (bench.close(a), bench.close(b));
            bench.until(a, FinWait1)?;
            bench.until(b, FinWait1)?;
            ends.both_show(Segment::is_fin)?;
            ends.wire.lift(answers);
            bench.until(a, Close)?;
            bench.until(b, Close)?;
            bench.state("sent by a", ends.carried(Side::A));
            bench.state("sent by b", ends.carried(Side::B));
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
        says: "one end of a simultaneous open ends its direction before the SYN+ACK arrives",
        needs: &[Need::Wire, Need::Crossing],
        steps: |bench| {
            let (ends, [a, b], answers) = half_way(bench)?;
            a.tcp.shutdown(Shutdown::Write).step("a: ending its direction")?;
            ends.wire.lift(answers);
            bench.until(&a, FinWait2)?;
            bench.until(&b, CloseWait)?;
            bench.state("sent by a", ends.carried(Side::A));
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
        says: "a RST ends one end of a simultaneous open before the SYN+ACK arrives",
        needs: &[Need::Wire, Need::Crossing],
        steps: |bench| {
            let (ends, [a, _b], _answers) = half_way(bench)?;
            let syn = ends.shows(Side::B, Segment::is_syn)?;
            let reset = Segment { flags: Flags::RST, seq: syn.seq.wrapping_add(1), ..syn };
            ends.wire.inject(Side::B, &reset, &[]);
            bench.until(&a, Close)?;
            let error = a.tcp.pending_error();
            bench.says("a", &error);
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
fn half_way(bench: &mut Bench) -> Result<(Ends, [Player; 2], RuleId), Trouble> {
    let ends = bench.ends()?;
    let answers = ends.wire.add(Rule::hold(|segment| !segment.is_syn()));
    let [a, b] = cross(bench, &ends)?;
    bench.until(&a, SynRecv)?;
    bench.until(&b, SynRecv)?;
    Ok((ends, [a, b], answers))
}
