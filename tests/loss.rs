//! A ring buffer that is too small: lost events are counted and reported, and nothing is invented in their place.
//!
//! The tool is stopped (SIGSTOP) during the burst, so that the ring buffer certainly overflows.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    support::{Objects, number},
    tracing::{BACKENDS, Stage, undisturbed},
};

/// Refused connects, each with two transitions. The ring buffer holds a few hundred records.
const BURST: u64 = 1000;

/// A connection, a burst, and another connection.
fn burst_between_connections(flags: &str) -> Objects {
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

/// The same without events skipped by the kernel, which could be those under test.
fn undisturbed_burst(flags: &str) -> Objects {
    let is_alone = |objects: &Objects| objects.of("lost").all(|lost| lost["stage"] == "ring");
    undisturbed(|| Some(burst_between_connections(flags)).filter(is_alone))
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
fn losses_are_counted() {
    for backend in BACKENDS {
        let objects = burst_between_connections(&format!("--backend {backend}"));
        let lost = |stage: &str| -> u64 {
            let lost = objects.of("lost").filter(|lost| lost["stage"] == stage);
            lost.map(|lost| number(&lost["count"])).sum()
        };
        let reported = objects.of("transition").count() as u64;
        let known = reported + lost("ring");
        // Besides the burst: a listener, and five changes at each of four endpoints.
        let happened = 2 * BURST + 1 + 4 * 5;
        // The skipped events may belong to any socket on the host.
        assert!(
            known <= happened && happened <= known + lost("kernel"),
            "{backend}: {reported} of {happened} reported, lost: {:?}",
            objects.of("lost").collect::<Vec<_>>()
        );
        assert!(reported < BURST, "{backend}: {reported} reported");
        assert_eq!(objects.of("finding").filter(|one| one["kind"] == "illegal-transition").count(), 0);
    }
}

/// A connection open across the gap may be incomplete; one after it is complete.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn connections_say_whether_they_are_complete() {
    const CLIENTS: [&str; 6] = ["CLOSE", "SYN_SENT", "ESTABLISHED", "FIN_WAIT1", "FIN_WAIT2", "CLOSE"];
    const SERVERS: [&str; 6] = ["LISTEN", "SYN_RECV", "ESTABLISHED", "CLOSE_WAIT", "LAST_ACK", "CLOSE"];
    for backend in BACKENDS {
        for view in ["", "--connections"] {
            let objects = undisturbed_burst(&format!("--backend {backend} {view}"));
            for (port, is_whole) in [(7001, view == "--connections"), (7002, true)] {
                for (connection, path) in
                    [(between(&objects, port, 7000), CLIENTS), (between(&objects, 7000, port), SERVERS)]
                {
                    assert_eq!(connection["path"], json!(path), "{backend} {view}: {connection}");
                    // The kernel side holds the state history, or the reader missed none of its transitions.
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

/// A ring buffer that is large enough for the burst.
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
