//! Options and sysctls that change when and where a child is created.

use State::{Close, Established, Listen, SynRecv, SynSent};

use crate::{
    audit::{
        Behaviour, Harness, Requirement,
        catalogue::paths::LISTENER,
        harness::{SERVER_PORT, TestHost, TestSocket},
    },
    model::State,
    net::sysctl,
    scenario::{Step as _, StepError},
};

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "listen/defer-accept",
        description: "with TCP_DEFER_ACCEPT, the first data creates the child, not the third ACK",
        steps: |harness| {
            let host = harness.host()?;
            let before = host.counters()?;
            let listener = harness.listener(&host, "listener")?;
            listener.tcp.defer_accept(5).step("listener: setting TCP_DEFER_ACCEPT")?;
            let client = harness.socket(&host, "client")?;
            harness.connect(&client, host.endpoint(SERVER_PORT)).step("client: connecting")?;
            harness.observe_counter_rise(&host, &before, "TCPDeferAcceptDrop")?;
            harness.observe("request sockets after the third ACK", host.request_sockets()?);
            harness.write(&client, b"data").step("client: writing")?;
            let server = harness.accept(&listener, "server")?;
            let read = server.tcp.read_exact(4, harness.deadline());
            harness.observe_result("server reads", &read);
            harness.wait_for_state(&server, Established)
        },
        paths: &[
            LISTENER,
            ("client", &[Close, SynSent, Established]),
            ("server", &[Listen, SynRecv, Established]),
        ],
        facts: &[
            ("TCPDeferAcceptDrop", "rises"),
            ("request sockets after the third ACK", "1"),
            ("server reads", "success"),
        ],
        reference: "tcp(7), TCP_DEFER_ACCEPT",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "listen/syncookies",
        description: "with tcp_syncookies=2, the third ACK alone creates the child",
        needs: &[Requirement::Sysctl("tcp_syncookies")],
        steps: |harness| {
            let host = harness.host()?;
            host.set_sysctl(sysctl::TCP_SYNCOOKIES, &2)?;
            let before = host.counters()?;
            let [_listener, client, server] = harness.connection(&host, &host)?;
            harness.observe_counter_rise(&host, &before, "SyncookiesSent")?;
            harness.observe_counter_rise(&host, &before, "SyncookiesRecv")?;
            harness.wait_for_state(&client, Established)?;
            harness.wait_for_state(&server, Established)
        },
        paths: &[
            LISTENER,
            ("client", &[Close, SynSent, Established]),
            ("server", &[Listen, SynRecv, Established]),
        ],
        facts: &[("SyncookiesSent", "rises"), ("SyncookiesRecv", "rises")],
        reference: "tcp(7), tcp_syncookies; RFC 4987 §3.6",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "listen/migration",
        description: "with tcp_migrate_req, a listener that closes passes its queued child to another \
                      listener of its SO_REUSEPORT group",
        needs: &[Requirement::Linux(5, 14), Requirement::Sysctl("tcp_migrate_req")],
        steps: |harness| {
            let host = harness.host()?;
            host.set_sysctl(sysctl::TCP_MIGRATE_REQ, &true)?;
            let before = host.counters()?;
            let closing = reuse_port_listener(harness, &host, "closing")?;
            let client = harness.socket(&host, "client")?;
            harness.connect(&client, host.endpoint(SERVER_PORT)).step("client: connecting")?;
            // Once the third ACK has arrived, the child is in this listener's queue: there is no other
            // listener yet.
            harness.poll_until(|| Ok(host.request_sockets()? == 0))?;
            let staying = reuse_port_listener(harness, &host, "staying")?;
            harness.close(closing);
            harness.observe_counter_rise(&host, &before, "TCPMigrateReqSuccess")?;
            let child = harness.accept(&staying, "child")?;
            let read =
                harness.write(&client, b"data").and_then(|()| child.tcp.read_exact(4, harness.deadline()));
            harness.observe_result("child reads", &read);
            harness.wait_for_state(&child, Established)
        },
        paths: &[
            ("closing", &[Close, Listen, Close]),
            ("client", &[Close, SynSent, Established]),
            ("staying", &[Close, Listen]),
            ("child", &[Listen, SynRecv, Established]),
        ],
        facts: &[("TCPMigrateReqSuccess", "rises"), ("child reads", "success")],
        reference: "Documentation/networking/ip-sysctl.rst, tcp_migrate_req; since f9ac779f881c (5.14)",
        ..Behaviour::DEFAULT
    },
];

/// A listener on [`SERVER_PORT`] with SO_REUSEPORT.
fn reuse_port_listener(
    harness: &mut Harness,
    host: &TestHost,
    label: &'static str,
) -> Result<TestSocket, StepError> {
    let listener = harness.socket(host, label)?;
    listener.tcp.reuse_port().step(format!("{label}: setting SO_REUSEPORT"))?;
    harness.bind(&listener, host.endpoint(SERVER_PORT)).step(format!("{label}: binding"))?;
    listener.tcp.listen(16).step(format!("{label}: listening"))?;
    Ok(listener)
}
