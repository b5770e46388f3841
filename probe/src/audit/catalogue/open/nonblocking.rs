//! What connect says while a connect is under way, and what ends one.

use std::{net::Shutdown, time::Duration};

use State::{Close, Established, Listen, SynRecv, SynSent};

use crate::{
    audit::{Behaviour, Need, bench::SERVER},
    model::{Segment, Side, State},
    net::interrupt::interrupted,
    scenario::Step as _,
    wire::Rule,
};

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "open/connected-already",
        says: "neither a connected socket nor a listener can connect",
        steps: |bench| {
            let here = bench.here()?;
            let [listener, client, server] = bench.connected(&here, &here)?;
            for (name, player) in [("client", &client), ("listener", &listener), ("server", &server)] {
                let connected = player.tcp.connect_once(here.port(SERVER));
                bench.says(name, &connected);
            }
            bench.until(&client, Established)?;
            bench.until(&server, Established)
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
        says: "connect on a non-blocking socket tells of the connect under way, of its failure once, and begins anew",
        needs: &[Need::Wire],
        steps: |bench| {
            let ends = bench.ends()?;
            let syns = ends.wire.add(Rule::hold(Segment::is_syn).sent_by(Side::A));
            let client = bench.socket(&ends.a, "client")?;
            let server = ends.b.port(SERVER);
            bench.aims(&client, server);
            let first = client.tcp.connect_once(server);
            bench.says("first", &first);
            let meanwhile = client.tcp.connect_once(server);
            bench.says("meanwhile", &meanwhile);
            ends.wire.lift(syns);
            bench.until(&client, Close)?;
            let after = client.tcp.connect_once(server);
            bench.says("after the refusal", &after);
            ends.wire.add(Rule::hold(Segment::is_syn).sent_by(Side::A));
            let again = client.tcp.connect_once(server);
            bench.says("then", &again);
            bench.until_times(&client, 2, SynSent)
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
        says: "a signal, or SO_SNDTIMEO, ends the call but not the connect",
        needs: &[Need::Wire],
        steps: |bench| {
            let ends = bench.ends()?;
            ends.wire.add(Rule::drop(Segment::is_syn));
            let server = ends.b.port(SERVER);
            let client = bench.socket(&ends.a, "interrupted")?;
            bench.aims(&client, server);
            let (connected, syn) =
                interrupted(|| client.tcp.connect_blocking(server), || ends.shows(Side::A, Segment::is_syn))
                    .step("handling a signal")?;
            syn?;
            bench.says("after a signal", &connected);
            let again = client.tcp.connect_once(server);
            bench.says("then", &again);

            let client = bench.socket(&ends.a, "timed out")?;
            bench.aims(&client, server);
            client.tcp.send_timeout(Duration::from_millis(20)).step("setting SO_SNDTIMEO")?;
            let connected = client.tcp.connect_blocking(server);
            bench.says("after SO_SNDTIMEO", &connected);
            let again = client.tcp.connect_once(server);
            bench.says("and then", &again);
            bench.until(&client, SynSent)
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
        says: "close and shutdown in SYN_SENT end the connect without a RST",
        needs: &[Need::Wire],
        steps: |bench| {
            let ends = bench.ends()?;
            ends.wire.add(Rule::drop(Segment::is_syn));
            let before = ends.a.counters()?;
            let closed = bench.socket(&ends.a, "closed")?;
            bench.begin_connect(&closed, ends.b.port(SERVER)).step("closed: connecting")?;
            let closed = bench.close(closed);
            bench.until(closed, Close)?;

            let shut = bench.socket(&ends.a, "shut down")?;
            bench.begin_connect(&shut, ends.b.port(SERVER)).step("shut down: connecting")?;
            let result = shut.tcp.shutdown(Shutdown::Both);
            bench.says("shutdown", &result);
            bench.until(&shut, Close)?;
            let error = shut.tcp.pending_error();
            bench.says("SO_ERROR", &error);
            bench.counted(&ends.a, &before, &["OutRsts"])
        },
        paths: &[("closed", &[Close, SynSent, Close]), ("shut down", &[Close, SynSent, Close])],
        facts: &[("shutdown", "success"), ("SO_ERROR", "ECONNRESET"), ("OutRsts", "0")],
        reference: "RFC 9293 §3.10.4, CLOSE in SYN-SENT; inet_shutdown in net/ipv4/af_inet.c disconnects",
        ..Behaviour::BLANK
    },
];
