//! What options and sysctls change about how a child comes to be.

use State::{Close, Established, Listen, SynRecv, SynSent};

use crate::{
    audit::{
        Behaviour, Harness, Need,
        harness::{SERVER, TestHost, TestSocket},
    },
    model::State,
    net::sysctl,
    scenario::{Step as _, StepError},
};

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "listen/defer-accept",
        description: "with TCP_DEFER_ACCEPT the child comes with the first data",
        steps: |harness| {
            let here = harness.here()?;
            let before = here.counters()?;
            let listener = harness.listener(&here, "listener")?;
            listener.tcp.defer_accept(5).step("listener: setting TCP_DEFER_ACCEPT")?;
            let client = harness.socket(&here, "client")?;
            harness.connect(&client, here.port(SERVER)).step("client: connecting")?;
            harness.until_risen(&here, &before, "TCPDeferAcceptDrop")?;
            harness.state("requests after the third ACK", here.requests()?);
            harness.write(&client, b"data").step("client: writing")?;
            let server = harness.accept(&listener, "server")?;
            let read = server.tcp.read_exact(4, harness.deadline());
            harness.says("server reads", &read);
            harness.until(&server, Established)
        },
        paths: &[
            ("listener", &[Close, Listen]),
            ("client", &[Close, SynSent, Established]),
            ("server", &[Listen, SynRecv, Established]),
        ],
        facts: &[
            ("TCPDeferAcceptDrop", "rises"),
            ("requests after the third ACK", "1"),
            ("server reads", "success"),
        ],
        reference: "tcp(7), TCP_DEFER_ACCEPT",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "listen/syncookies",
        description: "with tcp_syncookies = 2 a child is made from the third ACK alone",
        needs: &[Need::Sysctl("tcp_syncookies")],
        steps: |harness| {
            let here = harness.here()?;
            here.set(sysctl::TCP_SYNCOOKIES, &2)?;
            let before = here.counters()?;
            let [_listener, client, server] = harness.connected(&here, &here)?;
            harness.until_risen(&here, &before, "SyncookiesSent")?;
            harness.until_risen(&here, &before, "SyncookiesRecv")?;
            harness.until(&client, Established)?;
            harness.until(&server, Established)
        },
        paths: &[
            ("listener", &[Close, Listen]),
            ("client", &[Close, SynSent, Established]),
            ("server", &[Listen, SynRecv, Established]),
        ],
        facts: &[("SyncookiesSent", "rises"), ("SyncookiesRecv", "rises")],
        reference: "tcp(7), tcp_syncookies; RFC 4987 §3.6",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "listen/migration",
        description: "with tcp_migrate_req a listener that closes leaves its child to its SO_REUSEPORT sibling",
        needs: &[Need::Linux(5, 14), Need::Sysctl("tcp_migrate_req")],
        steps: |harness| {
            let here = harness.here()?;
            here.set(sysctl::TCP_MIGRATE_REQ, &true)?;
            let before = here.counters()?;
            let closing = sharing(harness, &here, "closing")?;
            let client = harness.socket(&here, "client")?;
            harness.connect(&client, here.port(SERVER)).step("client: connecting")?;
            // Once the third ACK is there, the child waits in the queue; there is no other to put it in.
            harness.eventually(|| Ok(here.requests()? == 0))?;
            let staying = sharing(harness, &here, "staying")?;
            harness.close(closing);
            harness.until_risen(&here, &before, "TCPMigrateReqSuccess")?;
            let child = harness.accept(&staying, "child")?;
            let write =
                harness.write(&client, b"data").and_then(|()| child.tcp.read_exact(4, harness.deadline()));
            harness.says("child reads", &write);
            harness.until(&child, Established)
        },
        paths: &[
            ("closing", &[Close, Listen, Close]),
            ("client", &[Close, SynSent, Established]),
            ("staying", &[Close, Listen]),
            ("child", &[Listen, SynRecv, Established]),
        ],
        facts: &[("TCPMigrateReqSuccess", "rises"), ("child reads", "success")],
        reference: "Documentation/networking/ip-sysctl.rst, tcp_migrate_req; since f9ac779f881c (5.14)",
        ..Behaviour::BLANK
    },
];

/// A listener that shares its port with others.
fn sharing(harness: &mut Harness, here: &TestHost, label: &'static str) -> Result<TestSocket, StepError> {
    let listener = harness.socket(here, label)?;
    listener.tcp.reuse_port().step("setting SO_REUSEPORT")?;
    harness.bind(&listener, here.port(SERVER)).step("binding")?;
    listener.tcp.listen(16).step("listening")?;
    Ok(listener)
}
