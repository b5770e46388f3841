//! Owners of sockets that several processes use: the right one, or unknown.

use std::{net::SocketAddr, time::Instant};

use nix::sys::resource::{Resource, setrlimit};
use probe_ebpf::{TABLE_SETS, TABLE_WAYS};
use serde_json::Value;

use crate::{
    support::{Objects, PATIENCE, number, text},
    tracing::{self, BACKENDS, Stage},
};

/// Waits until this number of connections has closed, then stops the trace.
fn end(mut stage: Stage, connections: usize) -> Objects {
    stage.wait_for("connection", connections);
    stage.end()
}

fn stage(backend: &str) -> Stage {
    Stage::with(&format!("--backend {backend}"))
}

/// The transitions of the only socket with this local and remote port.
fn connection(objects: &Objects, local: SocketAddr, remote: SocketAddr) -> Vec<&Value> {
    let between = |connection: &Vec<&Value>| {
        let last = connection[connection.len() - 1];
        last["local"]["port"] == local.port() && last["remote"]["port"] == remote.port()
    };
    let mut connections = tracing::connections(objects).into_iter().filter(between);
    let connection = connections.next().unwrap_or_else(|| panic!("no socket from {local} to {remote}"));
    assert!(connections.next().is_none(), "one socket from {local} to {remote}");
    connection
}

/// An owner's pid, name, and how it is known.
fn owner_of(object: &Value) -> (u64, &str, &str) {
    let owner = &object["owner"];
    (number(&owner["pid"]), text(&owner["comm"]), text(&owner["known"]))
}

/// The owners of consecutive transitions, without repetitions.
fn owners<'a>(connection: &[&'a Value]) -> Vec<(u64, &'a str, &'a str)> {
    let mut owners: Vec<_> = connection.iter().map(|transition| owner_of(transition)).collect();
    owners.dedup();
    owners
}

/// The parent listens; its children accept, write and close.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn connections_of_a_forking_server_belong_to_its_children() {
    for backend in BACKENDS {
        let stage = stage(backend);
        let parent = stage.actor("parent");
        let server = parent.at("listen l 127.0.0.1:0");
        let children = ["child-a", "child-b"].map(|name| (name, parent.starts(name, "l")));
        let client = stage.actor("client");
        let mut connections = Vec::new();
        for (name, child) in &children {
            let local = client.at(&format!("connect {name} {server}"));
            child.does("accept s l");
            child.does("write s 5");
            client.does(&format!("read {name} 5"));
            child.does("close s");
            client.does(&format!("read-to-end {name}"));
            client.does(&format!("close {name}"));
            connections.push((*name, child.pid(), local));
        }
        let pids = [u64::from(parent.pid()), u64::from(client.pid())];
        let objects = end(stage, 2 * children.len());
        for (name, pid, local) in connections {
            let listeners = (pids[0], "parent", "listener");
            let its_own = (u64::from(pid), name, "exact");
            assert_eq!(owners(&connection(&objects, server, local)), [listeners, its_own], "{backend}");
            let clients = (pids[1], "client", "exact");
            assert_eq!(owners(&connection(&objects, local, server)), [clients], "{backend}");
        }
    }
}

/// The client closes first, so that the accepted socket closes passively.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_passive_close_belongs_to_the_server() {
    for backend in BACKENDS {
        let stage = stage(backend);
        let (server, client) = (stage.actor("server"), stage.actor("client"));
        let server_addr = server.at("listen l [::1]:0");
        let client_addr = client.at(&format!("connect c {server_addr}"));
        server.does("accept s l");
        client.does("close c");
        server.does("read-to-end s");
        server.does("close s");
        let pid = u64::from(server.pid());
        let objects = end(stage, 2);
        let connection = connection(&objects, server_addr, client_addr);
        assert_eq!(owners(&connection), [(pid, "server", "listener"), (pid, "server", "exact")], "{backend}");
        let exact: Vec<_> = connection.iter().filter(|one| one["owner"]["known"] == "exact").collect();
        assert_eq!(exact[0]["new"], "LAST_ACK", "{backend}");
    }
}

