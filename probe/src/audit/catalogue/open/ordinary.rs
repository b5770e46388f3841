//! How connections come to be, or do not.

use State::{Close, Established, Listen, SynRecv, SynSent};

use crate::{
    audit::{Behaviour, bench::SERVER},
    model::{Fate, Segment, Side, State},
    scenario::Step as _,
    wire::Rule,
};

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "open/ordinary",
        says: "a client connects to a listener",
        steps: |bench| {
            let here = bench.here()?;
            let [_listener, client, server] = bench.connected(&here, &here)?;
            bench.until(&client, Established)?;
            bench.until(&server, Established)
        },
        paths: &[
            ("listener", &[Close, Listen]),
            ("client", &[Close, SynSent, Established]),
            ("server", &[Listen, SynRecv, Established]),
        ],
        reference: "RFC 9293 §3.5, figure 6",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "open/simultaneous",
        says: "two SYNs cross, and each opens the other end",
        steps: |bench| {
            let ends = bench.ends()?;
            let syns = ends.wire.add(Rule::hold(Segment::is_syn));
            let a = bench.bound(&ends.a, "a", SERVER)?;
            let b = bench.bound(&ends.b, "b", SERVER)?;
            bench.begin_connect(&a, ends.b.port(SERVER)).step("a: connecting")?;
            bench.begin_connect(&b, ends.a.port(SERVER)).step("b: connecting")?;
            let held =
                |side| move |packet: &crate::model::Packet| packet.from == side && packet.fate == Fate::Held;
            ends.wire
                .wait_for(bench.deadline(), |packets| {
                    Side::BOTH.into_iter().all(|side| packets.iter().any(held(side)))
                })
                .step("waiting for both SYNs")?;
            ends.wire.lift(syns);
            bench.until(&a, Established)?;
            bench.until(&b, Established)
        },
        paths: &[
            ("a", &[Close, SynSent, SynRecv, Established]),
            ("b", &[Close, SynSent, SynRecv, Established]),
        ],
        reference: "RFC 9293 §3.5, figure 7 (MUST-10)",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "open/refused",
        says: "a client connects where nobody listens",
        steps: |bench| {
            let here = bench.here()?;
            let client = bench.socket(&here, "client")?;
            let connected = bench.connect(&client, here.port(SERVER));
            bench.says("connect", &connected);
            bench.until(&client, Close)
        },
        paths: &[("client", &[Close, SynSent, Close])],
        facts: &[("connect", "ECONNREFUSED")],
        reference: "RFC 9293 §3.10.7.1",
        ..Behaviour::BLANK
    },
];
