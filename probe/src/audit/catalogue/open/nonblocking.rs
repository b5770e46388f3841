//! The results of connect while a connect is in progress, and what interrupts or aborts it.

use std::{net::Shutdown, time::Duration};

use State::{Close, Established, Listen, SynRecv, SynSent};

use crate::{
    audit::{Behaviour, Requirement, catalogue::paths::LISTENER, harness::SERVER_PORT},
    model::{Segment, Side, State},
    os::interrupt::interrupted,
    scenario::Step as _,
    wire::Rule,
};

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "open/connected-already",
        description: "connect on a connected or listening socket fails with EISCONN",
        steps: |harness| {
            let host = harness.host()?;
            let [listener, client, server] = harness.connection(&host, &host)?;
            for (name, socket) in [("client", &client), ("listener", &listener), ("server", &server)] {
                let connected = socket.tcp.connect_once(host.endpoint(SERVER_PORT));
                harness.observe_result(name, &connected);
            }
            harness.wait_for_state(&client, Established)?;
            harness.wait_for_state(&server, Established)
        },
        paths: &[
            LISTENER,
            ("client", &[Close, SynSent, Established]),
            ("server", &[Listen, SynRecv, Established]),
        ],
        facts: &[("client", "EISCONN"), ("listener", "EISCONN"), ("server", "EISCONN")],
        reference: "connect(2), EISCONN",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "open/nonblocking",
        description: "connect on a non-blocking socket returns EINPROGRESS, then EALREADY, then the refusal \
                      once, and then starts again",
        needs: &[Requirement::Wire],
        steps: |harness| {
            let hosts = harness.host_pair()?;
            let syns = hosts.wire.add_rule(Rule::hold(Segment::is_syn).sent_by(Side::A));
            let client = harness.socket(&hosts.a, "client")?;
            let server = hosts.b.endpoint(SERVER_PORT);
            harness.set_remote(&client, server);
            let first = client.tcp.connect_once(server);
            harness.observe_result("first connect", &first);
            let in_progress = client.tcp.connect_once(server);
            harness.observe_result("connect in SYN_SENT", &in_progress);
            hosts.wire.remove_rule(syns);
            harness.wait_for_state(&client, Close)?;
            let refused = client.tcp.connect_once(server);
            harness.observe_result("connect after the RST", &refused);
            hosts.wire.add_rule(Rule::hold(Segment::is_syn).sent_by(Side::A));
            let again = client.tcp.connect_once(server);
            harness.observe_result("connect after that", &again);
            harness.wait_for_nth_entry(&client, 2, SynSent)
        },
        paths: &[("client", &[Close, SynSent, Close, SynSent])],
        facts: &[
            ("first connect", "EINPROGRESS"),
            ("connect in SYN_SENT", "EALREADY"),
            ("connect after the RST", "ECONNREFUSED"),
            ("connect after that", "EINPROGRESS"),
        ],
        reference: "connect(2), EINPROGRESS and EALREADY",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "open/interrupted",
        description: "a signal or SO_SNDTIMEO interrupts the connect call, and the socket stays in SYN_SENT",
        needs: &[Requirement::Wire],
        steps: |harness| {
            let hosts = harness.host_pair()?;
            hosts.wire.add_rule(Rule::drop(Segment::is_syn));
            let server = hosts.b.endpoint(SERVER_PORT);
            let client = harness.socket(&hosts.a, "interrupted")?;
            harness.set_remote(&client, server);
            let (connected, syn) = interrupted(
                || client.tcp.connect_blocking(server),
                || hosts.wait_for_segment(Side::A, Segment::is_syn),
            )
            .step("handling a signal")?;
            syn?;
            harness.observe_result("connect with a signal", &connected);
            let again = client.tcp.connect_once(server);
            harness.observe_result("connect after the signal", &again);

            let client = harness.socket(&hosts.a, "timed out")?;
            harness.set_remote(&client, server);
            client.tcp.send_timeout(Duration::from_millis(20)).step("setting SO_SNDTIMEO")?;
            let connected = client.tcp.connect_blocking(server);
            harness.observe_result("connect with SO_SNDTIMEO", &connected);
            let again = client.tcp.connect_once(server);
            harness.observe_result("connect after SO_SNDTIMEO", &again);
            harness.wait_for_state(&client, SynSent)
        },
        paths: &[("interrupted", &[Close, SynSent]), ("timed out", &[Close, SynSent])],
        facts: &[
            ("connect with a signal", "EINTR"),
            ("connect after the signal", "EALREADY"),
            ("connect with SO_SNDTIMEO", "EINPROGRESS"),
            ("connect after SO_SNDTIMEO", "EALREADY"),
        ],
        reference: "signal(7), interruption of system calls; socket(7), SO_SNDTIMEO",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "open/given-up",
        description: "close or shutdown in SYN_SENT aborts the connect without an RST",
        needs: &[Requirement::Wire],
        steps: |harness| {
            let hosts = harness.host_pair()?;
            hosts.wire.add_rule(Rule::drop(Segment::is_syn));
            let before = hosts.a.counters()?;
            let closed = harness.socket(&hosts.a, "closed")?;
            harness.begin_connect(&closed, hosts.b.endpoint(SERVER_PORT)).step("closed: connecting")?;
            let closed = harness.close(closed);
            harness.wait_for_state(closed, Close)?;

            let shut = harness.socket(&hosts.a, "shut down")?;
            harness.begin_connect(&shut, hosts.b.endpoint(SERVER_PORT)).step("shut down: connecting")?;
            let result = shut.tcp.shutdown(Shutdown::Both);
            harness.observe_result("shutdown", &result);
            harness.wait_for_state(&shut, Close)?;
            let error = shut.tcp.pending_error();
            harness.observe_result("SO_ERROR", &error);
            harness.observe_counters(&hosts.a, &before, &["OutRsts"])
        },
        paths: &[("closed", &[Close, SynSent, Close]), ("shut down", &[Close, SynSent, Close])],
        facts: &[("shutdown", "success"), ("SO_ERROR", "ECONNRESET"), ("OutRsts", "0")],
        reference: "RFC 9293 §3.10.4, CLOSE in SYN-SENT; inet_shutdown in net/ipv4/af_inet.c disconnects \
                    the socket",
        ..Behaviour::DEFAULT
    },
];
