//! Pre-existing sockets: recognised, and never mistaken for new ones.

use std::net::SocketAddr;

use probe::net::Namespace;
use serde_json::{Value, json};

use crate::{
    actor::Actor,
    quickack_netns::quickack_netns,
    support::{Objects, Running, number, text},
    tracing::{self, BACKENDS},
};

/// A server and its client, with a listener, an established connection, and one that the client has half closed.
struct PreexistingSockets {
    inside: Namespace,
    server: Actor,
    client: Actor,
    server_addr: SocketAddr,
    open: SocketAddr,
    half_closed: SocketAddr,
}

impl PreexistingSockets {
    fn new() -> Self {
        let inside = quickack_netns();
        let [server, client] = ["server", "client"].map(|name| Actor::inside(&inside, name));
        let server_addr = server.at("listen l 127.0.0.1:0");
        let [open, half_closed] = ["open", "half-closed"].map(|name| {
            let client_addr = client.at(&format!("connect {name} {server_addr}"));
            server.does(&format!("accept {name} l"));
            client_addr
        });
        client.does("shutdown half-closed");
        server.does("read-to-end half-closed");
        Self { inside, server, client, server_addr, open, half_closed }
    }

    /// Starts a trace.
    fn trace(&self, flags: &str) -> Running {
        tracing::begin(flags, &[&self.inside])
    }

    /// The owner according to the snapshot.
    fn owner(actor: &Actor, comm: &str, known: &str) -> Value {
        json!([actor.pid(), comm, known])
    }
}

fn owner(object: &Value) -> Value {
    let owner = &object["owner"];
    json!([owner["pid"], owner["comm"], owner["known"]])
}

/// The only connection between these ports.
fn connection(objects: &Objects, local: SocketAddr, remote: SocketAddr) -> &Value {
    let ports = json!([local.port(), remote.port()]);
    let mut found = objects
        .of("connection")
        .filter(|object| json!([object["local"]["port"], object["remote"]["port"]]) == ports);
    let connection = found.next().unwrap_or_else(|| panic!("no connection from {local} to {remote}"));
    assert!(found.next().is_none(), "one connection from {local} to {remote}");
    connection
}

fn end(mut running: Running, connections: usize) -> Objects {
    for _ in 0..connections {
        running.wait_for("connection", |object| object["type"] == "connection");
    }
    tracing::end(running)
}

