//! What options and sysctls change about how a child comes to be.

use State::{Close, Established, Listen, SynRecv, SynSent};

use crate::{
    audit::{
        Behaviour, Bench, Need,
        bench::{Place, Player, SERVER},
    },
    model::State,
    net::sysctl,
    scenario::{Step as _, Trouble},
};

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "listen/defer-accept",
        says: "with TCP_DEFER_ACCEPT the child comes with the first data",
        steps: |bench| {
            let here = bench.here()?;
            let before = here.counters()?;
            let listener = bench.listener(&here, "listener")?;
            listener.tcp.defer_accept(5).step("listener: setting TCP_DEFER_ACCEPT")?;
            let client = bench.socket(&here, "client")?;
            bench.connect(&client, here.port(SERVER)).step("client: connecting")?;
            bench.until_risen(&here, &before, "TCPDeferAcceptDrop")?;
            bench.state("requests after the third ACK", here.requests()?);
            bench.write(&client, b"data").step("client: writing")?;
            let server = bench.accept(&listener, "server")?;
            let read = server.tcp.read_exact(4, bench.deadline());
            bench.says("server reads", &read);
            bench.until(&server, Established)
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
        says: "with tcp_syncookies = 2 a child is made from the third ACK alone",
        needs: &[Need::Sysctl("tcp_syncookies")],
        steps: |bench| {
            let here = bench.here()?;
            here.set(sysctl::TCP_SYNCOOKIES, &2)?;
            let before = here.counters()?;
            let [_listener, client, server] = bench.connected(&here, &here)?;
            bench.until_risen(&here, &before, "SyncookiesSent")?;
            bench.until_risen(&here, &before, "SyncookiesRecv")?;
            bench.until(&client, Established)?;
            bench.until(&server, Established)
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
        says: "with tcp_migrate_req a listener that closes leaves its child to its SO_REUSEPORT sibling",
        needs: &[Need::Linux(5, 14), Need::Sysctl("tcp_migrate_req")],
        steps: |bench| {
            let here = bench.here()?;
            here.set(sysctl::TCP_MIGRATE_REQ, &true)?;
            let before = here.counters()?;
            let closing = sharing(bench, &here, "closing")?;
            let client = bench.socket(&here, "client")?;
            bench.connect(&client, here.port(SERVER)).step("client: connecting")?;
            // Once the third ACK is there, the child waits in the queue; there is no other to put it in.
            bench.eventually(|| Ok(here.requests()? == 0))?;
            let staying = sharing(bench, &here, "staying")?;
            bench.close(closing);
            bench.until_risen(&here, &before, "TCPMigrateReqSuccess")?;
            let child = bench.accept(&staying, "child")?;
            let write =
                bench.write(&client, b"data").and_then(|()| child.tcp.read_exact(4, bench.deadline()));
            bench.says("child reads", &write);
            bench.until(&child, Established)
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
fn sharing(bench: &mut Bench, here: &Place, label: &'static str) -> Result<Player, Trouble> {
    let listener = bench.socket(here, label)?;
    listener.tcp.reuse_port().step("setting SO_REUSEPORT")?;
    bench.bind(&listener, here.port(SERVER)).step("binding")?;
    listener.tcp.listen(16).step("listening")?;
    Ok(listener)
}