/// Several listeners with SO_REUSEPORT: each connection belongs to the process whose listener received it.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_connection_of_a_reuseport_group_belongs_to_its_listener() {
    const CONNECTIONS: usize = 12;
    for backend in BACKENDS {
        let stage = stage(backend);
        let first = stage.actor("first");
        let server_addr = first.at("listen l 127.0.0.1:0 reuseport");
        let others = ["second", "third"].map(|name| {
            let other = stage.actor(name);
            other.does(&format!("listen l {server_addr} reuseport"));
            other
        });
        let group = [&first, &others[0], &others[1]];
        let client = stage.actor("client");
        for number in 0..CONNECTIONS {
            client.does(&format!("connect c{number} {server_addr}"));
        }
        let mut accepted: Vec<(SocketAddr, u32)> = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        while accepted.len() < CONNECTIONS {
            assert!(Instant::now() < deadline, "{} accepted", accepted.len());
            for member in group {
                let peers = member.does("accept-all l");
                let peers = peers.split_whitespace().skip(1).map(|peer| peer.parse().unwrap());
                accepted.extend(peers.map(|peer| (peer, member.pid())));
            }
        }
        // The accepted sockets close without a call of their owners.
        for number in 0..CONNECTIONS {
            client.does(&format!("abort c{number}"));
        }
        let objects = end(stage, 2 * CONNECTIONS);
        for (client_addr, pid) in accepted {
            for transition in connection(&objects, server_addr, client_addr) {
                // The port alone does not identify which of the three it is.
                let honest = backend == "tracepoint" && transition["owner"]["known"] == "unknown";
                let right = || {
                    let (owner, _, known) = owner_of(transition);
                    owner == u64::from(pid) && known == "listener"
                };
                assert!(honest || right(), "{backend}: it is {pid}'s: {transition}");
            }
        }
    }
}

/// The process has exited before it can be looked up.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_client_that_exits_at_once_is_the_owner() {
    for backend in BACKENDS {
        let stage = stage(backend);
        let server = stage.actor("server");
        let server_addr = server.at("listen l 127.0.0.1:0");
        let hasty = stage.actor("hasty \u{2764}");
        let pid = u64::from(hasty.pid());
        let client_addr = hasty.at(&format!("connect c {server_addr}"));
        hasty.exits();
        server.does("accept s l");
        server.does("close s");
        let objects = end(stage, 2);
        assert_eq!(
            owners(&connection(&objects, client_addr, server_addr)),
            [(pid, "hasty \u{2764}", "exact")],
            "{backend}"
        );
    }
}

/// One process connects, another closes: the connection belongs to the one that connected.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_client_that_passes_its_descriptor_on_remains_the_owner() {
    for backend in BACKENDS {
        let stage = stage(backend);
        let [server, giver, taker] = ["server", "giver", "taker"].map(|name| stage.actor(name));
        let server_addr = server.at("listen l 127.0.0.1:0");
        let client_addr = giver.at(&format!("connect c {server_addr}"));
        server.does("accept s l");
        let pid = u64::from(giver.pid());
        taker.takes("c", giver.gives("c"));
        giver.exits();
        taker.does("close c");
        server.does("read-to-end s");
        server.does("close s");
        let objects = end(stage, 2);
        assert_eq!(
            owners(&connection(&objects, client_addr, server_addr)),
            [(pid, "giver", "exact")],
            "{backend}"
        );
    }
}

