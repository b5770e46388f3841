//! The objects of one stream, compared with each other: consecutive numbers, connected transitions, matching times, correct
//! totals.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::support::{Objects, number, text};

/// A socket and the generation of its connection.
type Key<'a> = (&'a str, Option<u64>);

fn key(object: &Value) -> Key<'_> {
    (text(&object["socket"]), object["generation"].as_u64())
}

/// Checks a stream that has an end and shows everything.
#[track_caller]
pub fn check_stream(objects: &Objects) {
    order(objects);
    check_selection(objects);
    for (total, kind) in TOTALS {
        assert_eq!(number(&objects.one("end")[total]), objects.of(kind).count() as u64, "{total}");
    }
    let shown = |seq: &Value| objects.of("transition").any(|transition| transition["seq"] == *seq);
    for finding in objects.of("finding") {
        assert!(finding["evidence"].as_array().into_iter().flatten().all(shown), "{finding}");
    }
    for connection in objects.of("connection") {
        assert_eq!(connection["complete"], true, "{connection}");
    }
}

/// Checks a stream that shows a selection: `seq` has gaps, and evidence may be missing.
#[track_caller]
pub fn check_selection(objects: &Objects) {
    clocks(objects);
    untimed(objects);
    transitions(objects);
    connections(objects);
    evidence(objects);
    labels(objects);
    owners(objects);
    totals(objects);
}

/// The offset between CLOCK_MONOTONIC and UTC is the same in the whole stream.
fn clocks(objects: &Objects) {
    let mut offsets: Vec<i128> = objects
        .iter()
        .filter(|object| object.get("mono_ns").is_some())
        .map(|object| unix_ns(&object["time"]) - i128::from(number(&object["mono_ns"])))
        .collect();
    offsets.dedup();
    assert!(offsets.len() <= 1, "time and mono_ns drift apart: {offsets:?}");
}

/// Objects without a time of their own, and the last one.
const UNTIMED: [&str; 7] = ["lost", "scenario", "check", "labels", "sockets", "note", "end"];

/// An object without a time of its own has that of the latest event before it; the end is not before any event.
fn untimed(objects: &Objects) {
    let mut latest = unix_ns(&objects[0]["time"]);
    for object in objects.iter() {
        let time = unix_ns(&object["time"]);
        if UNTIMED.contains(&text(&object["type"])) {
            // Later, if an event in between is not shown.
            assert!(time >= latest, "{object}");
        }
        latest = latest.max(time);
    }
}

pub fn unix_ns(time: &Value) -> i128 {
    text(time).parse::<jiff::Timestamp>().expect("RFC 3339").as_nanosecond()
}

/// `seq` counts from 1 without a gap.
fn order(objects: &Objects) {
    for (transition, expected) in objects.of("transition").zip(1..) {
        assert_eq!(number(&transition["seq"]), expected, "{transition}");
    }
}

/// Each transition starts in the state that the one before it entered, and has the time spent in it. Where a loss was
/// reported in between, either may be missing: then the time is unknown.
fn transitions(objects: &Objects) {
    let mut losses = 0;
    let mut last: HashMap<Key<'_>, (&Value, usize)> = HashMap::new();
    // A socket that is connected again was in CLOSE in between.
    let mut last_of_socket: HashMap<&str, &Value> = HashMap::new();
    for transition in objects.iter() {
        match text(&transition["type"]) {
            "transition" => {}
            kind => {
                losses += usize::from(kind == "lost");
                continue;
            }
        }
        let time_from = |before: &Value| number(&transition["mono_ns"]) - number(&before["mono_ns"]);
        let duration = transition["state_duration_ns"].as_u64();
        let closed = last_of_socket.insert(text(&transition["socket"]), transition);
        match last.insert(key(transition), (transition, losses)) {
            Some((before, losses_before)) => {
                assert!(
                    number(&before["seq"]) < number(&transition["seq"]),
                    "{before} and then {transition}"
                );
                if before["new"] != transition["old"] {
                    assert!(losses > losses_before, "{before} and then {transition}");
                    assert_eq!(duration, None, "{before} and then {transition}");
                } else {
                    let is_unknown = losses > losses_before && duration.is_none();
                    assert!(is_unknown || duration == Some(time_from(before)), "{transition}");
                }
            }
            None => assert!(duration.is_none() || duration == closed.map(time_from), "{transition}"),
        }
        let family = if text(&transition["local"]["addr"]).contains(':') { "ipv6" } else { "ipv4" };
        assert_eq!(transition["family"], family, "{transition}");
    }
}

/// A connection agrees with its transitions, if they are shown, and follows the last of them. Its key occurs once.
fn connections(objects: &Objects) {
    let mut shown: HashMap<Key<'_>, Vec<&Value>> = HashMap::new();
    let mut keys: HashSet<Key<'_>> = HashSet::new();
    let lost = objects.of("lost").count() > 0;
    for object in objects.iter() {
        match text(&object["type"]) {
            "transition" => shown.entry(key(object)).or_default().push(object),
            "connection" => {
                let is_preexisting = object["open"] == "preexisting";
                let is_complete = object["complete"] == true;
                assert!(if is_preexisting { !is_complete } else { is_complete || lost }, "{object}");
                assert!(keys.insert(key(object)) || lost, "the key is not unique: {object}");
                shown.get(&key(object)).into_iter().for_each(|transitions| connection(object, transitions));
            }
            _ => {}
        }
    }
}

