//! The accept queue: children that no process has accepted, and what happens when the queue is full.

use State::{Close, Established, Listen, SynRecv, SynSent};

use crate::{
    audit::{
        Behaviour, Harness, Requirement,
        catalogue::paths::LISTENER,
        harness::{HostPair, SERVER_PORT, TestSocket},
    },
    model::{Segment, Side, State},
    net::sysctl,
    scenario::{Step as _, StepError},
    wire::Rule,
};

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "listen/closed-on-child",
        description: "the listener closes with a child in its accept queue, and the kernel resets the \
                      child's connection",
        steps: |harness| {
            let host = harness.host()?;
            let listener = harness.listener(&host, "listener")?;
            let client = harness.socket(&host, "client")?;
            harness.connect(&client, host.endpoint(SERVER_PORT)).step("client: connecting")?;
            let child = harness.queued_child(&host, "child", &client)?;
            harness.close(listener);
            harness.wait_for_state(child, Close)?;
            let read = harness.read(&client);
            harness.observe_result("client reads", &read);
            harness.wait_for_state(&client, Close)
        },
        paths: &[
            ("listener", &[Close, Listen, Close]),
            ("client", &[Close, SynSent, Established, Close]),
            ("child", &[Listen, SynRecv, Established, Close]),
        ],
        facts: &[("client reads", "ECONNRESET")],
        reference: "RFC 9293 §3.10.4; inet_csk_listen_stop disconnects every child in the accept queue",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "listen/queue-full",
        description: "a SYN arrives while the accept queue is full, and the kernel drops it",
        steps: |harness| {
            let host = harness.host()?;
            let before = host.counters()?;
            let listener = harness.listener(&host, "listener")?;
            // The queue takes one child more than its backlog (sk_acceptq_is_full).
            listener.tcp.listen(1).step("listener: setting its backlog")?;
            for (client, child) in [("first", "first child"), ("second", "second child")] {
                let client = harness.socket(&host, client)?;
                harness.connect(&client, host.endpoint(SERVER_PORT)).step("connecting")?;
                harness.queued_child(&host, child, &client)?;
            }
            let third = harness.socket(&host, "third")?;
            harness.begin_connect(&third, host.endpoint(SERVER_PORT)).step("third: connecting")?;
            harness.observe_counter_rise(&host, &before, "ListenOverflows")?;
            harness.observe_counter_rise(&host, &before, "ListenDrops")?;
            harness.wait_for_state(&third, SynSent)?;
            harness.observe_state(&third);
            Ok(())
        },
        paths: &[
            LISTENER,
            ("first", &[Close, SynSent, Established]),
            ("first child", &[Listen, SynRecv, Established]),
            ("second", &[Close, SynSent, Established]),
            ("second child", &[Listen, SynRecv, Established]),
            ("third", &[Close, SynSent]),
        ],
        facts: &[("ListenOverflows", "rises"), ("ListenDrops", "rises"), ("third", "SYN_SENT")],
        reference: "listen(2), backlog; tcp_conn_request",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "listen/overflow",
        description: "the third ACK arrives while the accept queue is full: the kernel drops it, and later \
                      the request",
        needs: &[Requirement::Wire, Requirement::Sysctl("tcp_synack_retries")],
        steps: |harness| {
            let hosts = harness.host_pair()?;
            hosts.b.set_sysctl(sysctl::TCP_SYNACK_RETRIES, &1)?;
            let before = hosts.b.counters()?;
            let late = overflow_queue(harness, &hosts)?;
            harness.observe_counter_rise(&hosts.b, &before, "ListenOverflows")?;
            harness.observe_state(&late);
            let dropped = harness.poll_until(|| Ok(hosts.b.request_sockets()? == 0))?;
            harness.observe("request dropped", dropped);
            let write = harness.write(&late, b"data");
            harness.observe_result("late writes", &write);
            let read = harness.read(&late);
            harness.observe_result("late reads", &read);
            harness.wait_for_state(&late, Close)
        },
        paths: &[
            LISTENER,
            ("late", &[Close, SynSent, Established, Close]),
            ("early", &[Close, SynSent, Established]),
            ("early child", &[Listen, SynRecv, Established]),
        ],
        facts: &[
            ("ListenOverflows", "rises"),
            ("late", "ESTABLISHED"),
            ("request dropped", "true"),
            ("late writes", "success"),
            ("late reads", "ECONNRESET"),
        ],
        reference: "tcp(7), tcp_abort_on_overflow; tcp_v4_syn_recv_sock",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "listen/overflow-abort",
        description: "with tcp_abort_on_overflow, an RST answers a third ACK that arrives while the accept \
                      queue is full",
        needs: &[Requirement::Wire, Requirement::Sysctl("tcp_abort_on_overflow")],
        steps: |harness| {
            let hosts = harness.host_pair()?;
            hosts.b.set_sysctl(sysctl::TCP_ABORT_ON_OVERFLOW, &true)?;
            let before = hosts.b.counters()?;
            let late = overflow_queue(harness, &hosts)?;
            harness.observe_counter_rise(&hosts.b, &before, "ListenOverflows")?;
            let read = harness.read(&late);
            harness.observe_result("late reads", &read);
            harness.wait_for_state(&late, Close)?;
            harness.observe("sent by the listener's host", hosts.sent_segments(Side::B));
            Ok(())
        },
        paths: &[
            LISTENER,
            ("late", &[Close, SynSent, Established, Close]),
            ("early", &[Close, SynSent, Established]),
            ("early child", &[Listen, SynRecv, Established]),
        ],
        facts: &[
            ("ListenOverflows", "rises"),
            ("late reads", "ECONNRESET"),
            ("sent by the listener's host", "SYN+ACK, SYN+ACK, RST"),
        ],
        reference: "tcp(7), tcp_abort_on_overflow",
        ..Behaviour::DEFAULT
    },
];

/// Delivers the third ACK of `late` while the queue is full: it takes one child, and `early` has completed
/// its handshake first.
fn overflow_queue(harness: &mut Harness, hosts: &HostPair) -> Result<TestSocket, StepError> {
    const LATE_PORT: u16 = 4711;
    let is_third_ack = |segment: &Segment| segment.is_bare_ack() && segment.source.port() == LATE_PORT;
    let third_ack = hosts.wire.add_rule(Rule::hold(is_third_ack).sent_by(Side::A));
    let listener = harness.listener(&hosts.b, "listener")?;
    let late = harness.bound_socket(&hosts.a, "late", LATE_PORT)?;
    harness.connect(&late, hosts.b.endpoint(SERVER_PORT)).step("late: connecting")?;
    let early = harness.socket(&hosts.a, "early")?;
    harness.connect(&early, hosts.b.endpoint(SERVER_PORT)).step("early: connecting")?;
    harness.queued_child(&hosts.b, "early child", &early)?;
    listener.tcp.listen(0).step("listener: setting its backlog")?;
    hosts.wire.remove_rule(third_ack);
    Ok(late)
}
