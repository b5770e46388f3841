//! `probe trace` under way, and the lives of sockets in what it says.

use std::{collections::BTreeMap, iter};

use nix::sys::signal::Signal;
use probe::net::Namespace;
use serde_json::Value;

use crate::{
    actor::Actor,
    coherence, contract,
    place::place,
    support::{Objects, Probe, Running, text},
};

/// What there is of the kernel's interfaces.
pub const BACKENDS: [&str; 2] = ["tp_btf", "tracepoint"];

/// How often what others on the host have disturbed is done again.
const TRIES: usize = 5;

/// The first of several tries that nothing was lost of. What the kernel passes over for the sake of others cannot be compared.
#[track_caller]
pub fn undisturbed<T>(try_once: impl FnMut() -> Option<T>) -> T {
    iter::repeat_with(try_once).take(TRIES).flatten().next().expect("something was lost each time")
}

/// A network namespace, and a trace of it that runs inside.
pub struct Stage {
    pub inside: Namespace,
    pub running: Running,
}

impl Stage {
    /// A new namespace, and a trace with these flags.
    pub fn with(flags: &str) -> Self {
        Self::of(place(), flags)
    }

    /// A trace of a namespace that was there before.
    pub fn of(inside: Namespace, flags: &str) -> Self {
        let running = inside.enter(|| begin(flags, &[&inside])).unwrap();
        Self { inside, running }
    }

    /// A process in there.
    pub fn actor(&self, name: &str) -> Actor {
        Actor::inside(&self.inside, name)
    }

    /// Waits for so many objects of this type.
    #[track_caller]
    pub fn wait_for(&mut self, kind: &str, count: usize) {
        for _ in 0..count {
            self.running.wait_for(kind, |object| object["type"] == kind);
        }
    }

    /// Ends the trace: all that has happened by now is in it.
    #[track_caller]
    pub fn end(self) -> Objects {
        end(self.running)
    }
}

/// Starts a trace of these namespaces' sockets, as JSON, and waits until it is ready.
#[track_caller]
pub fn begin(flags: &str, namespaces: &[&Namespace]) -> Running {
    begin_with(trace_of(flags, namespaces))
}

/// The trace before it is started. One whose test is killed ends by itself in the end.
pub fn trace_of(flags: &str, namespaces: &[&Namespace]) -> Probe {
    let netns: String = namespaces.iter().map(|inside| format!(" --netns {}", inside.inode())).collect();
    let duration = if flags.contains("--duration") { "" } else { "--duration 10m" };
    Probe::new(&format!("trace --format json {duration} {flags}{netns}"))
}

/// Starts a trace and waits until it is ready.
#[track_caller]
pub fn begin_with(probe: Probe) -> Running {
    let mut running = probe.start();
    running.wait_for("ready", |object| object["type"] == "ready");
    running
}

/// Ends a trace as Ctrl-C does: all that has happened by now is in it.
#[track_caller]
pub fn end(running: Running) -> Objects {
    running.signal(Signal::SIGINT);
    held(running.finish().exits(0).silently().objects())
}

/// Objects that a trace has shown, held against the contract and each other.
#[track_caller]
pub fn held(objects: Objects) -> Objects {
    contract::hold(&objects);
    coherence::hold_selection(&objects);
    objects
}

/// A socket's number and generation.
pub type Id<'a> = (&'a str, Option<u64>);

/// Of which life of which socket the object speaks.
pub fn id(object: &Value) -> Id<'_> {
    (text(&object["socket"]), object["generation"].as_u64())
}

/// The transitions of each life, the lives in the order of their beginnings.
pub fn lives(objects: &Objects) -> Vec<Vec<&Value>> {
    let mut places = BTreeMap::new();
    let mut lives: Vec<Vec<&Value>> = Vec::new();
    for transition in objects.of("transition") {
        let place = *places.entry(id(transition)).or_insert(lives.len());
        if place == lives.len() {
            lives.push(Vec::new());
        }
        lives[place].push(transition);
    }
    lives
}

/// The states of a life, the first one too.
pub fn path<'a>(life: &[&'a Value]) -> Vec<&'a str> {
    let first = text(&life[0]["old"]);
    iter::once(first).chain(life.iter().map(|transition| text(&transition["new"]))).collect()
}
