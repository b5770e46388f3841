//! What the objects of one stream say of each other: numbers that follow, states that follow, times that
//! agree, counts that add up.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::support::{Objects, number, text};

/// A socket, and which of its connections.
type Id<'a> = (&'a str, Option<u64>);

fn id(object: &Value) -> Id<'_> {
    (text(&object["socket"]), object["generation"].as_u64())
}

/// Holds a stream that has its end against itself.
#[track_caller]
pub fn hold(objects: &Objects) {
    order(objects);
    hold_selection(objects);
    for (count, kind) in TOTALS {
        assert_eq!(number(&objects.one("end")[count]), objects.of(kind).count() as u64, "{count}");
    }
    let shown = |seq: &Value| objects.of("transition").any(|transition| transition["seq"] == *seq);
    for finding in objects.of("finding") {
        assert!(finding["evidence"].as_array().into_iter().flatten().all(shown), "{finding}");
    }
    for connection in objects.of("connection") {
        assert_eq!(connection["complete"], true, "{connection}");
    }
}

/// Holds what was selected of a stream against itself: numbers have gaps where something else happened, and
/// not everything is shown that something rests on.
#[track_caller]
pub fn hold_selection(objects: &Objects) {
    clocks(objects);
    lives(objects);
    connections(objects);
    evidence(objects);
    labels(objects);
    owners(objects);
    counts(objects);
}

/// One distance between the monotonic clock and the calendar holds for the whole stream.
fn clocks(objects: &Objects) {
    let mut distances: Vec<i128> = objects
        .iter()
        .filter(|object| object.get("mono_ns").is_some())
        .map(|object| unix_ns(&object["time"]) - i128::from(number(&object["mono_ns"])))
        .collect();
    distances.dedup();
    assert!(distances.len() <= 1, "times of day and mono_ns drift apart: {distances:?}");
}

pub fn unix_ns(time: &Value) -> i128 {
    text(time).parse::<jiff::Timestamp>().expect("the contract holds").as_nanosecond()
}

/// `seq` counts from 1 without a gap.
fn order(objects: &Objects) {
    for (transition, expected) in objects.of("transition").zip(1..) {
        assert_eq!(number(&transition["seq"]), expected, "{transition}");
    }
}

/// Each transition leaves the state that the one before it entered, and says how long that was ago.
fn lives(objects: &Objects) {
    let mut last: HashMap<Id<'_>, &Value> = HashMap::new();
    // A socket that is connected again was closed meanwhile.
    let mut last_of_socket: HashMap<&str, &Value> = HashMap::new();
    for transition in objects.of("transition") {
        let time_from = |before: &Value| number(&transition["mono_ns"]) - number(&before["mono_ns"]);
        let since = transition["state_duration_ns"].as_u64();
        let closed = last_of_socket.insert(text(&transition["socket"]), transition);
        match last.insert(id(transition), transition) {
            Some(before) => {
                assert_eq!(before["new"], transition["old"], "{before} and then {transition}");
                assert!(
                    number(&before["seq"]) < number(&transition["seq"]),
                    "{before} and then {transition}"
                );
                assert_eq!(since, Some(time_from(before)), "{transition}");
            }
            None => assert!(since.is_none() || since == closed.map(time_from), "{transition}"),
        }
        let family = if text(&transition["local"]["addr"]).contains(':') { "ipv6" } else { "ipv4" };
        assert_eq!(transition["family"], family, "{transition}");
    }
}

/// A connection repeats what its transitions told, where they are shown, and comes when the last of them has.
fn connections(objects: &Objects) {
    let mut told: HashMap<Id<'_>, Vec<&Value>> = HashMap::new();
    let was_lost = objects.of("lost").count() > 0;
    for object in objects.iter() {
        match text(&object["type"]) {
            "transition" => told.entry(id(object)).or_default().push(object),
            "connection" => {
                let is_old = object["open"] == "preexisting";
                let is_whole = object["complete"] == true;
                assert!(if is_old { !is_whole } else { is_whole || was_lost }, "{object}");
                told.get(&id(object)).into_iter().for_each(|life| connection(object, life));
            }
            _ => {}
        }
    }
}