fn connection(connection: &Value, transitions: &[&Value]) {
    let (first, last) = (transitions[0], transitions[transitions.len() - 1]);
    let mut path = vec![first["old"].clone()];
    path.extend(transitions.iter().map(|transition| transition["new"].clone()));
    assert_eq!(connection["path"], Value::from(path), "{connection}");
    assert_eq!(connection["close"], last["cause"], "{connection}");
    assert_eq!(connection["owner"], last["owner"], "{connection}");
    assert_eq!(connection["closed"], last["time"], "{connection}");
    assert_eq!(connection["time"], last["time"], "{connection}");
    if connection["complete"] == false {
        return;
    }

    let entered = |state: &str| transitions.iter().find(|transition| transition["new"] == state);
    let time = |transition: Option<&&Value>| transition.map_or(Value::Null, |found| found["time"].clone());
    assert_eq!(connection["opened"], first["time"], "{connection}");
    assert_eq!(connection["established"], time(entered("ESTABLISHED")), "{connection}");

    let mono = |transition: &Value| number(&transition["mono_ns"]);
    let handshake = entered("ESTABLISHED").map(|established| mono(established) - mono(first));
    assert_eq!(connection["duration_ns"].as_u64(), Some(mono(last) - mono(first)), "{connection}");
    assert_eq!(connection["handshake_ns"].as_u64(), handshake, "{connection}");

    let open = match (text(&first["old"]), text(&transitions[transitions.len().min(2) - 1]["new"])) {
        ("LISTEN", _) => "passive",
        (_, "SYN_RECV") if connection["local"] == connection["remote"] => "self",
        (_, "SYN_RECV") => "simultaneous",
        _ => "active",
    };
    assert_eq!(connection["open"], open, "{connection}");
}

/// The evidence of a finding, if shown, precedes it, and the last transition of it has the time of the finding. Two kinds
/// are exceptions: a stuck socket is found when nothing happens, and a bind(2) is no transition.
fn evidence(objects: &Objects) {
    let mut by_seq: HashMap<u64, &Value> = HashMap::new();
    for object in objects.iter() {
        match text(&object["type"]) {
            "transition" => drop(by_seq.insert(number(&object["seq"]), object)),
            "finding" => {
                let evidence = object["evidence"].as_array().expect("a list");
                let last = evidence.last().and_then(|seq| by_seq.get(&number(seq)));
                let is_late = object["kind"] == "stuck";
                let has_evidence = !by_seq.is_empty() && !is_late && object["kind"] != "bind-failed";
                assert!(!evidence.is_empty() || !has_evidence, "{object}");
                for same in ["socket", "generation", "netns", "local", "remote", "owner"] {
                    last.inspect(|last| assert_eq!(object[same], last[same], "{object}"));
                }
                for same in ["time", "mono_ns"] {
                    last.filter(|_| !is_late)
                        .inspect(|last| assert_eq!(object[same], last[same], "{object}"));
                }
            }
            _ => {}
        }
    }
}

/// Labels are given to sockets of which transitions are shown.
fn labels(objects: &Objects) {
    let shown: HashSet<Key<'_>> = objects.of("transition").map(key).collect();
    for labels in objects.of("labels") {
        for label in labels["labels"].as_array().expect("a list") {
            assert!(shown.contains(&key(label)), "{label}");
        }
    }
}

/// An owner has no process exactly if it is unknown.
fn owners(objects: &Objects) {
    let rows = objects.of("sockets").flat_map(|list| list["sockets"].as_array().into_iter().flatten());
    for object in objects.iter().chain(rows).filter(|object| object.get("owner").is_some()) {
        let owner = &object["owner"];
        for field in ["pid", "comm", "uid"] {
            assert_eq!(owner[field].is_null(), owner["known"] == "unknown", "{object}");
        }
    }
}

/// Totals of the end, and the objects that they count.
const TOTALS: [(&str, &str); 3] =
    [("transitions", "transition"), ("connections", "connection"), ("findings", "finding")];

/// The `end` object has the number of each type of object.
fn totals(objects: &Objects) {
    let end = objects.one("end");
    assert_eq!(objects.last(), Some(end), "nothing follows the end");
    for (total, kind) in TOTALS {
        // Events that the view omits are counted too, except that `--connections` counts no transitions.
        let shown = objects.of(kind).count() as u64;
        let is_not_counted = total == "transitions" && end[total].is_null();
        let counted = if is_not_counted { 0 } else { number(&end[total]) };
        assert!(counted == shown || shown == 0, "{shown} objects, and {total} in {end}");
    }
    if end["transitions"].is_null() {
        assert!(end["open"].is_null(), "only transitions tell which connections are open: {end}");
    } else if objects.of("transition").count() as u64 == number(&end["transitions"]) {
        open(objects, end);
    }
    let lost: u64 = objects.of("lost").map(|lost| number(&lost["count"])).sum();
    assert_eq!(number(&end["lost"]), lost, "lost");
    for (total, pass) in [("checks_passed", true), ("checks_failed", false)] {
        let counted = objects.of("check").filter(|check| check["pass"] == pass).count();
        assert_eq!(number(&end[total]), counted as u64, "{total}");
    }
}

/// Connections that were opened in the stream are closed in it or open at its end. The end also counts pre-existing
/// connections that had no event.
fn open(objects: &Objects, end: &Value) {
    let mut states: HashMap<&str, (&str, bool)> = HashMap::new();
    for transition in objects.of("transition") {
        let (old, new) = (text(&transition["old"]), text(&transition["new"]));
        let was_listener = states.get(text(&transition["socket"])).is_some_and(|(_, listens)| *listens);
        let listens = new == "LISTEN" || was_listener && old == "LISTEN";
        states.insert(text(&transition["socket"]), (new, listens));
    }
    let open = states.values().filter(|(state, listens)| *state != "CLOSE" && !listens).count() as u64;
    if let Some(counted) = end["open"].as_u64() {
        assert!(counted >= open, "{open} connections are open: {end}");
    }
}
