//! Ports that a TIME_WAIT holds.

use std::net::{Shutdown, SocketAddr};

use State::{Close, CloseWait, Closing, Established, FinWait1, FinWait2, LastAck, Listen, SynRecv, SynSent};

use crate::{
    audit::{
        Behaviour, Harness, Need,
        harness::{SERVER, TestSocket},
    },
    model::{Side, State},
    net::sysctl,
    scenario::{Step as _, StepError},
    wire::Rule,
};

/// The port of clients, and the first of several.
const CLIENT: u16 = 1400;
/// A port that nobody answers at.
const NOBODY: u16 = 1500;
/// A client that closed first, and has left a TIME_WAIT.
const CLOSED_FIRST: &[State] = &[Close, SynSent, Established, FinWait1, FinWait2, Close];
/// Its server.
const CLOSED_AFTER: &[State] = &[Listen, SynRecv, Established, CloseWait, LastAck, Close];

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "ports/rebind-over-time-wait",
        description: "SO_REUSEADDR binds over a TIME_WAIT only if the socket that left it had it too",
        steps: |harness| {
            let here = harness.here()?;
            let listener = harness.listener(&here, "listener")?;
            for (port, [old, server], name, before, now) in [
                (CLIENT, ["client 1", "server 1"], "both have it", true, true),
                (CLIENT + 1, ["client 2", "server 2"], "the old one had it", true, false),
                (CLIENT + 2, ["client 3", "server 3"], "the new one has it", false, true),
            ] {
                let client = harness.socket(&here, old)?;
                if before {
                    client.tcp.reuse_address().step("setting SO_REUSEADDR")?;
                }
                harness.bind(&client, here.port(port)).step(format!("{old}: binding"))?;
                leave_time_wait(harness, client, here.port(SERVER), &listener, server)?;
                let new = here.bystander()?;
                if now {
                    new.reuse_address().step("setting SO_REUSEADDR")?;
                }
                let bound = new.bind(here.port(port));
                harness.says(name, &bound);
            }
            Ok(())
        },
        paths: &[
            ("listener", &[Close, Listen]),
            ("client 1", CLOSED_FIRST),
            ("server 1", CLOSED_AFTER),
            ("client 2", CLOSED_FIRST),
            ("server 2", CLOSED_AFTER),
            ("client 3", CLOSED_FIRST),
            ("server 3", CLOSED_AFTER),
        ],
        facts: &[
            ("both have it", "success"),
            ("the old one had it", "EADDRINUSE"),
            ("the new one has it", "EADDRINUSE"),
        ],
        reference: "inet_bind_conflict in net/ipv4/inet_connection_sock.c; a TIME_WAIT keeps sk_reuse",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "ports/self-connect-time-wait",
        description: "the TIME_WAIT of a self-connect keeps the port from a server that has SO_REUSEADDR",
        needs: &[Need::Crossing],
        steps: |harness| {
            let here = harness.here()?;
            let own = harness.bound(&here, "self", SERVER)?;
            harness.connect(&own, here.port(SERVER)).step("self: connecting")?;
            harness.until(&own, Established)?;
            let own = harness.close(own);
            harness.until(own, Close)?;
            harness.state_remains(&here, own)?;
            harness.state_rest(&here, own)?;
            let server = here.bystander()?;
            server.reuse_address().step("setting SO_REUSEADDR")?;
            let bound = server.bind(here.port(SERVER));
            harness.says("bind", &bound);
            Ok(())
        },
        paths: &[("self", &[Close, SynSent, SynRecv, Established, FinWait1, Closing, Close])],
        facts: &[("remains of self", "TIME_WAIT"), ("for", "60 s"), ("bind", "EADDRINUSE")],
        reference: "TCP_TIMEWAIT_LEN in include/net/tcp.h; the socket that left it had no SO_REUSEADDR",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "ports/reuse-of-time-wait",
        description: "a connect takes the place of a TIME_WAIT of a second ago on loopback, and elsewhere with tcp_tw_reuse=1",
        needs: &[Need::Wire, Need::Sysctl("ip_local_port_range"), Need::Sysctl("tcp_tw_reuse")],
        steps: |harness| {
            let ends = harness.ends()?;
            ends.a.set(sysctl::IP_LOCAL_PORT_RANGE, &(CLIENT..=CLIENT))?;
            let far = harness.listener(&ends.b, "far")?;
            let near = harness.socket(&ends.a, "near")?;
            let loopback = SocketAddr::from(([127, 0, 0, 1], SERVER));
            harness.bind(&near, loopback).step("near: binding")?;
            near.tcp.listen(16).step("near: listening")?;

            let client = harness.socket(&ends.a, "to near")?;
            leave_time_wait(harness, client, loopback, &near, "of near")?;
            let client = harness.socket(&ends.a, "to far")?;
            leave_time_wait(harness, client, ends.b.port(SERVER), &far, "of far")?;

            // A SYN that nobody answers is sent again after a second, by the kernel's own clock.
            ends.wire.add(Rule::drop(|segment| segment.destination.port() == NOBODY));
            let clock = harness.socket(&ends.b, "clock")?;
            harness.begin_connect(&clock, ends.a.port(NOBODY)).step("clock: connecting")?;
            ends.shows_times(Side::B, 2, |segment| segment.destination.port() == NOBODY)?;

            let client = harness.socket(&ends.a, "to far again")?;
            let connected = harness.connect(&client, ends.b.port(SERVER));
            harness.says("far", &connected);
            harness.until(&client, Close)?;
            let client = harness.socket(&ends.a, "to near again")?;
            let connected = harness.connect(&client, loopback);
            harness.says("near", &connected);
            let server = harness.accept(&near, "of near again")?;
            harness.until(&client, Established)?;
            harness.until(&server, Established)?;

            ends.a.set(sysctl::TCP_TW_REUSE, &1)?;
            let client = harness.socket(&ends.a, "to far at last")?;
            let connected = harness.connect(&client, ends.b.port(SERVER));
            harness.says("far, with tcp_tw_reuse=1", &connected);
            let server = harness.accept(&far, "of far at last")?;
            harness.until(&client, Established)?;
            harness.until(&server, Established)
        },
        paths: &[
            ("far", &[Close, Listen]),
            ("near", &[Close, Listen]),
            ("to near", CLOSED_FIRST),
            ("of near", CLOSED_AFTER),
            ("to far", CLOSED_FIRST),
            ("of far", CLOSED_AFTER),
            ("clock", &[Close, SynSent]),
            ("to far again", &[Close, SynSent, Close]),
            ("to near again", &[Close, SynSent, Established]),
            ("of near again", &[Listen, SynRecv, Established]),
            ("to far at last", &[Close, SynSent, Established]),
            ("of far at last", &[Listen, SynRecv, Established]),
        ],
        facts: &[("far", "EADDRNOTAVAIL"), ("near", "success"), ("far, with tcp_tw_reuse=1", "success")],
        reference: "Documentation/networking/ip-sysctl.rst, tcp_tw_reuse=2 and tcp_tw_reuse_delay; RFC 6191",
        ..Behaviour::BLANK
    },
];

/// Connects, and closes before the server does: what is left is a TIME_WAIT.
fn leave_time_wait(
    harness: &mut Harness,
    client: TestSocket,
    to: SocketAddr,
    listener: &TestSocket,
    label: &'static str,
) -> Result<(), StepError> {
    harness.connect(&client, to).step("connecting")?;
    let server = harness.accept(listener, label)?;
    harness.until(&server, Established)?;
    // Not close: an orphan would not stay until the server's FIN comes.
    client.tcp.shutdown(Shutdown::Write).step("ending the client's direction")?;
    harness.until(&client, FinWait2)?;
    harness.until(&server, CloseWait)?;
    let server = harness.close(server);
    harness.until(&client, Close)?;
    harness.until(server, Close)?;
    // It keeps the port that it was bound to until then.
    harness.close(client);
    Ok(())
}
