//! `probe trace` compared with the kernel's own trace of a random workload: both report the same.
//!
//! Two namespaces, with several processes of several threads each. Their sockets are identified in the
//! kernel's trace by their addresses, which are unique to these namespaces.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use probe::model::State;
use serde_json::Value;

use crate::{
    actor::Actor,
    kernel_trace::{Change, Trace},
    support::{Objects, number, text},
    tracing,
    workload::UniqueNetns,
};

/// Connections per thread.
const ROUNDS: u64 = 25;
/// Attempts with a disturbed workload.
const ATTEMPTS: usize = 5;
/// Processes in each namespace.
const PROCESSES: u64 = 2;

/// Both traces of one workload.
struct BothTraces {
    namespaces: [UniqueNetns; 2],
    recorded: Vec<Change>,
    reported: Objects,
    seed: u64,
}

impl BothTraces {
    /// Traces the workload of this seed with the kernel's trace and with probe.
    ///
    /// `None` if the kernel's trace overflowed, or if the kernel may have hidden an event from BPF.
    fn watch(flags: &str, seed: u64) -> Option<Self> {
        let namespaces = [(); 2].map(|()| UniqueNetns::new());
        let mut trace = Trace::begin();
        let running = tracing::begin(
            &format!("--no-snapshot --ring-size 8MiB {flags}"),
            &[&namespaces[0].namespace, &namespaces[1].namespace],
        );
        let workers: Vec<Actor> = (0..PROCESSES)
            .flat_map(|_| &namespaces)
            .map(|netns| Actor::inside(&netns.namespace, "worker"))
            .collect();
        for (worker, number) in workers.iter().zip(seed..) {
            worker.begins(&format!("work {number} {ROUNDS}"));
        }
        for worker in workers {
            worker.ends().unwrap();
        }
        // The last segments of a connection may still be in flight.
        trace.wait("end of every socket", |changes| {
            connections(&namespaces, changes)
                .iter()
                .all(|changes| changes.last().unwrap().new == State::Close)
        })?;
        let reported = tracing::end(running);
        let recorded = trace.end()?;
        let is_whole =
            !connections(&namespaces, &recorded).into_iter().flatten().any(Change::interrupts_first_process);
        is_whole.then_some(Self { recorded, namespaces, reported, seed })
    }

    /// Repeats until a workload is traced without losses. The kernel does not run a program for an event in
    /// an interrupt of the same program: that is counted and reported as lost.
    fn undisturbed(flags: &str) -> Self {
        for seed in (seed()..).take(ATTEMPTS) {
            let Some(traces) = Self::watch(flags, seed) else { continue };
            let lost = number(&traces.reported.one("end")["lost"]);
            if lost == 0 {
                return traces;
            }
            // The skipped events may belong to any socket on the host.
            let missing = traces.missing();
            assert!(missing <= lost, "seed {seed}: {missing} missing, {lost} reported as lost");
        }
        panic!("events were lost in each of {ATTEMPTS} workloads");
    }

    /// Compares recorded with reported items, in any order.
    fn agree<'a>(
        &self,
        recorded: impl Iterator<Item = (Path<'a>, Ends)>,
        reported: impl Iterator<Item = (Path<'a>, Ends)>,
    ) {
        let mut counts: BTreeMap<_, i32> = BTreeMap::new();
        recorded.for_each(|one| *counts.entry(one).or_default() += 1);
        reported.for_each(|one| *counts.entry(one).or_default() -= 1);
        counts.retain(|_, count| *count != 0);
        assert!(
            counts.is_empty(),
            "seed {}: surplus of recorded (negative: of reported) items: {counts:#?}",
            self.seed
        );
    }

    /// Number of objects missing from the output.
    fn missing(&self) -> u64 {
        let recorded = self.recorded();
        let transitions: usize = recorded.iter().map(Vec::len).sum();
        let connections = recorded.iter().filter(|changes| is_connection(changes)).count();
        let reported = |kind| self.reported.of(kind).count();
        let missing = match reported("transition") {
            0 => connections - reported("connection"),
            reported => transitions - reported,
        };
        missing as u64
    }

    /// The workload's connections as the kernel recorded them.
    fn recorded(&self) -> Vec<Vec<&Change>> {
        let connections = connections(&self.namespaces, &self.recorded);
        assert!(connections.len() > 100, "only {} sockets", connections.len());
        connections
    }
}

/// Each connection's changes from open to close, ordered by open. A socket belongs to the
/// workload if it ever has one of its addresses.
fn connections<'a>(namespaces: &[UniqueNetns], changes: &'a [Change]) -> Vec<Vec<&'a Change>> {
    let mut connections: Vec<Vec<&Change>> = Vec::new();
    let mut indices: HashMap<u64, usize> = HashMap::new();
    for change in changes {
        if opens(change) {
            indices.insert(change.skaddr, connections.len());
            connections.push(Vec::new());
        }
        // A socket that was open before is not part of the workload.
        if let Some(index) = indices.get(&change.skaddr) {
            connections[*index].push(change);
        }
    }
    let is_ours = |change: &&Change| namespaces.iter().any(|netns| is_at(netns, change));
    connections.retain(|changes| changes.iter().any(is_ours));
    connections
}

