//! Running `probe trace`, and grouping its output by socket.

use std::{collections::BTreeMap, iter};

use nix::sys::signal::Signal;
use probe::net::Namespace;
use serde_json::Value;

use crate::{
    actor::Actor,
    coherence, contract,
    quickack_netns::quickack_netns,
    support::{Objects, Probe, Running, text},
};

/// The backends.
pub const BACKENDS: [&str; 2] = ["tp_btf", "tracepoint"];

/// The backends that the running kernel has: BTF tracepoints need Linux 5.12 (`docs/doctor.md`).
pub fn backends() -> &'static [&'static str] {
    let release = nix::sys::utsname::uname().unwrap().release().to_str().unwrap().to_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    let version: [u32; 2] = [(); 2].map(|()| numbers.next().unwrap_or(0));
    if version < [5, 12] { &BACKENDS[1..] } else { &BACKENDS }
}

/// Attempts when other activity on the host disturbs a test.
const TRIES: usize = 5;

/// The first of several attempts without a loss. Events that the kernel skipped because of other activity cannot be compared.
#[track_caller]
pub fn undisturbed<T>(try_once: impl FnMut() -> Option<T>) -> T {
    iter::repeat_with(try_once).take(TRIES).flatten().next().expect("events were lost in every attempt")
}

/// A network namespace and a trace of it.
pub struct Stage {
    pub inside: Namespace,
    pub running: Running,
}

impl Stage {
    /// A new namespace, traced with these flags.
    pub fn with(flags: &str) -> Self {
        Self::of(quickack_netns(), flags)
    }

    /// An existing namespace, traced with these flags.
    pub fn of(inside: Namespace, flags: &str) -> Self {
        let running = inside.enter(|| begin(flags, &[&inside])).unwrap();
        Self { inside, running }
    }

    /// A process in the namespace.
    pub fn actor(&self, name: &str) -> Actor {
        Actor::inside(&self.inside, name)
    }

    /// Waits for this number of objects of a type.
    #[track_caller]
    pub fn wait_for(&mut self, kind: &str, count: usize) {
        for _ in 0..count {
            self.running.wait_for(kind, |object| object["type"] == kind);
        }
    }

    /// Stops the trace; its output has everything up to now.
    #[track_caller]
    pub fn end(self) -> Objects {
        end(self.running)
    }
}

/// Starts a JSON trace of these namespaces and waits until it is ready.
#[track_caller]
pub fn begin(flags: &str, namespaces: &[&Namespace]) -> Running {
    begin_with(trace_of(flags, namespaces))
}

/// The trace command. It has a duration, so that it ends even if its test is killed.
pub fn trace_of(flags: &str, namespaces: &[&Namespace]) -> Probe {
    let netns: String = namespaces.iter().map(|inside| format!(" --netns {}", inside.inode())).collect();
    let duration = if flags.contains("--duration") { "" } else { "--duration 10m" };
    Probe::new(&format!("trace --format json {duration} {flags}{netns}"))
}

/// Starts a trace and waits until it is ready.
#[track_caller]
pub fn begin_with(probe: Probe) -> Running {
    ready(probe.start())
}

/// A trace that has started, once it is ready.
#[track_caller]
pub fn ready(mut running: Running) -> Running {
    running.wait_for("ready", |object| object["type"] == "ready");
    running
}

/// Stops a trace with SIGINT; its output has everything up to now.
#[track_caller]
pub fn end(running: Running) -> Objects {
    running.signal(Signal::SIGINT);
    checked(running.finish().exits(0).silently().objects())
}

/// Checks a trace's objects against the contract and for coherence. Children are named.
#[track_caller]
pub fn checked(objects: Objects) -> Objects {
    contract::check_stream(&objects);
    let objects = objects.with_named_children();
    coherence::check_selection(&objects);
    objects
}

/// A socket's identity and generation.
pub type Id<'a> = (&'a str, Option<u64>);

/// The connection that the object is about.
pub fn id(object: &Value) -> Id<'_> {
    (text(&object["socket"]), object["generation"].as_u64())
}

/// The transitions of each connection, ordered by first transition.
pub fn connections(objects: &Objects) -> Vec<Vec<&Value>> {
    let mut indices = BTreeMap::new();
    let mut connections: Vec<Vec<&Value>> = Vec::new();
    for transition in objects.of("transition") {
        let index = *indices.entry(id(transition)).or_insert(connections.len());
        if index == connections.len() {
            connections.push(Vec::new());
        }
        connections[index].push(transition);
    }
    connections
}

/// The state path of a connection, initial state included.
pub fn path<'a>(connection: &[&'a Value]) -> Vec<&'a str> {
    let first = text(&connection[0]["old"]);
    iter::once(first).chain(connection.iter().map(|transition| text(&transition["new"]))).collect()
}
