//! Findings of `probe trace`: self-connects, shared ports, simultaneous opens and
//! closes, stuck sockets.

use std::{
    collections::BTreeSet,
    fs,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use probe::{
    model::{Family, Side},
    net::{Namespace, Tcp, sysctl::IP_LOCAL_PORT_RANGE},
    wire::{Link, Wire},
};
use serde_json::{Value, json};

use crate::{
    actor::Actor,
    support::{Objects, PATIENCE, text},
    tracing::{self, BACKENDS, Stage},
};

/// Message and remedy of the only finding of a kind, which must be about this process.
#[track_caller]
pub fn only<'a>(objects: &'a Objects, kind: &str, actor: &Actor) -> (&'a str, Option<&'a str>) {
    let found: Vec<_> = objects.of("finding").filter(|finding| finding["kind"] == kind).collect();
    assert_eq!(found.len(), 1, "{kind} among {:#?}", objects.of("finding").collect::<Vec<_>>());
    assert_eq!(found[0]["owner"]["pid"], actor.pid(), "{}", found[0]);
    (text(&found[0]["message"]), found[0]["remedy"].as_str())
}

/// Asserts that a text contains these words.
#[track_caller]
pub fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no `{word}` in: {text}");
    }
}

/// A client retries while its server is down, until the kernel picks the destination port as its source port.
struct Hammer {
    stage: Stage,
    client: Actor,
}

impl Hammer {
    /// The server's port: the first of the ephemeral range, with the parity that connect(2) prefers.
    const PORT: u16 = 40_000;
    const TRIES: u32 = 200;

    fn on(flags: &str) -> Self {
        let stage = Stage::of(namespace_with_ports(Self::PORT..=Self::PORT + 9), flags);
        Self { client: stage.actor("client"), stage }
    }

    /// Whether one of many attempts connects to itself.
    fn hits(&self) -> bool {
        (0..Self::TRIES).any(|_| {
            let outcome = self.client.tries(&format!("connect c 127.0.0.1:{}", Self::PORT));
            self.client.does("close c");
            outcome.is_ok()
        })
    }
}

/// A namespace with this ephemeral port range.
pub fn namespace_with_ports(ports: std::ops::RangeInclusive<u16>) -> Namespace {
    let inside = Namespace::private().unwrap();
    inside.enter(|| IP_LOCAL_PORT_RANGE.write(&ports).unwrap()).unwrap();
    inside
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn an_accidental_self_connect_and_its_remedy() {
    for backend in BACKENDS {
        for view in ["", "--connections", "--only self-connect"] {
            let hammer = Hammer::on(&format!("--backend {backend} {view}"));
            assert!(hammer.hits(), "never in {} tries", Hammer::TRIES);
            let Hammer { stage, client } = hammer;
            let inside = stage.inside.clone();
            let objects = stage.end();
            let (message, remedy) = only(&objects, "self-connect", &client);
            says(message, &["client[", "connected to itself", "127.0.0.1:40000", "40000-40009"]);

            // Apply the remedy as printed.
            let (_, line) = remedy.unwrap().split_once("sysctl -w ").unwrap();
            let (name, value) = line.split_whitespace().next().unwrap().split_once('=').unwrap();
            assert_eq!((name, value), ("net.ipv4.ip_local_reserved_ports", "40000"));
            let set = || fs::write(format!("/proc/sys/{}", name.replace('.', "/")), value).unwrap();
            inside.enter(set).unwrap();
            let cured = Hammer { stage: Stage::of(inside, &format!("--backend {backend} {view}")), client };
            assert!(!cured.hits(), "{backend}");
            assert_eq!(
                cured.stage.end().of("finding").filter(|one| one["kind"] == "self-connect").count(),
                0
            );
        }
    }
}

/// Port sharing is reported at the second connection, with both as evidence.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn several_connections_share_a_port() {
    for backend in BACKENDS {
        let stage = Stage::with(&format!("--backend {backend}"));
        let [server, client] = ["server", "client"].map(|name| stage.actor(name));
        let [one, other] = ["one", "other"].map(|name| server.at(&format!("listen {name} 127.0.0.1:0")));
        client.does("bind a 127.0.0.1:7000 reuseport");
        client.does("bind b 127.0.0.1:7000 reuseport");
        client.does(&format!("connect a {one}"));
        client.does(&format!("connect b {other}"));
        let objects = stage.end();
        let (message, _) = only(&objects, "port-sharing", &client);
        says(message, &["127.0.0.1:7000", &one.to_string(), &other.to_string()]);
    }
}

