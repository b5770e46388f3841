//! Filters of `probe trace`: each shows exactly the matching connections of a workload, completely. An unfiltered
//! trace defines the set of all connections.

use std::{collections::BTreeSet, net::SocketAddr};

use nix::sys::signal::Signal;
use probe::net::{Namespace, sysctl::IP_LOCAL_PORT_RANGE};
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::{
    actor::Actor,
    cgroups::Group,
    contract,
    support::{Running, number, text},
    tracing::{self, BACKENDS},
};

/// The only ephemeral port in the second namespace.
const ONLY_PORT: u16 = 47_000;

/// Two namespaces and their processes.
struct Stage {
    first: Namespace,
    second: Namespace,
    server: Actor,
    client: Actor,
    far: Actor,
    group: Group,
}

impl Stage {
    fn new() -> Self {
        let [first, second] = [(); 2].map(|()| Namespace::private().unwrap());
        second.enter(|| IP_LOCAL_PORT_RANGE.write(&(ONLY_PORT..=ONLY_PORT)).unwrap()).unwrap();
        let [server, client] = ["server", "client"].map(|name| Actor::inside(&first, name));
        let far = Actor::inside(&second, "far");
        let group = Group::new("filtered");
        group.takes(&client);
        Self { first, second, server, client, far, group }
    }

    /// Connections over both families, from bound and ephemeral ports, and failed connects.
    fn run(&self) {
        let Self { server, client, far, .. } = self;
        for (name, address) in [("a", "127.0.0.1:5001"), ("b", "[::1]:5002"), ("c", "127.0.0.2:5003")] {
            server.does(&format!("listen {name} {address}"));
            client.does(&format!("connect {name} {address}"));
            server.does(&format!("accept accepted-{name} {name}"));
        }
        client.does("bind d 127.0.0.1:5004");
        client.does("connect d 127.0.0.1:5001");
        for name in ["a", "b"] {
            client.does(&format!("close {name}"));
            server.does(&format!("close accepted-{name}"));
        }
        server.does("abort accepted-c");
        client.does("abort d");
        assert_eq!(client.tries("connect refused 127.0.0.1:5009"), Err("ECONNREFUSED".to_owned()));
        assert_eq!(server.tries("connect refused [::1]:5009"), Err("ECONNREFUSED".to_owned()));

        far.does("listen a 127.0.0.1:5001");
        far.does("connect first 127.0.0.1:5001");
        // No second port: the kernel fails the connect before it chooses one.
        assert_eq!(far.tries("connect second 127.0.0.1:5001"), Err("EADDRNOTAVAIL".to_owned()));
        far.does("abort first");
        far.does("close a");
        for name in ["a", "b", "c"] {
            server.does(&format!("close {name}"));
        }
    }

    /// The number of closes that [`Stage::run`] causes.
    const CONNECTIONS: usize = 13;

    fn trace(&self, flags: &str) -> Running {
        let both: &[&Namespace] = if flags.contains("--netns") { &[] } else { &[&self.first, &self.second] };
        tracing::begin(flags, both)
    }
}

/// The expected filter decision, given a connection's last transition.
type Wanted = fn(&Stage, &Value) -> bool;

fn local_port(connection: &Value) -> Option<u64> {
    connection["local"]["port"].as_u64()
}

fn remote_port(connection: &Value) -> Option<u64> {
    connection["remote"]["port"].as_u64()
}

fn has_port(connection: &Value, port: u64) -> bool {
    // A port that was never chosen matches every filter.
    local_port(connection).is_none_or(|local| local == port) || remote_port(connection) == Some(port)
}

fn has_addr(connection: &Value, addr: &str) -> bool {
    [&connection["local"], &connection["remote"]].iter().any(|end| end["addr"] == addr)
}

fn is_of(connection: &Value, actor: &Actor) -> bool {
    connection["owner"]["pid"] == actor.pid()
}

