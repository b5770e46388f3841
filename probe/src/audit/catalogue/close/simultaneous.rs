//! Both sides close at the same time, or one socket is both sides.

use State::{Close, Closing, Established, FinWait1, Listen, SynRecv, SynSent};

use crate::{
    audit::{
        Behaviour, Harness, Requirement,
        catalogue::paths::LISTENER,
        harness::{HostPair, SERVER_PORT, TestSocket},
    },
    model::{Segment, Side, State},
    scenario::{Step as _, StepError},
    wire::Rule,
};

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "close/simultaneous",
        description: "simultaneous close: two FINs cross",
        needs: &[Requirement::Wire],
        steps: |harness| {
            let hosts = harness.host_pair()?;
            let [_listener, client, server] = harness.connection(&hosts.a, &hosts.b)?;
            cross_fins(harness, &hosts, [&client, &server])?;
            harness.wait_for_state(&client, Close)?;
            harness.wait_for_state(&server, Close)?;
            harness.observe_mini_socket(&hosts.a, &client)?;
            harness.observe_mini_socket(&hosts.b, &server)?;
            harness.observe("sent by the client", hosts.sent_segments(Side::A));
            harness.observe("sent by the server", hosts.sent_segments(Side::B));
            Ok(())
        },
        paths: &[
            LISTENER,
            ("client", &[Close, SynSent, Established, FinWait1, Closing, Close]),
            ("server", &[Listen, SynRecv, Established, FinWait1, Closing, Close]),
        ],
        facts: &[
            ("mini-socket of client", "TIME_WAIT"),
            ("mini-socket of server", "TIME_WAIT"),
            ("sent by the client", "SYN, FIN+ACK"),
            ("sent by the server", "SYN+ACK, FIN+ACK"),
        ],
        reference: "RFC 9293 §3.6, figure 13",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "close/simultaneous-then-close",
        description: "simultaneous close: two FINs cross, and both processes close before the ACKs arrive",
        needs: &[Requirement::Wire],
        steps: |harness| {
            let hosts = harness.host_pair()?;
            let [_listener, client, server] = harness.connection(&hosts.a, &hosts.b)?;
            harness.wait_for_state(&server, Established)?;
            let acks = hosts.wire.add_rule(Rule::hold(Segment::is_bare_ack));
            cross_fins(harness, &hosts, [&client, &server])?;
            harness.wait_for_state(&client, Closing)?;
            harness.wait_for_state(&server, Closing)?;
            let (client, server) = (harness.close(client), harness.close(server));
            harness.wait_for_nth_entry(client, 2, Closing)?;
            harness.wait_for_nth_entry(server, 2, Closing)?;
            hosts.wire.remove_rule(acks);
            harness.wait_for_state(client, Close)?;
            harness.wait_for_state(server, Close)
        },
        paths: &[
            LISTENER,
            ("client", &[Close, SynSent, Established, FinWait1, Closing, Closing, Close]),
            ("server", &[Listen, SynRecv, Established, FinWait1, Closing, Closing, Close]),
        ],
        reference: "RFC 9293 §3.6, figure 13; tcp_close_state sets the state again, unchanged",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "close/self-connect",
        description: "a self-connected socket closes, and receives its own FIN",
        needs: &[Requirement::SimultaneousOpen],
        steps: |harness| {
            let host = harness.host()?;
            let socket = harness.bound_socket(&host, "self", SERVER_PORT)?;
            harness.connect(&socket, host.endpoint(SERVER_PORT)).step("self: connecting")?;
            let socket = harness.close(socket);
            harness.wait_for_state(socket, Close)?;
            harness.observe_mini_socket(&host, socket)
        },
        paths: &[("self", &[Close, SynSent, SynRecv, Established, FinWait1, Closing, Close])],
        facts: &[("mini-socket of self", "TIME_WAIT")],
        reference: "RFC 9293 §3.6, figure 13, with one socket as both sides",
        ..Behaviour::DEFAULT
    },
];

/// Has both sockets send a FIN, and delivers the FINs when both have been sent.
fn cross_fins(harness: &mut Harness, hosts: &HostPair, sockets: [&TestSocket; 2]) -> Result<(), StepError> {
    let fins = hosts.wire.add_rule(Rule::hold(Segment::is_fin));
    for socket in sockets {
        harness.shutdown_write(socket)?;
    }
    hosts.wait_for_both(Segment::is_fin)?;
    hosts.wire.remove_rule(fins);
    Ok(())
}
