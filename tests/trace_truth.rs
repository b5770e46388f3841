//! `probe trace` against the kernel's own trace: of a workload at random, both tell the same.
//!
//! Two namespaces, several processes with several threads in each. Their sockets are told from others in the
//! kernel's record by their addresses, which no other namespace has.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
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
    workload::Ground,
};

/// Ways in which sockets live, in each thread.
const ROUNDS: u64 = 25;
/// Processes in each namespace.
const PROCESSES: u64 = 2;

/// What both have to say of the same workload.
struct Witnesses {
    grounds: [Ground; 2],
    recorded: Vec<Change>,
    told: Objects,
    /// What the kernel says that it has not run the tool's programs for.
    misses: u64,
}

impl Witnesses {
    /// Has the kernel and the tool watch a workload of this seed.
    fn watch(flags: &str, seed: u64) -> Self {
        let grounds = [(); 2].map(|()| Ground::new());
        let mut trace = Trace::begin();
        let running = tracing::begin(
            &format!("--no-snapshot {flags}"),
            &[&grounds[0].namespace, &grounds[1].namespace],
        );
        let workers: Vec<Actor> = (0..PROCESSES)
            .flat_map(|_| &grounds)
            .map(|ground| Actor::inside(&ground.namespace, "worker"))
            .collect();
        for (worker, number) in workers.iter().zip(seed..) {
            worker.begins(&format!("work {number} {ROUNDS}"));
        }
        for worker in workers {
            worker.ends().unwrap();
        }
        // The last packets of a connection may still be under way.
        trace.wait("end of every socket", |changes| {
            lives(&grounds, changes).iter().all(|life| life.last().unwrap().new == State::Close)
        });
        let misses = misses(running.pid());
        let told = tracing::end(running);
        assert_eq!(told.of("lost").count(), 0);
        Self { recorded: trace.end(), grounds, told, misses }
    }

    /// The lives of the workload's sockets, as the kernel recorded them.
    fn recorded(&self) -> Vec<Vec<&Change>> {
        let lives = lives(&self.grounds, &self.recorded);
        assert!(lives.len() > 100, "only {} sockets", lives.len());
        lives
    }
}

/// How often the kernel has left out a program of the process's, since the same CPU was in one already.
fn misses(pid: u32) -> u64 {
    let entries = fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap();
    let texts = entries.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
    let counts = |text: String| {
        let count = text.lines().find_map(|line| line.strip_prefix("recursion_misses:"))?;
        count.trim().parse::<u64>().ok()
    };
    texts.filter_map(counts).sum()
}

/// Each socket's changes from its opening to its end, in the order of their openings. A socket belongs to the
/// workload that ever has an address of its.
fn lives<'a>(grounds: &[Ground], changes: &'a [Change]) -> Vec<Vec<&'a Change>> {
    let mut lives: Vec<Vec<&Change>> = Vec::new();
    let mut places: HashMap<u64, usize> = HashMap::new();
    for change in changes {
        if opens(change) {
            places.insert(change.skaddr, lives.len());
            lives.push(Vec::new());
        }
        // One that was open before is nobody's here.
        if let Some(place) = places.get(&change.skaddr) {
            lives[*place].push(change);
        }
    }
    let is_ours = |change: &&Change| grounds.iter().any(|ground| is_at(ground, change));
    lives.retain(|life| life.iter().any(is_ours));
    lives
}

fn opens(change: &Change) -> bool {
    matches!(
        (change.old, change.new),
        (State::Close, State::Listen | State::SynSent) | (State::Listen, State::SynRecv)
    )
}

fn is_at(ground: &Ground, change: &Change) -> bool {
    change.addresses.iter().any(|address| ground.has(*address))
}

/// Both ends as last known.
type Ends = [(IpAddr, u16); 2];

fn ends_of(life: &[&Change]) -> Ends {
    [0, 1].map(|end| {
        let known = |address: &IpAddr| !address.is_unspecified();
        let addresses = life.iter().rev().map(|change| change.addresses[end]);
        let port = life.iter().rev().map(|change| change.ports[end]).find(|port| *port != 0);
        let address = addresses.clone().find(known).or(addresses.last());
        (address.expect("a life has changes"), port.unwrap_or(0))
    })
}

