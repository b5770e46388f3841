//! A ring that is too small: what it could not take is counted and told, and nothing is made up in its place.
//!
//! The tool is stopped while the burst comes, so that the ring is full for certain.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    support::{Objects, number},
    tracing::{BACKENDS, Stage, undisturbed},
};

/// Connects that are refused, each with two transitions. The ring takes some hundred reports.
const BURST: u64 = 1000;

/// A connection before, a burst, and a connection after it.
fn around_a_burst(flags: &str) -> Objects {
    let mut stage = Stage::with(&format!("{flags} --no-snapshot --ring-size 64KiB"));
    let [server, client] = ["server", "client"].map(|name| stage.actor(name));
    let connect = |port: u16| {
        client.does(&format!("bind {port} 127.0.0.1:{port}"));
        client.does(&format!("connect {port} 127.0.0.1:7000"));
        server.does(&format!("accept {port} l"));
    };
    server.does("listen l 127.0.0.1:7000");
    connect(7001);
    stage.running.signal(Signal::SIGSTOP);
    client.does(&format!("try {BURST} 127.0.0.1:9"));
    stage.running.signal(Signal::SIGCONT);
    let is_full = |object: &Value| object["type"] == "lost" && object["stage"] == "ring";
    stage.running.wait_for("loss in the ring", is_full);
    connect(7002);
    for port in [7001, 7002] {
        client.does(&format!("close {port}"));
        server.does(&format!("read-to-end {port}"));
        server.does(&format!("close {port}"));
    }
    stage.wait_for("connection", 4);
    stage.end()
}

/// The same, of which the kernel has passed over nothing: that may have been anybody's, and so what this is about.
fn around_a_burst_alone(flags: &str) -> Objects {
    let is_alone = |objects: &Objects| objects.of("lost").all(|lost| lost["stage"] == "ring");
    undisturbed(|| Some(around_a_burst(flags)).filter(is_alone))
}

fn between(objects: &Objects, local: u16, remote: u16) -> &Value {
    let mut found = objects
        .of("connection")
        .filter(|connection| connection["local"]["port"] == local && connection["remote"]["port"] == remote);
    found.next().unwrap_or_else(|| {
        let lost: Vec<_> = objects.of("lost").collect();
        panic!("no connection from {local} to {remote}; lost: {lost:?}")
    })
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn what_is_lost_is_counted() {
    for backend in BACKENDS {
        let objects = around_a_burst(&format!("--backend {backend}"));
        let lost = |place: &str| -> u64 {
            let here = objects.of("lost").filter(|lost| lost["stage"] == place);
            here.map(|lost| number(&lost["count"])).sum()
        };
        let told = objects.of("transition").count() as u64;
        let known = told + lost("ring");
        // Beside the burst: a listener, and five changes at each of four ends.
        let happened = 2 * BURST + 1 + 4 * 5;
        // What the kernel has passed over may have been anybody's.
        assert!(
            known <= happened && happened <= known + lost("kernel"),
            "{backend}: {told} told of {happened}, lost: {:?}",
            objects.of("lost").collect::<Vec<_>>()
        );
        assert!(told < BURST, "{backend}: {told} told");
        assert_eq!(objects.of("finding").filter(|one| one["kind"] == "illegal-transition").count(), 0);
    }
}

/// What was open across the gap may have a hole; what came after it has none.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn connections_say_whether_they_are_whole() {
    const CLIENTS: [&str; 6] = ["CLOSE", "SYN_SENT", "ESTABLISHED", "FIN_WAIT1", "FIN_WAIT2", "CLOSE"];
    const SERVERS: [&str; 6] = ["LISTEN", "SYN_RECV", "ESTABLISHED", "CLOSE_WAIT", "LAST_ACK", "CLOSE"];
    for backend in BACKENDS {
        for view in ["", "--connections"] {
            let objects = around_a_burst_alone(&format!("--backend {backend} {view}"));
            for (port, is_whole) in [(7001, view == "--connections"), (7002, true)] {
                for (connection, path) in
                    [(between(&objects, port, 7000), CLIENTS), (between(&objects, 7000, port), SERVERS)]
                {
                    assert_eq!(connection["path"], json!(path), "{backend} {view}: {connection}");
                    // The kernel side has kept the record itself, or the reader has missed nothing of it.
                    assert!(
                        connection["complete"] == is_whole || port == 7001,
                        "{backend} {view}: {connection}"
                    );
                    assert!(
                        connection["complete"] == false || !view.is_empty() || port == 7002,
                        "{connection}"
                    );
                }
            }
            for connection in objects.of("connection").filter(|one| one["remote"]["port"] == 9) {
                let is_whole = connection["path"] == json!(["CLOSE", "SYN_SENT", "CLOSE"]);
                assert!(is_whole || connection["complete"] == false, "{backend} {view}: {connection}");
            }
        }
    }
}

/// A ring that is large enough for all of it.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_larger_ring_loses_nothing() {
    for backend in BACKENDS {
        let stage = Stage::with(&format!("--backend {backend} --ring-size 1MiB"));
        let client = stage.actor("client");
        stage.running.signal(Signal::SIGSTOP);
        client.does(&format!("try {BURST} 127.0.0.1:9"));
        stage.running.signal(Signal::SIGCONT);
        let objects = stage.end();
        assert_eq!(objects.of("lost").count(), 0, "{backend}");
        assert_eq!(objects.of("transition").count() as u64, 2 * BURST, "{backend}");
        assert!(objects.of("connection").all(|connection| connection["complete"] == true), "{backend}");
    }
}
