//! One direction is shut down while the other is open.

use State::{Close, CloseWait, Established, FinWait1, FinWait2, LastAck, Listen, SynRecv, SynSent};

use crate::{
    audit::{Behaviour, Requirement, catalogue::paths::LISTENER, harness::SERVER_PORT},
    model::{Segment, State},
    net::sysctl,
    scenario::Step as _,
    wire::Rule,
};

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "close/shutdown-then-close",
        description: "the client shuts down, and closes after its FIN has been acknowledged",
        steps: |harness| {
            let host = harness.host()?;
            let [_listener, client, server] = harness.connection(&host, &host)?;
            harness.shutdown_write(&client)?;
            harness.wait_for_state(&client, FinWait2)?;
            let client = harness.close(client);
            harness.wait_for_state(client, Close)?;
            harness.wait_for_state(&server, CloseWait)?;
            harness.observe_mini_socket(&host, client)
        },
        paths: &[
            LISTENER,
            ("client", &[Close, SynSent, Established, FinWait1, FinWait2, FinWait2, Close]),
            ("server", &[Listen, SynRecv, Established, CloseWait]),
        ],
        facts: &[("mini-socket of client", "FIN_WAIT2")],
        reference: "RFC 9293 §3.10.4; tcp_close_state sets the state again, unchanged",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "close/shutdown-then-close-early",
        description: "both sides shut down, and close before their FINs have been acknowledged",
        needs: &[Requirement::Wire],
        steps: |harness| {
            let hosts = harness.host_pair()?;
            let [_listener, client, server] = harness.connection(&hosts.a, &hosts.b)?;
            harness.wait_for_state(&server, Established)?;
            let acks = hosts.wire.add_rule(Rule::hold(Segment::is_bare_ack));
            harness.shutdown_write(&client)?;
            harness.wait_for_state(&server, CloseWait)?;
            let client = harness.close(client);
            harness.wait_for_nth_entry(client, 2, FinWait1)?;
            // This FIN acknowledges the first one.
            harness.shutdown_write(&server)?;
            harness.wait_for_state(client, Close)?;
            let server = harness.close(server);
            harness.wait_for_nth_entry(server, 2, LastAck)?;
            hosts.wire.remove_rule(acks);
            harness.wait_for_state(server, Close)
        },
        paths: &[
            LISTENER,
            ("client", &[Close, SynSent, Established, FinWait1, FinWait1, FinWait2, Close]),
            ("server", &[Listen, SynRecv, Established, CloseWait, LastAck, LastAck, Close]),
        ],
        reference: "RFC 9293 §3.10.4; tcp_close_state sets the state again, unchanged",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "close/half-close",
        description: "half-close: an open socket stays in FIN_WAIT2 beyond tcp_fin_timeout, and still \
                      receives data",
        needs: &[Requirement::Sysctl("tcp_fin_timeout")],
        steps: |harness| {
            let host = harness.host()?;
            host.set_sysctl(sysctl::TCP_FIN_TIMEOUT, &1)?;
            let [listener, client, server] = harness.connection(&host, &host)?;
            harness.shutdown_write(&client)?;
            harness.wait_for_state(&client, FinWait2)?;
            // An orphan that enters FIN_WAIT2 later shows when tcp_fin_timeout has passed.
            let orphan = harness.socket(&host, "orphan")?;
            harness.connect(&orphan, host.endpoint(SERVER_PORT)).step("orphan: connecting")?;
            let peer = harness.accept(&listener, "peer")?;
            let orphan = harness.close(orphan);
            harness.wait_for_state(orphan, Close)?;
            harness.wait_for_state(&peer, CloseWait)?;
            let expired = harness.poll_until(|| Ok(harness.mini_socket(&host, orphan)?.is_none()))?;
            harness.observe("orphan's mini-socket expires", expired);
            harness.observe_state(&client);
            harness.write(&server, b"data").step("server: writing")?;
            let read = client.tcp.read_exact(4, harness.deadline());
            harness.observe_result("client reads", &read);
            Ok(())
        },
        paths: &[
            LISTENER,
            ("client", &[Close, SynSent, Established, FinWait1, FinWait2]),
            ("server", &[Listen, SynRecv, Established, CloseWait]),
            ("orphan", &[Close, SynSent, Established, FinWait1, FinWait2, Close]),
            ("peer", &[Listen, SynRecv, Established, CloseWait]),
        ],
        facts: &[
            ("orphan's mini-socket expires", "true"),
            ("client", "FIN_WAIT2"),
            ("client reads", "success"),
        ],
        reference: "RFC 9293 §3.6.1; tcp(7), tcp_fin_timeout: it applies to orphans only",
        ..Behaviour::DEFAULT
    },
];