/// What both modes report of a connection.
fn in_one_line(connection: &Value) -> String {
    let [local, remote] = [&connection["local"], &connection["remote"]];
    format!("{local} to {remote}: {} of {}", connection["path"], connection["owner"]["pid"])
}

/// Runs the workload once under all of these filters and without one, in both modes.
fn check_filters(backend: &str, cases: &[(&str, Wanted)]) {
    let stage = Stage::new();
    let trace = |case: &str| {
        let flags = case
            .replace("CLIENT", &stage.client.pid().to_string())
            .replace("GROUP-ID", &stage.group.id().to_string())
            .replace("GROUP", &stage.group.path())
            .replace("THERE-BY-PID", &stage.far.pid().to_string())
            .replace("THERE-BY-PATH", &format!("/proc/{}/ns/net", stage.far.pid()))
            .replace("THERE", &stage.second.inode().to_string());
        stage.trace(&format!("--backend {backend} {flags}"))
    };
    let mut everything = trace("");
    let filtered: Vec<_> = cases
        .iter()
        .map(|(case, wanted)| (*case, wanted, trace(case), trace(&format!("{case} --connections"))))
        .collect();
    stage.run();
    for _ in 0..Stage::CONNECTIONS {
        everything.wait_for("connection", |object| object["type"] == "connection");
    }
    let everything = tracing::end(everything);
    let all = tracing::connections(&everything);
    for (case, wanted, transitions, connections) in filtered {
        let case = format!("{backend} {case}");
        let matches = |connection: &&Vec<&Value>| wanted(&stage, connection[connection.len() - 1]);
        let expected: BTreeSet<_> =
            all.iter().filter(matches).map(|connection| reported(connection)).collect();
        assert!(!expected.is_empty() && expected.len() < all.len(), "{case} chooses some: {expected:#?}");
        let transitions = tracing::end(transitions);
        the_same(
            &case,
            &expected,
            &tracing::connections(&transitions).iter().map(|connection| reported(connection)).collect(),
        );
        let totals = transitions.one("end");
        for (count, kind) in [("transitions", "transition"), ("connections", "connection")] {
            assert_eq!(number(&totals[count]), transitions.of(kind).count() as u64, "{case}");
        }
        let matches = |connection: &&Value| wanted(&stage, connection);
        let expected = everything.of("connection").filter(matches).map(in_one_line).collect();
        let connections = tracing::end(connections);
        the_same(&case, &expected, &connections.of("connection").map(in_one_line).collect());
    }
}

#[track_caller]
fn the_same<T: Ord + std::fmt::Debug>(case: &str, expected: &BTreeSet<T>, shown: &BTreeSet<T>) {
    let missing: Vec<_> = expected.difference(shown).collect();
    let extra: Vec<_> = shown.difference(expected).collect();
    assert!(missing.is_empty() && extra.is_empty(), "{case}: missing {missing:#?}, extra {extra:#?}");
}

/// What every trace reports of a connection, except numbering and times.
fn reported(connection: &[&Value]) -> (String, String) {
    let (first, last) = (connection[0], connection[connection.len() - 1]);
    // On the classic tracepoint, each trace counts generations by itself.
    let who = format!("{}, {} to {}", first["socket"], last["local"], last["remote"]);
    let how: Vec<_> = connection
        .iter()
        .map(|one| format!("{} by {}, {}", text(&one["new"]), one["cause"], one["owner"]))
        .collect();
    (who, how.join("; "))
}

const PORTS: &[(&str, Wanted)] = &[
    ("--port 5001", |_, connection| has_port(connection, 5001)),
    ("--port 5002-5003,5009", |_, connection| {
        [5002, 5003, 5009].into_iter().any(|port| has_port(connection, port))
    }),
    ("--local-port 5001", |_, connection| local_port(connection).is_none_or(|port| port == 5001)),
    ("--local-port 47000", |_, connection| local_port(connection).is_none_or(|port| port == 47000)),
    ("--remote-port 5009", |_, connection| remote_port(connection) == Some(5009)),
    ("--local-port 5004 --remote-port 5001", |_, connection| {
        local_port(connection).is_none_or(|port| port == 5004) && remote_port(connection) == Some(5001)
    }),
];