fn connection(connection: &Value, life: &[&Value]) {
    let (first, last) = (life[0], life[life.len() - 1]);
    let mut path = vec![first["old"].clone()];
    path.extend(life.iter().map(|transition| transition["new"].clone()));
    assert_eq!(connection["path"], Value::from(path), "{connection}");
    assert_eq!(connection["close"], last["cause"], "{connection}");
    assert_eq!(connection["owner"], last["owner"], "{connection}");
    assert_eq!(connection["closed"], last["time"], "{connection}");
    if connection["complete"] == false {
        return;
    }

    let entered = |state: &str| life.iter().find(|transition| transition["new"] == state);
    let time = |transition: Option<&&Value>| transition.map_or(Value::Null, |found| found["time"].clone());
    assert_eq!(connection["opened"], first["time"], "{connection}");
    assert_eq!(connection["established"], time(entered("ESTABLISHED")), "{connection}");

    let mono = |transition: &Value| number(&transition["mono_ns"]);
    let handshake = entered("ESTABLISHED").map(|established| mono(established) - mono(first));
    assert_eq!(connection["duration_ns"].as_u64(), Some(mono(last) - mono(first)), "{connection}");
    assert_eq!(connection["handshake_ns"].as_u64(), handshake, "{connection}");

    let open = match (text(&first["old"]), text(&life[life.len().min(2) - 1]["new"])) {
        ("LISTEN", _) => "passive",
        (_, "SYN_RECV") if connection["local"] == connection["remote"] => "self",
        (_, "SYN_RECV") => "simultaneous",
        _ => "active",
    };
    assert_eq!(connection["open"], open, "{connection}");
}

/// What a finding rests on, where that is shown, has been told, and its last piece is the moment of the finding;
/// but that something is stuck shows when nothing happens, and a bind(2) is no transition.
fn evidence(objects: &Objects) {
    let mut by_seq: HashMap<u64, &Value> = HashMap::new();
    for object in objects.iter() {
        match text(&object["type"]) {
            "transition" => drop(by_seq.insert(number(&object["seq"]), object)),
            "finding" => {
                let evidence = object["evidence"].as_array().expect("the contract holds");
                let last = evidence.last().and_then(|seq| by_seq.get(&number(seq)));
                let lags = object["kind"] == "stuck";
                let shows_all = !by_seq.is_empty() && !lags && object["kind"] != "bind-failed";
                assert!(!evidence.is_empty() || !shows_all, "{object}");
                for same in ["socket", "generation", "netns", "local", "remote", "owner"] {
                    last.inspect(|last| assert_eq!(object[same], last[same], "{object}"));
                }
                for same in ["time", "mono_ns"] {
                    last.filter(|_| !lags).inspect(|last| assert_eq!(object[same], last[same], "{object}"));
                }
            }
            _ => {}
        }
    }
}

/// Names are given to sockets that the stream has told of.
fn labels(objects: &Objects) {
    let told: HashSet<Id<'_>> = objects.of("transition").map(id).collect();
    for labels in objects.of("labels") {
        for label in labels["labels"].as_array().expect("the contract holds") {
            assert!(told.contains(&id(label)), "{label}");
        }
    }
}

/// Nobody is known exactly where nobody is named.
fn owners(objects: &Objects) {
    let rows = objects.of("sockets").flat_map(|list| list["sockets"].as_array().into_iter().flatten());
    for object in objects.iter().chain(rows).filter(|object| object.get("owner").is_some()) {
        let owner = &object["owner"];
        for field in ["pid", "comm", "uid"] {
            assert_eq!(owner[field].is_null(), owner["known"] == "unknown", "{object}");
        }
    }
}

/// Figures of the end, and the objects that they count.
const TOTALS: [(&str, &str); 3] =
    [("transitions", "transition"), ("connections", "connection"), ("findings", "finding")];

/// The last object counts the others.
fn counts(objects: &Objects) {
    let end = objects.one("end");
    assert_eq!(objects.last(), Some(end), "nothing follows the end");
    for (count, kind) in TOTALS {
        // What the view leaves out still happened.
        let shown = objects.of(kind).count() as u64;
        assert!(number(&end[count]) == shown || shown == 0, "{shown} objects, and {count} in {end}");
    }
    let lost: u64 = objects.of("lost").map(|lost| number(&lost["count"])).sum();
    assert_eq!(number(&end["lost"]), lost, "lost");
    for (count, pass) in [("checks_passed", true), ("checks_failed", false)] {
        let counted = objects.of("check").filter(|check| check["pass"] == pass).count();
        assert_eq!(number(&end[count]), counted as u64, "{count}");
    }
}