fn told_ends(object: &Value) -> Ends {
    ["local", "remote"].map(|end| {
        let Value::Object(end) = &object[end] else { panic!("{object} has no {end}") };
        (text(&end["addr"]).parse().unwrap(), end["port"].as_u64().unwrap_or(0).try_into().unwrap())
    })
}

type Path<'a> = Vec<&'a str>;

fn path_of(life: &[&Change]) -> Path<'static> {
    std::iter::once(life[0].old).chain(life.iter().map(|change| change.new)).map(State::name).collect()
}

fn key(recorded: &[&Change]) -> (Path<'static>, Ends) {
    (path_of(recorded), ends_of(recorded))
}

fn told_key<'a>(told: &[&'a Value]) -> (Path<'a>, Ends) {
    (tracing::path(told), told_ends(told[told.len() - 1]))
}

/// How often each thing is there, the second kind counted against the first: nothing is left where both say the same.
fn difference<T: Ord>(recorded: impl Iterator<Item = T>, told: impl Iterator<Item = T>) -> BTreeMap<T, i32> {
    let mut counts = BTreeMap::new();
    recorded.for_each(|one| *counts.entry(one).or_default() += 1);
    told.for_each(|one| *counts.entry(one).or_default() -= 1);
    counts.retain(|_, count| *count != 0);
    counts
}

/// A seed of its own for each run, which a failure names.
fn seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    std::env::var("PROBE_TEST_SEED").map_or(now.subsec_nanos().into(), |seed| seed.parse().unwrap())
}

/// Every transition, none missing, none extra, each socket's in order.
fn transitions_agree(backend: &str) {
    let seed = seed();
    let witnesses = Witnesses::watch(&format!("--backend {backend}"), seed);
    let told = tracing::lives(&witnesses.told);
    let recorded = witnesses.recorded();
    let difference =
        difference(recorded.iter().map(|life| key(life)), told.iter().map(|life| told_key(life)));
    assert!(
        difference.is_empty(),
        "seed {seed}, {} misses: recorded more (or told more, where negative): {difference:#?}",
        witnesses.misses
    );
    for life in &told {
        let nearest = recorded.iter().filter(|recorded| key(recorded) == told_key(life));
        let at = number(&life[0]["mono_ns"]);
        let nearest =
            nearest.min_by_key(|recorded| recorded[0].at.abs_diff(at)).expect("there is no difference");
        for (told, recorded) in life.iter().zip(nearest) {
            same_moment(told, recorded);
            let ground = witnesses
                .grounds
                .iter()
                .find(|ground| u64::from(ground.namespace.inode()) == number(&told["netns"]));
            assert!(ground.is_some(), "{told}");
        }
    }
}

fn same_moment(told: &Value, recorded: &Change) {
    // Both read the same clock, one right after the other, unless an interrupt comes in between.
    const INTERRUPT: u64 = 50_000_000;
    let apart = number(&told["mono_ns"]).abs_diff(recorded.at);
    assert!(apart < INTERRUPT, "{apart} ns apart: {told} and {recorded:?}");
}

/// One object for each connection, with the path that it went.
fn connections_agree(backend: &str) {
    let seed = seed();
    let witnesses = Witnesses::watch(&format!("--backend {backend} --connections"), seed);
    assert_eq!(witnesses.told.of("transition").count(), 0);
    let recorded = witnesses.recorded();
    let connections = recorded.iter().filter(|life| life[0].new != State::Listen);
    let told = witnesses.told.of("connection").map(|connection| {
        assert_eq!(connection["complete"], true, "{connection}");
        let path = connection["path"].as_array().unwrap().iter().map(text).collect();
        (path, told_ends(connection))
    });
    let difference = difference(connections.map(|life| (path_of(life), ends_of(life))), told);
    assert!(
        difference.is_empty(),
        "seed {seed}, {} misses: recorded more (or told more, where negative): {difference:#?}",
        witnesses.misses
    );
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
