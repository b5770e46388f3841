//! `--time-wait`: TIME_WAIT and FIN_WAIT2 sockets after close, their expiry and owners.

use std::{collections::BTreeMap, fs};

use serde_json::{Value, json};

use crate::{
    coherence::unix_ns,
    support::{Objects, number, text},
    tracing::{BACKENDS, Stage},
};

/// The time_wait objects by local port.
fn mini_sockets(objects: &Objects) -> BTreeMap<u64, &Value> {
    objects.of("time_wait").map(|entry| (number(&entry["local"]["port"]), entry)).collect()
}

#[track_caller]
fn check_mini_socket(entry: &Value, state: &str, seconds: std::ops::RangeInclusive<i128>) {
    assert_eq!(entry["state"], state, "{entry}");
    let left = (unix_ns(&entry["until"]) - unix_ns(&entry["time"])) / 1_000_000_000;
    assert!(seconds.contains(&left), "{left} s left: {entry}");
}

/// The endpoint that closes first has the TIME_WAIT; its last owner is named.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn the_endpoint_that_closes_first_has_the_time_wait() {
    for backend in BACKENDS {
        for view in ["", "--connections"] {
            let mut stage = Stage::with(&format!("--backend {backend} {view} --time-wait"));
            let [server, client, selfish] = ["server", "client", "selfish"].map(|name| stage.actor(name));
            let orphans = || fs::write("/proc/sys/net/ipv4/tcp_fin_timeout", "20").unwrap();
            stage.inside.enter(orphans).unwrap();
            server.does("listen l 127.0.0.1:7000");
            for (port, orders) in [
                // The client closes first.
                (7001, &["client close", "server close"][..]),
                // The server closes first; its port is the listener's.
                (7002, &["server close", "client close"]),
                // A reset leaves nothing.
                (7003, &["client shutdown", "server abort", "client close"]),
                // The client closes, and the server never does.
                (7004, &["client close"]),
            ] {
                client.does(&format!("bind {port} 127.0.0.1:{port}"));
                client.does(&format!("connect {port} 127.0.0.1:7000"));
                server.does(&format!("accept {port} l"));
                for order in orders {
                    let (who, what) = order.split_once(' ').unwrap();
                    let who = if who == "client" { &client } else { &server };
                    who.does(&format!("{what} {port}"));
                }
            }
            selfish.does("bind c [::1]:7005");
            selfish.does("connect c [::1]:7005");
            let [client, selfish] = [client, selfish].map(|actor| {
                let pid = actor.pid();
                actor.exits();
                json!(pid)
            });
            // Both endpoints of three connections, and two more.
            stage.wait_for("connection", 2 * 3 + 2);
            let objects = stage.end();
            let entries = mini_sockets(&objects);
            check_mini_socket(entries[&7001], "TIME_WAIT", 55..=60);
            assert_eq!(entries[&7001]["owner"]["pid"], client, "{backend} {view}");
            check_mini_socket(entries[&7000], "TIME_WAIT", 55..=60);
            assert_eq!(entries[&7000]["remote"]["port"], 7002, "{backend} {view}");
            assert_eq!(entries[&7000]["owner"]["pid"], server.pid(), "{backend} {view}");
            check_mini_socket(entries[&7004], "FIN_WAIT2", 15..=20);
            assert_eq!(entries[&7004]["owner"]["pid"], client, "{backend} {view}");
            check_mini_socket(entries[&7005], "TIME_WAIT", 55..=60);
            assert_eq!(entries[&7005]["owner"]["pid"], selfish, "{backend} {view}");
            let nothing = |port| entries.get(&port).is_none_or(|entry: &&Value| entry["state"].is_null());
            assert!(nothing(7003), "{:?}", entries.get(&7003));
            for (port, entry) in entries {
                let mut connections = objects.of("connection").filter(|connection| {
                    connection["socket"] == entry["socket"] && connection["generation"] == entry["generation"]
                });
                let connection =
                    connections.next().unwrap_or_else(|| panic!("{port}: no connection left {entry}"));
                assert_eq!(text(connection["path"].as_array().unwrap().last().unwrap()), "CLOSE");
                assert_eq!(connection["owner"], entry["owner"], "{backend} {view}");
            }
        }
    }
}

/// Without the flag, nothing is queried.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn nothing_is_queried_without_the_flag() {
    let mut stage = Stage::with("");
    let client = stage.actor("client");
    client.does("listen l 127.0.0.1:7000");
    client.does("connect c 127.0.0.1:7000");
    client.does("close c");
    client.does("close l");
    stage.wait_for("connection", 2);
    assert_eq!(stage.end().of("time_wait").count(), 0);
}