/// The SYNs cross, and later the FINs.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn simultaneous_open_and_close() {
    const DELAY: Duration = Duration::from_millis(200);
    for (backend, family) in [("tp_btf", Family::Ipv4), ("tracepoint", Family::Ipv6)] {
        let namespaces = [(); 2].map(|()| Namespace::private().unwrap());
        let link = Link::new(family).delay(DELAY);
        let _wire = Wire::between(&namespaces[0], &namespaces[1], link).unwrap();
        let mut running = tracing::begin(&format!("--backend {backend}"), &[&namespaces[0], &namespaces[1]]);
        let deadline = Instant::now() + PATIENCE;
        let ends = [(Side::A, &namespaces[0]), (Side::B, &namespaces[1])].map(|(side, namespace)| {
            let socket = namespace.enter(|| Tcp::bound(link.endpoint(side, 1314))).unwrap().unwrap();
            (side, socket)
        });
        for (side, socket) in &ends {
            socket.begin_connect(link.endpoint(side.peer(), 1314)).unwrap();
        }
        for (_, socket) in &ends {
            socket.outcome(deadline).unwrap();
        }
        drop(ends);
        for _ in 0..2 {
            running.wait_for("end", |object| object["type"] == "connection");
        }
        let objects = tracing::end(running);
        for kind in ["simultaneous-open", "simultaneous-close"] {
            let found: BTreeSet<_> = objects
                .of("finding")
                .filter(|finding| finding["kind"] == kind)
                .map(|finding| finding["netns"].as_u64())
                .collect();
            let both: BTreeSet<_> =
                namespaces.iter().map(|namespace| Some(namespace.inode().into())).collect();
            assert_eq!(found, both, "{backend} {kind}");
        }
    }
}

/// An unanswered SYN, a CLOSE_WAIT and a FIN_WAIT2, opened before or after the
/// trace started.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn stuck_sockets_are_found() {
    for backend in BACKENDS {
        for preexisting in [false, true] {
            let inside = Namespace::private().unwrap();
            let flags = format!("--backend {backend} --only stuck --stuck-after 200ms");
            let early = (!preexisting).then(|| Stage::of(inside.clone(), &flags));
            let [server, client] = ["server", "client"].map(|name| Actor::inside(&inside, name));
            let server_addr = server.at("listen l 127.0.0.1:0");
            client.does(&format!("connect c {server_addr}"));
            server.does("accept s l");
            client.does("shutdown c");
            let deaf = DeafListener::inside(&inside);
            client.begins(&format!("connect deaf {}", deaf.local));
            let mut stage = early.unwrap_or_else(|| Stage::of(inside.clone(), &flags));
            stage.wait_for("finding", 3);
            let objects = stage.end();
            let stuck: BTreeSet<_> = objects
                .of("finding")
                .map(|finding| {
                    let state = ["SYN_SENT", "CLOSE_WAIT", "FIN_WAIT2"]
                        .into_iter()
                        .find(|state| text(&finding["message"]).contains(state))
                        .unwrap_or_else(|| panic!("{finding} has no state"));
                    (state, finding["owner"]["pid"].as_u64().unwrap())
                })
                .collect();
            let [server, client] = [server.pid().into(), client.pid().into()];
            let expected = [("SYN_SENT", client), ("CLOSE_WAIT", server), ("FIN_WAIT2", client)];
            assert_eq!(stuck, BTreeSet::from(expected), "{backend}, preexisting: {preexisting}");
        }
    }
}

/// A listener with a full accept queue, which drops SYNs.
pub struct DeafListener {
    pub local: std::net::SocketAddr,
    _sockets: [Tcp; 2],
}

impl DeafListener {
    /// Creates one in a namespace.
    pub fn inside(inside: &Namespace) -> Self {
        let listen = || {
            let listener = Tcp::bound("127.0.0.3:0".parse().unwrap()).unwrap();
            listener.listen(0).unwrap();
            let local = listener.local().unwrap();
            let client = Tcp::new(Family::Ipv4).unwrap();
            client.connect(local, Instant::now() + PATIENCE).unwrap();
            Self { local, _sockets: [listener, client] }
        };
        inside.enter(listen).unwrap()
    }
}

/// `--only` shows the selected kinds and nothing else.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn only_selects_findings() {
    for (flags, kinds, code) in [
        ("--only self-connect", &["self-connect"][..], 0),
        ("--only self-connect --fail-on self-connect", &["self-connect"], 1),
        ("--only connect-failed,stuck --fail-on stuck", &["connect-failed"], 0),
        ("--only stuck,bind-failed --fail-on bind-failed,stuck", &[], 0),
        (
            "--only stuck,connect-failed,self-connect --fail-on stuck,self-connect",
            &["connect-failed", "self-connect"],
            1,
        ),
    ] {
        let Hammer { stage, .. } = {
            let hammer = Hammer::on(flags);
            assert!(hammer.hits());
            // Refusals before this one may have been the self-connect.
            hammer.client.tries("connect closed 127.0.0.9:1").unwrap_err();
            hammer
        };
        stage.running.signal(Signal::SIGTERM);
        let objects = tracing::checked(stage.running.finish().exits(code).silently().objects());
        let shown: BTreeSet<_> = objects.of("finding").map(|finding| text(&finding["kind"])).collect();
        assert_eq!(shown, kinds.iter().copied().collect(), "{flags}");
        let others = |object: &&Value| !["ready", "finding", "end"].contains(&text(&object["type"]));
        assert_eq!(objects.iter().find(others), None, "{flags}");
        assert_eq!(objects.one("end")["findings"], json!(objects.of("finding").count()), "{flags}");
    }
}
