//! The scenarios compared with the kernel's own trace: both report the same transitions.

use std::{collections::BTreeMap, net::IpAddr};

use probe::model::State;
use serde_json::Value;

use crate::{
    kernel_trace::{Change, Trace},
    support::{Probe, number, text},
};

/// Attempts when other activity on the host overflows the kernel's trace.
const ATTEMPTS: usize = 5;

/// The transitions that the tool reports for each connection must be those that the kernel recorded, from the
/// socket's first state change to its last, without gaps.
#[track_caller]
fn the_kernels_trace_agrees(flags: &str) {
    let (objects, recorded) = (0..ATTEMPTS)
        .find_map(|_| {
            let trace = Trace::begin();
            let run = Probe::new(&format!("run --format json {flags}")).run().exits(0).silently();
            Some((run.objects().with_named_children(), trace.end()?))
        })
        .expect("the kernel's trace does not overflow");

    let mut connections: BTreeMap<(&str, Option<u64>), Vec<&Value>> = BTreeMap::new();
    for transition in objects.of("transition") {
        let id = (text(&transition["socket"]), transition["generation"].as_u64());
        connections.entry(id).or_default().push(transition);
    }
    assert!(connections.len() > 20, "only {} sockets in three scenarios", connections.len());
    let by_address = objects.one("ready")["backend"] == "tracepoint";
    for ((socket, _), connection) in connections {
        let skaddr = by_address.then(|| socket.parse().expect("the contract holds"));
        agree(&connection, &recorded_connection(&recorded, skaddr, &connection));
    }
}

/// The kernel's record of this connection's socket. If the socket's address is unknown, it is
/// the closest in time among those with the same states and endpoints.
fn recorded_connection<'a>(
    recorded: &'a [Change],
    skaddr: Option<u64>,
    connection: &[&Value],
) -> Vec<&'a Change> {
    let first = connection[0];
    let at = number(&first["mono_ns"]);
    let begins = |change: &&Change| {
        edge(change) == edge_of(first)
            && have_the_same_endpoints(change, first)
            && skaddr.is_none_or(|skaddr| change.skaddr == skaddr)
    };
    let beginning = recorded.iter().filter(begins).min_by_key(|change| change.at.abs_diff(at));
    let beginning = beginning.unwrap_or_else(|| panic!("the kernel's trace has no {first}"));
    let opens = matches!((beginning.old, beginning.new), (State::Close, _) | (State::Listen, State::SynRecv));
    assert!(opens, "{first} cannot be a socket's first change");
    // No other socket has this address before it is closed.
    let same = |change: &&Change| change.skaddr == beginning.skaddr && change.at >= beginning.at;
    let mut recorded = recorded.iter().filter(same);
    let mut recorded_connection = Vec::new();
    while recorded_connection.last().is_none_or(|change: &&Change| change.new != State::Close) {
        recorded_connection.push(
            recorded.next().unwrap_or_else(|| panic!("the connection that starts with {first} never closes")),
        );
    }
    recorded_connection
}

fn agree(connection: &[&Value], recorded: &[&Change]) {
    let reported: Vec<_> = connection.iter().map(|transition| edge_of(transition)).collect();
    let seen: Vec<_> = recorded.iter().map(|change| edge(change)).collect();
    assert_eq!(reported, seen, "{connection:?} and {recorded:?}");
    for (transition, change) in connection.iter().zip(recorded) {
        assert!(have_the_same_endpoints(change, transition), "{transition} and {change:?}");
    }
}

/// Compares what the kernel has not cleared; the tool remembers the other values.
fn have_the_same_endpoints(change: &Change, transition: &Value) -> bool {
    let same_port = |(reported, seen): (u16, u16)| reported == seen || seen == 0;
    let same_address = |(reported, seen): (IpAddr, IpAddr)| reported == seen || seen.is_unspecified();
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