const NAMESPACES_AND_ADDRESSES: &[(&str, Wanted)] = &[
    ("--addr 127.0.0.2", |_, connection| has_addr(connection, "127.0.0.2")),
    ("--addr ::1/128 --addr 127.0.0.2/31", |_, connection| {
        has_addr(connection, "::1") || has_addr(connection, "127.0.0.2")
    }),
    ("--family 6", |_, connection| connection["family"] == "ipv6"),
    ("--family 4 --port 5002-5003", |_, connection| {
        connection["family"] == "ipv4" && (has_port(connection, 5002) || has_port(connection, 5003))
    }),
    ("--netns THERE", |stage, connection| connection["netns"] == stage.second.inode()),
    ("--netns THERE-BY-PID", |stage, connection| connection["netns"] == stage.second.inode()),
    ("--netns THERE-BY-PATH --port 5001", |stage, connection| connection["netns"] == stage.second.inode()),
];

const OWNERS: &[(&str, Wanted)] = &[
    ("--pid CLIENT", |stage, connection| is_of(connection, &stage.client)),
    ("--comm server", |stage, connection| is_of(connection, &stage.server)),
    ("--comm client --comm far --port 5001", |stage, connection| {
        (is_of(connection, &stage.client) || is_of(connection, &stage.far)) && has_port(connection, 5001)
    }),
    ("--cgroup GROUP", |stage, connection| is_of(connection, &stage.client)),
    ("--cgroup GROUP-ID --family 6", |stage, connection| {
        is_of(connection, &stage.client) && connection["family"] == "ipv6"
    }),
];

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn ports_on_the_btf_tracepoint() {
    check_filters("tp_btf", PORTS);
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn namespaces_and_addresses_on_the_btf_tracepoint() {
    check_filters("tp_btf", NAMESPACES_AND_ADDRESSES);
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn owners_on_the_btf_tracepoint() {
    check_filters("tp_btf", OWNERS);
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn ports_on_the_classic_tracepoint() {
    check_filters("tracepoint", PORTS);
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn namespaces_and_addresses_on_the_classic_tracepoint() {
    check_filters("tracepoint", NAMESPACES_AND_ADDRESSES);
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn owners_on_the_classic_tracepoint() {
    check_filters("tracepoint", OWNERS);
}

/// The MPTCP socket and its subflow are one connection each.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn mptcp_and_its_subflows() {
    for backend in BACKENDS {
        let inside = Namespace::private().unwrap();
        let mptcp = || Socket::new(Domain::IPV4, Type::STREAM, Some(socket2::Protocol::MPTCP));
        let Ok(server) = inside.enter(mptcp).unwrap() else {
            // This kernel has no MPTCP.
            return;
        };
        let traces = ["tcp", "mptcp"].map(|protocol| {
            let flags = format!("--backend {backend} --protocol {protocol}");
            (protocol, tracing::begin(&flags, &[&inside]))
        });
        server.bind(&"127.0.0.1:5001".parse::<SocketAddr>().unwrap().into()).unwrap();
        server.listen(1).unwrap();
        let client = inside.enter(mptcp).unwrap().unwrap();
        client.connect(&server.local_addr().unwrap()).unwrap();
        for (protocol, mut running) in traces {
            running.wait_for_state("ESTABLISHED");
            running.signal(Signal::SIGINT);
            let objects = running.finish().exits(0).silently().objects();
            contract::check_stream(&objects);
            // On 6.18 an accepted MPTCP socket has its listener's cookie.
            let others: Vec<_> = objects.of("transition").filter(|one| one["protocol"] != protocol).collect();
            assert!(others.is_empty(), "{backend} {protocol}: {others:?}");
        }
    }
}
