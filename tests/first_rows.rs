//! The first and the last transition of a socket, where the kernel's own fields are another socket's or an earlier connection's.

use serde_json::{Value, json};

use crate::{
    support::{Objects, text},
    tracing::{BACKENDS, Stage},
};

/// The transitions along an edge.
fn along<'a>(objects: &'a Objects, protocol: &str, old: &str, new: &str) -> Vec<&'a Value> {
    let is_along = |one: &&Value| one["protocol"] == protocol && one["old"] == old && one["new"] == new;
    objects.of("transition").filter(is_along).collect()
}

/// Whether the kernel of this trace is older than this.
fn is_before(objects: &Objects, release: [u32; 2]) -> bool {
    let kernel = text(&objects.one("ready")["host"]["kernel"]);
    let mut numbers = kernel.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    [(); 2].map(|()| numbers.next().unwrap_or(0)) < release
}

/// Up to Linux 6.14 a child has its listener's cookie at first.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_child_never_has_its_listeners_identity() {
    for backend in BACKENDS {
        let mut stage = Stage::with(&format!("--backend {backend}"));
        let [server, client] = ["server", "client"].map(|name| stage.actor(name));
        let address = server.at("listen l 127.0.0.1:0");
        client.does(&format!("connect c {address}"));
        server.does("accept s l");
        client.does("close c");
        server.does("close s");
        stage.wait_for("connection", 2);
        let objects = stage.end();
        let [listener] = along(&objects, "tcp", "CLOSE", "LISTEN")[..] else { panic!("one listener") };
        let [first] = along(&objects, "tcp", "LISTEN", "SYN_RECV")[..] else { panic!("one child") };
        let [second] = along(&objects, "tcp", "SYN_RECV", "ESTABLISHED")[..] else { panic!("one child") };
        assert_ne!(second["socket"], listener["socket"], "{backend}");
        let is_unnamed = backend == "tp_btf" && is_before(&objects, [6, 15]);
        let expected = if is_unnamed { Value::Null } else { second["socket"].clone() };
        assert_eq!(first["socket"], expected, "{backend}: {first}");
        assert_eq!(first["generation"].is_null(), is_unnamed, "{backend}: {first}");
        let is_passive = |one: &&Value| one["open"] == "passive";
        let connection = objects.of("connection").find(is_passive).expect("the child's connection");
        assert_eq!(connection["socket"], second["socket"], "{backend}");
        assert_eq!(connection["path"][0], "LISTEN", "{backend}: {connection}");
        assert_eq!(connection["complete"], true, "{backend}: {connection}");
    }
}

/// The socket still has the port and the remote endpoint of the connect.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_listener_has_nothing_of_the_connect_that_was_refused_before() {
    for backend in BACKENDS {
        let stage = Stage::with(&format!("--backend {backend}"));
        let actor = stage.actor("server");
        assert_eq!(actor.tries("connect l 127.0.0.1:9"), Err("ECONNREFUSED".to_owned()));
        let address = actor.at("listen l");
        actor.does("close l");
        let objects = stage.end();
        let [refused] = along(&objects, "tcp", "SYN_SENT", "CLOSE")[..] else { panic!("one connect") };
        assert_ne!(refused["local"]["port"], address.port(), "the kernel picks another");
        for (old, new) in [("CLOSE", "LISTEN"), ("LISTEN", "CLOSE")] {
            let [row] = along(&objects, "tcp", old, new)[..] else { panic!("one listener") };
            let port = &row["local"]["port"];
            assert!(port.is_null() && new == "LISTEN" || *port == address.port(), "{backend}: {row}");
            assert_eq!(row["remote"], json!({"addr": "0.0.0.0", "port": null}), "{backend}: {row}");
        }
    }
}

/// An accepted MPTCP socket has its listener's cookie.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn an_mptcp_listener_has_no_peer() {
    for backend in BACKENDS {
        let mut stage = Stage::with(&format!("--backend {backend}"));
        let [server, client] = ["server", "client"].map(|name| stage.actor(name));
        server.does("mptcp l 0.0.0.0:0");
        let address = server.at("listen l 127.0.0.1:0");
        client.does("mptcp c 0.0.0.0:0");
        client.does(&format!("connect c {address}"));
        server.does("accept s l");
        server.does("close l");
        stage.running.wait_for("end of the listener", |one| {
            one["protocol"] == "mptcp" && one["old"] == "LISTEN" && one["new"] == "CLOSE"
        });
        let objects = stage.end();
        let children = along(&objects, "mptcp", "LISTEN", "ESTABLISHED");
        let [child] = children[..] else { panic!("one child: {children:?}") };
        for new in ["LISTEN", "CLOSE"] {
            let rows = along(&objects, "mptcp", "LISTEN", new);
            let [row] = rows[..] else { panic!("{backend}: {rows:?}") };
            assert_eq!(row["remote"], json!({"addr": "0.0.0.0", "port": null}), "{backend}: {row}");
            assert_eq!(row["local"]["port"], address.port(), "{backend}: {row}");
            let [id, of_child] = [row, child].map(|one| (&one["socket"], &one["generation"]));
            assert_ne!(id, of_child, "{backend}");
        }
    }
}