/// How it was opened is unknown; everything else is known.
#[track_caller]
fn is_preexisting(connection: &Value, path: &[&str]) {
    assert_eq!(connection["open"], "preexisting", "{connection}");
    assert_eq!(connection["complete"], false, "{connection}");
    for unseen in ["opened", "established", "duration_ns", "handshake_ns", "generation"] {
        assert_eq!(connection[unseen], Value::Null, "{unseen}: {connection}");
    }
    assert_ne!(connection["closed"], Value::Null, "{connection}");
    assert_eq!(connection["path"], json!(path), "{connection}");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn preexisting_connections_are_reported_at_close() {
    for view in ["", "--connections"] {
        for backend in BACKENDS {
            let existing = PreexistingSockets::new();
            let running = existing.trace(&format!("--backend {backend} {view}"));
            existing.server.does("close half-closed");
            existing.server.does("close open");
            existing.client.does("read-to-end open");
            existing.client.does("close open");
            existing.client.does("close half-closed");
            let objects = end(running, 4);
            // A listener, and two endpoints per connection.
            assert!(number(&objects.one("ready")["existing"]) >= 5, "{}", objects.one("ready"));

            let PreexistingSockets { server_addr, open, half_closed, server, client, .. } = &existing;
            let both_ends = [
                (*server_addr, *open),
                (*open, *server_addr),
                (*server_addr, *half_closed),
                (*half_closed, *server_addr),
            ];
            let [server_open, client_open, server_half, client_half] =
                both_ends.map(|(local, remote)| connection(&objects, local, remote));
            // A connection reported only at close has left one state since the start.
            let seen = |path: &'static [&str]| if view.is_empty() { path } else { &path[path.len() - 2..] };
            is_preexisting(server_open, seen(&["ESTABLISHED", "FIN_WAIT1", "FIN_WAIT2", "CLOSE"]));
            is_preexisting(client_open, seen(&["ESTABLISHED", "CLOSE_WAIT", "LAST_ACK", "CLOSE"]));
            is_preexisting(server_half, seen(&["CLOSE_WAIT", "LAST_ACK", "CLOSE"]));
            is_preexisting(client_half, seen(&["FIN_WAIT2", "CLOSE"]));
            // The transition caused by close(2) names the owner.
            let known = if view.is_empty() { "exact" } else { "inferred" };
            for end in [server_open, server_half] {
                assert_eq!(
                    owner(end),
                    PreexistingSockets::owner(server, "server", known),
                    "{backend}: {end}"
                );
            }
            assert_eq!(owner(client_open), PreexistingSockets::owner(client, "client", known), "{backend}");
            // The server's FIN preceded the client's close.
            assert_eq!(
                owner(client_half),
                PreexistingSockets::owner(client, "client", "inferred"),
                "{backend}"
            );
            for transition in objects.of("transition") {
                assert!(!["CLOSE", "LISTEN"].contains(&text(&transition["old"])), "{transition}");
            }
        }
    }
}

/// The owner is the holder, although the events run in the peer's call.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn events_caused_by_the_peer_keep_the_owner() {
    for backend in BACKENDS {
        let existing = PreexistingSockets::new();
        let running = existing.trace(&format!("--backend {backend}"));
        existing.client.does("abort open");
        let objects = end(running, 2);
        let reset = connection(&objects, existing.server_addr, existing.open);
        is_preexisting(reset, &["ESTABLISHED", "CLOSE"]);
        assert_eq!(
            owner(reset),
            PreexistingSockets::owner(&existing.server, "server", "inferred"),
            "{backend}: {reset}"
        );
        assert_eq!(reset["close"]["detail"], "RST received", "{backend}: {reset}");
    }
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_child_belongs_to_its_preexisting_listener() {
    for view in ["", "--connections"] {
        for backend in BACKENDS {
            let existing = PreexistingSockets::new();
            let running = existing.trace(&format!("--backend {backend} {view}"));
            let late = Actor::inside(&existing.inside, "late");
            let client_addr = late.at(&format!("connect c {}", existing.server_addr));
            // It is never accepted.
            late.does("abort c");
            let objects = end(running, 2);
            let child = connection(&objects, existing.server_addr, client_addr);
            assert_eq!(
                owner(child),
                PreexistingSockets::owner(&existing.server, "server", "listener"),
                "{backend}: {child}"
            );
            assert_eq!(
                (&child["open"], &child["complete"]),
                (&json!("passive"), &json!(true)),
                "{backend}: {child}"
            );
            assert_eq!(child["path"], json!(["LISTEN", "SYN_RECV", "ESTABLISHED", "CLOSE"]), "{backend}");
        }
    }
}

/// Closing a listener is not the end of a connection.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_preexisting_listener_closes() {
    for backend in BACKENDS {
        let existing = PreexistingSockets::new();
        let running = existing.trace(&format!("--backend {backend}"));
        existing.server.does("close l");
        let objects = end(running, 0);
        let transition = objects.one("transition");
        assert_eq!((text(&transition["old"]), text(&transition["new"])), ("LISTEN", "CLOSE"));
        assert_eq!(
            owner(transition),
            PreexistingSockets::owner(&existing.server, "server", "exact"),
            "{backend}"
        );
        assert_eq!(objects.of("connection").count(), 0);
    }
}

/// Without a snapshot, sockets are unknown until their first event and then recognised as pre-existing.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn no_snapshot_means_no_existing_sockets() {
    for backend in BACKENDS {
        let existing = PreexistingSockets::new();
        let running = existing.trace(&format!("--no-snapshot --backend {backend}"));
        existing.client.does("close open");
        existing.server.does("close open");
        let objects = end(running, 2);
        assert_eq!(objects.one("ready")["existing"], Value::Null);
        let (server, client) = (
            connection(&objects, existing.server_addr, existing.open),
            connection(&objects, existing.open, existing.server_addr),
        );
        is_preexisting(client, &["ESTABLISHED", "FIN_WAIT1", "FIN_WAIT2", "CLOSE"]);
        is_preexisting(server, &["ESTABLISHED", "CLOSE_WAIT", "LAST_ACK", "CLOSE"]);
        assert_eq!(
            owner(client),
            PreexistingSockets::owner(&existing.client, "client", "exact"),
            "{backend}"
        );
        assert_eq!(
            owner(server),
            PreexistingSockets::owner(&existing.server, "server", "exact"),
            "{backend}"
        );
    }
}

/// Without a snapshot, the owner of a socket whose events all ran in the peer's calls is unknown.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn no_bystander_becomes_the_owner_without_a_snapshot() {
    for view in ["", "--connections"] {
        for backend in BACKENDS {
            let existing = PreexistingSockets::new();
            let running = existing.trace(&format!("--no-snapshot --backend {backend} {view}"));
            existing.client.does("abort open");
            let objects = end(running, 2);
            let reset = connection(&objects, existing.server_addr, existing.open);
            is_preexisting(reset, &["ESTABLISHED", "CLOSE"]);
            assert_eq!(owner(reset), json!([null, null, "unknown"]), "{backend} {view}: {reset}");
        }
    }
}
