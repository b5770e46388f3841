//! The tool against the kernel's own trace: what both say of the tool's sockets is the same.

use std::{collections::BTreeMap, net::IpAddr};

use probe::model::State;
use serde_json::Value;

use crate::{
    kernel_trace::{Change, Trace},
    support::{Probe, number, text},
};

/// How often others on the host may fill the kernel's trace.
const ATTEMPTS: usize = 5;

/// What the tool tells of one life of one socket must be what the kernel recorded of it, from the
/// socket's first state change to its last, with nothing between them left out.
#[track_caller]
fn the_kernels_trace_agrees(flags: &str) {
    let (objects, recorded) = (0..ATTEMPTS)
        .find_map(|_| {
            let trace = Trace::begin();
            let run = Probe::new(&format!("run --format json {flags}")).run().exits(0).silently();
            Some((run.objects(), trace.end()?))
        })
        .expect("the host leaves room in the kernel's trace");

    let mut lives: BTreeMap<(&str, Option<u64>), Vec<&Value>> = BTreeMap::new();
    for transition in objects.of("transition") {
        let id = (text(&transition["socket"]), transition["generation"].as_u64());
        lives.entry(id).or_default().push(transition);
    }
    assert!(lives.len() > 20, "three scenarios have more sockets than {}", lives.len());
    let by_address = objects.one("ready")["backend"] == "tracepoint";
    for ((socket, _), life) in lives {
        let skaddr = by_address.then(|| socket.parse().expect("the contract holds"));
        agree(&life, &recorded_life(&recorded, skaddr, &life));
    }
}

/// What the kernel recorded of the socket that lives this life. Where it is not named by its address, it is
/// the one whose first change was nearest in time among those that look like it.
fn recorded_life<'a>(recorded: &'a [Change], skaddr: Option<u64>, life: &[&Value]) -> Vec<&'a Change> {
    let first = life[0];
    let at = number(&first["mono_ns"]);
    let begins = |change: &&Change| {
        edge(change) == edge_of(first)
            && have_the_same_ends(change, first)
            && skaddr.is_none_or(|skaddr| change.skaddr == skaddr)
    };
    let beginning = recorded.iter().filter(begins).min_by_key(|change| change.at.abs_diff(at));
    let beginning = beginning.unwrap_or_else(|| panic!("the kernel's trace has no {first}"));
    let opens = matches!((beginning.old, beginning.new), (State::Close, _) | (State::Listen, State::SynRecv));
    assert!(opens, "no socket's first change is {first}");
    // Until it is closed, nobody else has this address.
    let same = |change: &&Change| change.skaddr == beginning.skaddr && change.at >= beginning.at;
    let mut recorded = recorded.iter().filter(same);
    let mut recorded_life = Vec::new();
    while recorded_life.last().is_none_or(|change: &&Change| change.new != State::Close) {
        recorded_life
            .push(recorded.next().unwrap_or_else(|| panic!("{first} is the first of an endless life")));
    }
    recorded_life
}

fn agree(life: &[&Value], recorded: &[&Change]) {
    let told: Vec<_> = life.iter().map(|transition| edge_of(transition)).collect();
    let seen: Vec<_> = recorded.iter().map(|change| edge(change)).collect();
    assert_eq!(told, seen, "{life:?} and {recorded:?}");
    for (transition, change) in life.iter().zip(recorded) {
        assert!(have_the_same_ends(change, transition), "{transition} and {change:?}");
    }
}

/// As far as the kernel still has them: the tool remembers what was cleared.
fn have_the_same_ends(change: &Change, transition: &Value) -> bool {
    let same_port = |(told, seen): (u16, u16)| told == seen || seen == 0;
    let same_address = |(told, seen): (IpAddr, IpAddr)| told == seen || seen.is_unspecified();
    ports_of(transition).into_iter().zip(change.ports).all(same_port)
        && addresses_of(transition).into_iter().zip(change.addresses).all(same_address)
}

fn edge(change: &Change) -> (&str, &str) {
    (change.old.name(), change.new.name())
}

fn edge_of(transition: &Value) -> (&str, &str) {
    (text(&transition["old"]), text(&transition["new"]))
}

fn ports_of(transition: &Value) -> [u16; 2] {
    ["local", "remote"].map(|end| transition[end]["port"].as_u64().unwrap_or(0).try_into().unwrap())
}

fn addresses_of(transition: &Value) -> [IpAddr; 2] {
    ["local", "remote"].map(|end| text(&transition[end]["addr"]).parse().unwrap())
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn with_the_classic_tracepoint_over_ipv4() {
    the_kernels_trace_agrees("--backend tracepoint");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn with_the_classic_tracepoint_over_ipv6() {
    the_kernels_trace_agrees("--backend tracepoint --ipv6");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn with_the_btf_tracepoint_over_ipv4() {
    the_kernels_trace_agrees("--backend tp_btf");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn with_the_btf_tracepoint_over_ipv6() {
    the_kernels_trace_agrees("--backend tp_btf --ipv6");
}