fn opens(change: &Change) -> bool {
    matches!(
        (change.old, change.new),
        (State::Close, State::Listen | State::SynSent) | (State::Listen, State::SynRecv)
    )
}

fn is_at(netns: &UniqueNetns, change: &Change) -> bool {
    change.addresses.iter().any(|address| netns.has(*address))
}

/// Both endpoints as last known.
type Ends = [(IpAddr, u16); 2];

fn ends_of(changes: &[&Change]) -> Ends {
    [0, 1].map(|end| {
        let known = |address: &IpAddr| !address.is_unspecified();
        let mut addresses = changes.iter().rev().map(|change| change.addresses[end]);
        let port = changes.iter().rev().map(|change| change.ports[end]).find(|port| *port != 0);
        let address = addresses.find(known).or(changes.first().map(|change| change.addresses[end]));
        (address.expect("a connection has changes"), port.unwrap_or(0))
    })
}

fn reported_ends(object: &Value) -> Ends {
    ["local", "remote"].map(|end| {
        let Value::Object(end) = &object[end] else { panic!("{object} has no {end}") };
        (text(&end["addr"]).parse().unwrap(), end["port"].as_u64().unwrap_or(0).try_into().unwrap())
    })
}

type Path<'a> = Vec<&'a str>;

fn path_of(changes: &[&Change]) -> Path<'static> {
    std::iter::once(changes[0].old).chain(changes.iter().map(|change| change.new)).map(State::name).collect()
}

fn key(recorded: &[&Change]) -> (Path<'static>, Ends) {
    (path_of(recorded), ends_of(recorded))
}

fn reported_key<'a>(reported: &[&'a Value]) -> (Path<'a>, Ends) {
    (tracing::path(reported), reported_ends(reported[reported.len() - 1]))
}

/// A new seed for each run; failures name it.
fn seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    std::env::var("PROBE_TEST_SEED").map_or(now.subsec_nanos().into(), |seed| seed.parse().unwrap())
}

/// Every transition, none missing, none extra, in order per socket.
fn transitions_agree(backend: &str) {
    let traces = BothTraces::undisturbed(&format!("--backend {backend}"));
    let recorded = traces.recorded();
    let reported = tracing::connections(&traces.reported);
    traces.agree(
        recorded.iter().map(|changes| key(changes)),
        reported.iter().map(|changes| reported_key(changes)),
    );
    for changes in &reported {
        let same = recorded.iter().filter(|recorded| key(recorded) == reported_key(changes));
        let at = number(&changes[0]["mono_ns"]);
        let same = same.min_by_key(|recorded| recorded[0].at.abs_diff(at)).expect("both agree");
        for (reported, recorded) in changes.iter().zip(same) {
            same_moment(reported, recorded);
            let mut namespaces = traces.namespaces.iter();
            assert!(namespaces.any(|netns| reported["netns"] == netns.namespace.inode()), "{reported}");
        }
    }
}

fn same_moment(reported: &Value, recorded: &Change) {
    // Both read the same clock in succession, unless an interrupt occurs in between, or the host of a virtual machine
    // suspends its CPU.
    const INTERRUPT: u64 = 1_000_000_000;
    let apart = number(&reported["mono_ns"]).abs_diff(recorded.at);
    assert!(apart < INTERRUPT, "{apart} ns apart: {reported} and {recorded:?}");
}

/// One object per connection, with its path.
fn connections_agree(backend: &str) {
    let traces = BothTraces::undisturbed(&format!("--backend {backend} --connections"));
    assert_eq!(traces.reported.of("transition").count(), 0);
    let recorded = traces.recorded();
    let reported = traces.reported.of("connection").map(|connection| {
        assert_eq!(connection["complete"], true, "{connection}");
        let path = connection["path"].as_array().unwrap().iter().map(text).collect();
        (path, reported_ends(connection))
    });
    traces.agree(
        recorded.iter().filter(|changes| is_connection(changes)).map(|changes| key(changes)),
        reported,
    );
}

fn is_connection(changes: &[&Change]) -> bool {
    changes[0].new != State::Listen
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn transitions_on_the_btf_tracepoint() {
    transitions_agree("tp_btf");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn transitions_on_the_classic_tracepoint() {
    transitions_agree("tracepoint");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn connections_on_the_btf_tracepoint() {
    connections_agree("tp_btf");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn connections_on_the_classic_tracepoint() {
    connections_agree("tracepoint");
}
