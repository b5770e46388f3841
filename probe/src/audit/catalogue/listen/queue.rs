//! The accept queue: children that nobody has accepted, and what happens where there are too many.

use State::{Close, Established, Listen, SynRecv, SynSent};

use crate::{
    audit::{
        Behaviour, Harness, Need,
        harness::{HostPair, SERVER, TestSocket},
    },
    model::{Segment, Side, State},
    net::sysctl,
    scenario::{Step as _, StepError},
    wire::Rule,
};

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "listen/closed-on-child",
        description: "the listener closes before it has accepted its child",
        steps: |harness| {
            let here = harness.here()?;
            let listener = harness.listener(&here, "listener")?;
            let client = harness.socket(&here, "client")?;
            harness.connect(&client, here.port(SERVER)).step("client: connecting")?;
            let child = harness.meet(&here, "child", &client)?;
            harness.close(listener);
            harness.until(child, Close)?;
            let read = harness.read(&client);
            harness.says("client reads", &read);
            harness.until(&client, Close)
        },
        paths: &[
            ("listener", &[Close, Listen, Close]),
            ("client", &[Close, SynSent, Established, Close]),
            ("child", &[Listen, SynRecv, Established, Close]),
        ],
        facts: &[("client reads", "ECONNRESET")],
        reference: "RFC 9293 §3.10.4; inet_csk_listen_stop disconnects every child that is left",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "listen/queue-full",
        description: "a SYN comes while the accept queue is full",
        steps: |harness| {
            let here = harness.here()?;
            let before = here.counters()?;
            let listener = harness.listener(&here, "listener")?;
            // The queue takes one more than it is told to (sk_acceptq_is_full).
            listener.tcp.listen(1).step("listener: shortening its queue")?;
            for (client, child) in [("first", "first child"), ("second", "second child")] {
                let client = harness.socket(&here, client)?;
                harness.connect(&client, here.port(SERVER)).step("connecting")?;
                harness.meet(&here, child, &client)?;
            }
            let third = harness.socket(&here, "third")?;
            harness.begin_connect(&third, here.port(SERVER)).step("third: connecting")?;
            harness.until_risen(&here, &before, "ListenOverflows")?;
            harness.until_risen(&here, &before, "ListenDrops")?;
            harness.until(&third, SynSent)?;
            harness.state_of(&third);
            Ok(())
        },
        paths: &[
            ("listener", &[Close, Listen]),
            ("first", &[Close, SynSent, Established]),
            ("first child", &[Listen, SynRecv, Established]),
            ("second", &[Close, SynSent, Established]),
            ("second child", &[Listen, SynRecv, Established]),
            ("third", &[Close, SynSent]),
        ],
        facts: &[("ListenOverflows", "rises"), ("ListenDrops", "rises"), ("third", "SYN_SENT")],
        reference: "listen(2), backlog; tcp_conn_request",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "listen/overflow",
        description: "a third ACK comes while the accept queue is full, and the request is given up",
        needs: &[Need::Wire, Need::Sysctl("tcp_synack_retries")],
        steps: |harness| {
            let ends = harness.ends()?;
            ends.b.set(sysctl::TCP_SYNACK_RETRIES, &1)?;
            let before = ends.b.counters()?;
            let late = overflow(harness, &ends)?;
            harness.until_risen(&ends.b, &before, "ListenOverflows")?;
            harness.state_of(&late);
            let given_up = harness.eventually(|| Ok(ends.b.requests()? == 0))?;
            harness.state("given up", given_up);
            let write = harness.write(&late, b"data");
            harness.says("late writes", &write);
            let read = harness.read(&late);
            harness.says("late reads", &read);
            harness.until(&late, Close)
        },
        paths: &[
            ("listener", &[Close, Listen]),
            ("late", &[Close, SynSent, Established, Close]),
            ("early", &[Close, SynSent, Established]),
            ("early child", &[Listen, SynRecv, Established]),
        ],
        facts: &[
            ("ListenOverflows", "rises"),
            ("late", "ESTABLISHED"),
            ("given up", "true"),
            ("late writes", "success"),
            ("late reads", "ECONNRESET"),
        ],
        reference: "tcp(7), tcp_abort_on_overflow; tcp_v4_syn_recv_sock",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "listen/overflow-abort",
        description: "with tcp_abort_on_overflow a third ACK that finds the accept queue full is answered by a RST",
        needs: &[Need::Wire, Need::Sysctl("tcp_abort_on_overflow")],
        steps: |harness| {
            let ends = harness.ends()?;
            ends.b.set(sysctl::TCP_ABORT_ON_OVERFLOW, &true)?;
            let before = ends.b.counters()?;
            let late = overflow(harness, &ends)?;
            harness.until_risen(&ends.b, &before, "ListenOverflows")?;
            let read = harness.read(&late);
            harness.says("late reads", &read);
            harness.until(&late, Close)?;
            harness.state("sent by the listener's side", ends.carried(Side::B));
            Ok(())
        },
        paths: &[
            ("listener", &[Close, Listen]),
            ("late", &[Close, SynSent, Established, Close]),
            ("early", &[Close, SynSent, Established]),
            ("early child", &[Listen, SynRecv, Established]),
        ],
        facts: &[
            ("ListenOverflows", "rises"),
            ("late reads", "ECONNRESET"),
            ("sent by the listener's side", "SYN+ACK, SYN+ACK, RST"),
        ],
        reference: "tcp(7), tcp_abort_on_overflow",
        ..Behaviour::BLANK
    },
];

/// Lets the third ACK of `late` find the queue full: `early` has overtaken it, and the queue takes one.
fn overflow(harness: &mut Harness, ends: &HostPair) -> Result<TestSocket, StepError> {
    const LATE: u16 = 4711;
    let third = |segment: &Segment| segment.is_bare_ack() && segment.source.port() == LATE;
    let third = ends.wire.add(Rule::hold(third).sent_by(Side::A));
    let listener = harness.listener(&ends.b, "listener")?;
    let late = harness.bound(&ends.a, "late", LATE)?;
    harness.connect(&late, ends.b.port(SERVER)).step("late: connecting")?;
    let early = harness.socket(&ends.a, "early")?;
    harness.connect(&early, ends.b.port(SERVER)).step("early: connecting")?;
    harness.meet(&ends.b, "early child", &early)?;
    listener.tcp.listen(0).step("listener: shortening its queue")?;
    ends.wire.lift(third);
    Ok(late)
}