/// One process listens and accepts, another receives the connection: it belongs to the listener until the other's
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn an_accepted_socket_that_is_passed_on_belongs_to_the_process_that_closes_it() {
    for backend in BACKENDS {
        let stage = stage(backend);
        let [giver, taker, client] = ["giver", "taker", "client"].map(|name| stage.actor(name));
        let server_addr = giver.at("listen l 127.0.0.1:0");
        let client_addr = client.at(&format!("connect c {server_addr}"));
        giver.does("accept s l");
        taker.takes("s", giver.gives("s"));
        giver.does("close s");
        client.does("close c");
        taker.does("read-to-end s");
        taker.does("close s");
        let pids = [&giver, &taker].map(|actor| u64::from(actor.pid()));
        let objects = end(stage, 2);
        let connection = connection(&objects, server_addr, client_addr);
        assert_eq!(
            owners(&connection),
            [(pids[0], "giver", "listener"), (pids[1], "taker", "exact")],
            "{backend}"
        );
        let by_taker = connection.iter().find(|one| one["owner"]["comm"] == "taker").unwrap();
        assert_eq!(by_taker["new"], "LAST_ACK", "{backend}");
    }
}

/// Sockets closed by exec(2) belong to the process, whatever its name is then.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn sockets_closed_by_exec_belong_to_the_process() {
    for backend in BACKENDS {
        let stage = stage(backend);
        let [server, client] = ["server", "before"].map(|name| stage.actor(name));
        let server_addr = server.at("listen l 127.0.0.1:0");
        let client_addr = client.at(&format!("connect c {server_addr}"));
        server.does("accept s l");
        client.becomes("after");
        server.does("read-to-end s");
        server.does("close s");
        let pid = u64::from(client.pid());
        let objects = end(stage, 2);
        let owners = owners(&connection(&objects, client_addr, server_addr));
        assert_eq!(owners[0], (pid, "before", "exact"), "{backend}");
        assert!(owners.iter().all(|(owner, _, known)| (*owner, *known) == (pid, "exact")), "{owners:?}");
    }
}

/// The listener's owner is the process that called listen(2), with its user id at that time.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_listeners_owner_has_the_user_id_of_its_listen_call() {
    const NOBODY: u32 = 65534;
    for backend in BACKENDS {
        let stage = stage(backend);
        let [server, client] = ["server", "client"].map(|name| stage.actor(name));
        let server_addr = server.at("listen l 127.0.0.1:0");
        client.does(&format!("user {NOBODY}"));
        let client_addr = client.at(&format!("connect c {server_addr}"));
        server.does("accept s l");
        server.does(&format!("user {NOBODY}"));
        client.does("close c");
        server.does("close s");
        let objects = end(stage, 2);
        assert!(
            connection(&objects, client_addr, server_addr).iter().all(|one| one["owner"]["uid"] == NOBODY),
            "{backend}"
        );
        let child = connection(&objects, server_addr, client_addr);
        assert_eq!(child[0]["owner"]["uid"], 0, "{backend}: {}", child[0]);
        assert_eq!(child[child.len() - 1]["owner"]["uid"], NOBODY, "{backend}");
    }
}

/// More listeners than the kernel side's table has slots: the others use socket storage, of which
/// each child gets a copy.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn listeners_beyond_the_table_have_owners() {
    const LISTENERS: usize = (TABLE_SETS * TABLE_WAYS + 500) as usize;
    let room = LISTENERS as u64 + 1000;
    setrlimit(Resource::RLIMIT_NOFILE, room, room).unwrap();
    let stage = stage("tp_btf");
    let [server, client] = ["server", "client"].map(|name| stage.actor(name));
    let listeners: Vec<_> = (0..LISTENERS).map(|n| server.at(&format!("listen l{n} 127.0.0.1:0"))).collect();
    // Some of the first, and all of the last.
    let sampled: Vec<_> = (0..100).chain(LISTENERS - 200..LISTENERS).collect();
    let mut connections = Vec::new();
    for n in &sampled {
        let local = client.at(&format!("connect c {}", listeners[*n]));
        server.does(&format!("accept s l{n}"));
        client.does("close c");
        server.does("read-to-end s");
        server.does("close s");
        connections.push((listeners[*n], local));
    }
    let owner = (u64::from(server.pid()), "server", "listener");
    let objects = end(stage, 2 * sampled.len());
    for (listener, local) in connections {
        let connection = connection(&objects, listener, local);
        assert_eq!(owner_of(connection[0]), owner, "{}", connection[0]);
    }
}
