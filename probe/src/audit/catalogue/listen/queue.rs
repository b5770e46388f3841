//! The accept queue: children that nobody has accepted, and what happens where there are too many.

use State::{Close, Established, Listen, SynRecv, SynSent};

use crate::{
    audit::{
        Behaviour, Bench, Need,
        bench::{Ends, Player, SERVER},
    },
    model::{Segment, Side, State},
    net::sysctl,
    scenario::{Step as _, Trouble},
    wire::Rule,
};

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "listen/closed-on-child",
        says: "the listener closes before it has accepted its child",
        steps: |bench| {
            let here = bench.here()?;
            let listener = bench.listener(&here, "listener")?;
            let client = bench.socket(&here, "client")?;
            bench.connect(&client, here.port(SERVER)).step("client: connecting")?;
            let child = bench.meet(&here, "child", &client)?;
            bench.close(listener);
            bench.until(child, Close)?;
            let read = bench.read(&client);
            bench.says("client reads", &read);
            bench.until(&client, Close)
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
        says: "a SYN comes while the accept queue is full",
        steps: |bench| {
            let here = bench.here()?;
            let before = here.counters()?;
            let listener = bench.listener(&here, "listener")?;
            // The queue takes one more than it is told to (sk_acceptq_is_full).
            listener.tcp.listen(1).step("listener: shortening its queue")?;
            for (client, child) in [("first", "first child"), ("second", "second child")] {
                let client = bench.socket(&here, client)?;
                bench.connect(&client, here.port(SERVER)).step("connecting")?;
                bench.meet(&here, child, &client)?;
            }
            let third = bench.socket(&here, "third")?;
            bench.begin_connect(&third, here.port(SERVER)).step("third: connecting")?;
            bench.until_risen(&here, &before, "ListenOverflows")?;
            bench.until_risen(&here, &before, "ListenDrops")?;
            bench.until(&third, SynSent)?;
            bench.state_of(&third);
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
        says: "a third ACK comes while the accept queue is full, and the request is given up",
        needs: &[Need::Wire, Need::Sysctl("tcp_synack_retries")],
        steps: |bench| {
            let ends = bench.ends()?;
            ends.b.set(sysctl::TCP_SYNACK_RETRIES, &1)?;
            let before = ends.b.counters()?;
            let late = overflow(bench, &ends)?;
            bench.until_risen(&ends.b, &before, "ListenOverflows")?;
            bench.state_of(&late);
            let given_up = bench.eventually(|| Ok(ends.b.requests()? == 0))?;
            bench.state("given up", given_up);
            let write = bench.write(&late, b"data");
            bench.says("late writes", &write);
            let read = bench.read(&late);
            bench.says("late reads", &read);
            bench.until(&late, Close)
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
        says: "with tcp_abort_on_overflow a third ACK that finds the accept queue full is answered by a RST",
        needs: &[Need::Wire, Need::Sysctl("tcp_abort_on_overflow")],
        steps: |bench| {
            let ends = bench.ends()?;
            ends.b.set(sysctl::TCP_ABORT_ON_OVERFLOW, &true)?;
            let before = ends.b.counters()?;
            let late = overflow(bench, &ends)?;
            bench.until_risen(&ends.b, &before, "ListenOverflows")?;
            let read = bench.read(&late);
            bench.says("late reads", &read);
            bench.until(&late, Close)?;
            bench.state("sent by the listener's side", ends.carried(Side::B));
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
fn overflow(bench: &mut Bench, ends: &Ends) -> Result<Player, Trouble> {
    const LATE: u16 = 4711;
    let third = |segment: &Segment| segment.is_bare_ack() && segment.source.port() == LATE;
    let third = ends.wire.add(Rule::hold(third).sent_by(Side::A));
    let listener = bench.listener(&ends.b, "listener")?;
    let late = bench.bound(&ends.a, "late", LATE)?;
    bench.connect(&late, ends.b.port(SERVER)).step("late: connecting")?;
    let early = bench.socket(&ends.a, "early")?;
    bench.connect(&early, ends.b.port(SERVER)).step("early: connecting")?;
    bench.meet(&ends.b, "early child", &early)?;
    listener.tcp.listen(0).step("listener: shortening its queue")?;
    ends.wire.lift(third);
    Ok(late)
}
