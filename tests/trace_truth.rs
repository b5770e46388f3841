//! `probe trace` against the kernel's own trace: of a workload at random, both tell the same.
//!
//! Two namespaces, several processes with several threads in each. Their sockets are told from others in the
//! kernel's record by their addresses, which no other namespace has.

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
    workload::Ground,
};

/// Ways in which sockets live, in each thread.
const ROUNDS: u64 = 25;
/// How often a workload may be disturbed.
const ATTEMPTS: usize = 5;
/// Processes in each namespace.
const PROCESSES: u64 = 2;

/// What both have to say of the same workload.
struct Witnesses {
    grounds: [Ground; 2],
    recorded: Vec<Change>,
    told: Objects,
    seed: u64,
}

impl Witnesses {
    /// Has the kernel and the tool watch a workload of this seed.
    ///
    /// `None` where others on the host did more than the kernel's trace holds, or the kernel may have kept something back.
    fn watch(flags: &str, seed: u64) -> Option<Self> {
        let grounds = [(); 2].map(|()| Ground::new());
        let mut trace = Trace::begin();
        let running = tracing::begin(
            &format!("--no-snapshot --ring-size 8MiB {flags}"),
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
        let told = tracing::end(running);
        let recorded = trace.end()?;
        let is_whole = !lives(&grounds, &recorded).into_iter().flatten().any(Change::may_be_kept_back);
        is_whole.then_some(Self { recorded, grounds, told, seed })
    }

    /// Watches until a workload comes that nothing was lost of. The kernel does not run a program for what
    /// happens in an interrupt of the same program: that is counted, and told as lost.
    fn undisturbed(flags: &str) -> Self {
        for seed in (seed()..).take(ATTEMPTS) {
            let Some(witnesses) = Self::watch(flags, seed) else { continue };
            let lost = number(&witnesses.told.one("end")["lost"]);
            if lost == 0 {
                return witnesses;
            }
            // What the kernel has passed over may have been anybody's.
            let missing = witnesses.missing();
            assert!(missing <= lost, "seed {seed}: {missing} are missing, {lost} were lost");
        }
        panic!("something was lost of each of {ATTEMPTS} workloads");
    }

    /// Holds what was recorded and what was told against each other, in whatever order.
    fn agree<'a>(
        &self,
        recorded: impl Iterator<Item = (Path<'a>, Ends)>,
        told: impl Iterator<Item = (Path<'a>, Ends)>,
    ) {
        let mut counts: BTreeMap<_, i32> = BTreeMap::new();
        recorded.for_each(|one| *counts.entry(one).or_default() += 1);
        told.for_each(|one| *counts.entry(one).or_default() -= 1);
        counts.retain(|_, count| *count != 0);
        assert!(
            counts.is_empty(),
            "seed {}: more often recorded (or told, where negative): {counts:#?}",
            self.seed
        );
    }

    /// How many of the objects are missing that there would be if nothing were lost.
    fn missing(&self) -> u64 {
        let recorded = self.recorded();
        let transitions: usize = recorded.iter().map(Vec::len).sum();
        let connections = recorded.iter().filter(|life| is_connection(life)).count();
        let told = |kind| self.told.of(kind).count();
        let missing = match told("transition") {
            0 => connections - told("connection"),
            told => transitions - told,
        };
        missing as u64
    }

    /// The lives of the workload's sockets, as the kernel recorded them.
    fn recorded(&self) -> Vec<Vec<&Change>> {
        let lives = lives(&self.grounds, &self.recorded);
        assert!(lives.len() > 100, "only {} sockets", lives.len());
        lives
    }
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
        let mut addresses = life.iter().rev().map(|change| change.addresses[end]);
        let port = life.iter().rev().map(|change| change.ports[end]).find(|port| *port != 0);
        let address = addresses.find(known).or(life.first().map(|change| change.addresses[end]));
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

/// A seed of its own for each run, which a failure names.
fn seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    std::env::var("PROBE_TEST_SEED").map_or(now.subsec_nanos().into(), |seed| seed.parse().unwrap())
}

/// Every transition, none missing, none extra, each socket's in order.
fn transitions_agree(backend: &str) {
    let witnesses = Witnesses::undisturbed(&format!("--backend {backend}"));
    let recorded = witnesses.recorded();
    let told = tracing::lives(&witnesses.told);
    witnesses.agree(recorded.iter().map(|life| key(life)), told.iter().map(|life| told_key(life)));
    for life in &told {
        let same = recorded.iter().filter(|recorded| key(recorded) == told_key(life));
        let at = number(&life[0]["mono_ns"]);
        let same = same.min_by_key(|recorded| recorded[0].at.abs_diff(at)).expect("both agree");
        for (told, recorded) in life.iter().zip(same) {
            same_moment(told, recorded);
            let mut grounds = witnesses.grounds.iter();
            assert!(grounds.any(|ground| told["netns"] == ground.namespace.inode()), "{told}");
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
    let witnesses = Witnesses::undisturbed(&format!("--backend {backend} --connections"));
    assert_eq!(witnesses.told.of("transition").count(), 0);
    let recorded = witnesses.recorded();
    let told = witnesses.told.of("connection").map(|connection| {
        assert_eq!(connection["complete"], true, "{connection}");
        let path = connection["path"].as_array().unwrap().iter().map(text).collect();
        (path, told_ends(connection))
    });
    witnesses.agree(recorded.iter().filter(|life| is_connection(life)).map(|life| key(life)), told);
}

fn is_connection(life: &[&Change]) -> bool {
    life[0].new != State::Listen
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
