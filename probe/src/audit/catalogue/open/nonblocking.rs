//! What connect says while a connect is under way, and what ends one.

use std::{net::Shutdown, time::Duration};

use State::{Close, Established, Listen, SynRecv, SynSent};

use crate::{
    audit::{Behaviour, Need, harness::SERVER},
    model::{Segment, Side, State},
    os::interrupt::interrupted,
    scenario::Step as _,
    wire::Rule,
};

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "open/connected-already",
        description: "neither a connected socket nor a listener can connect",
        steps: |harness| {
            let here = harness.here()?;
            let [listener, client, server] = harness.connected(&here, &here)?;
            for (name, player) in [("client", &client), ("listener", &listener), ("server", &server)] {
                let connected = player.tcp.connect_once(here.port(SERVER));
                harness.says(name, &connected);
            }
            harness.until(&client, Established)?;
            harness.until(&server, Established)
        },
        paths: &[
            ("listener", &[Close, Listen]),
            ("client", &[Close, SynSent, Established]),
            ("server", &[Listen, SynRecv, Established]),
        ],
        facts: &[("client", "EISCONN"), ("listener", "EISCONN"), ("server", "EISCONN")],
        reference: "connect(2), EISCONN",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "open/nonblocking",
        description: "connect on a non-blocking socket tells of the connect under way, of its failure once, and begins anew",
        needs: &[Need::Wire],
        steps: |harness| {
            let ends = harness.ends()?;
            let syns = ends.wire.add(Rule::hold(Segment::is_syn).sent_by(Side::A));
            let client = harness.socket(&ends.a, "client")?;
            let server = ends.b.port(SERVER);
            harness.aims(&client, server);
            let first = client.tcp.connect_once(server);
            harness.says("first", &first);
            let meanwhile = client.tcp.connect_once(server);
            harness.says("meanwhile", &meanwhile);
            ends.wire.lift(syns);
            harness.until(&client, Close)?;
            let after = client.tcp.connect_once(server);
            harness.says("after the refusal", &after);
            ends.wire.add(Rule::hold(Segment::is_syn).sent_by(Side::A));
            let again = client.tcp.connect_once(server);
            harness.says("then", &again);
            harness.until_times(&client, 2, SynSent)
        },
        paths: &[("client", &[Close, SynSent, Close, SynSent])],
        facts: &[
            ("first", "EINPROGRESS"),
            ("meanwhile", "EALREADY"),
            ("after the refusal", "ECONNREFUSED"),
            ("then", "EINPROGRESS"),
        ],
        reference: "connect(2), EINPROGRESS and EALREADY",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "open/interrupted",
        description: "a signal, or SO_SNDTIMEO, ends the call but not the connect",
        needs: &[Need::Wire],
        steps: |harness| {
            let ends = harness.ends()?;
            ends.wire.add(Rule::drop(Segment::is_syn));
            let server = ends.b.port(SERVER);
            let client = harness.socket(&ends.a, "interrupted")?;
            harness.aims(&client, server);
            let (connected, syn) =
                interrupted(|| client.tcp.connect_blocking(server), || ends.shows(Side::A, Segment::is_syn))
                    .step("handling a signal")?;
            syn?;
            harness.says("after a signal", &connected);
            let again = client.tcp.connect_once(server);
            harness.says("then", &again);

            let client = harness.socket(&ends.a, "timed out")?;
            harness.aims(&client, server);
            client.tcp.send_timeout(Duration::from_millis(20)).step("setting SO_SNDTIMEO")?;
            let connected = client.tcp.connect_blocking(server);
            harness.says("after SO_SNDTIMEO", &connected);
            let again = client.tcp.connect_once(server);
            harness.says("and then", &again);
            harness.until(&client, SynSent)
        },
        paths: &[("interrupted", &[Close, SynSent]), ("timed out", &[Close, SynSent])],
        facts: &[
            ("after a signal", "EINTR"),
            ("then", "EALREADY"),
            ("after SO_SNDTIMEO", "EINPROGRESS"),
            ("and then", "EALREADY"),
        ],
        reference: "signal(7), interruption of system calls; socket(7), SO_SNDTIMEO",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "open/given-up",
        description: "close and shutdown in SYN_SENT end the connect without a RST",
        needs: &[Need::Wire],
        steps: |harness| {
            let ends = harness.ends()?;
            ends.wire.add(Rule::drop(Segment::is_syn));
            let before = ends.a.counters()?;
            let closed = harness.socket(&ends.a, "closed")?;
            harness.begin_connect(&closed, ends.b.port(SERVER)).step("closed: connecting")?;
            let closed = harness.close(closed);
            harness.until(closed, Close)?;

            let shut = harness.socket(&ends.a, "shut down")?;
            harness.begin_connect(&shut, ends.b.port(SERVER)).step("shut down: connecting")?;
            let result = shut.tcp.shutdown(Shutdown::Both);
            harness.says("shutdown", &result);
            harness.until(&shut, Close)?;
            let error = shut.tcp.pending_error();
            harness.says("SO_ERROR", &error);
            harness.counted(&ends.a, &before, &["OutRsts"])
        },
        paths: &[("closed", &[Close, SynSent, Close]), ("shut down", &[Close, SynSent, Close])],
        facts: &[("shutdown", "success"), ("SO_ERROR", "ECONNRESET"), ("OutRsts", "0")],
        reference: "RFC 9293 §3.10.4, CLOSE in SYN-SENT; inet_shutdown in net/ipv4/af_inet.c disconnects",
        ..Behaviour::BLANK
    },
];
