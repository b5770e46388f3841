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
    let by_seq: HashMap<u64, &Value> =
        objects.of("transition").map(|one| (number(&one["seq"]), one)).collect();
    clocks(objects);
    order(objects);
    lives(objects);
    connections(objects);
    for finding in objects.of("finding") {
        evidence(finding, &by_seq);
    }
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
    for transition in objects.of("transition") {
        let since = last.insert(id(transition), transition).map(|before| {
            assert_eq!(before["new"], transition["old"], "{before} and then {transition}");
            number(&transition["mono_ns"]) - number(&before["mono_ns"])
        });
        assert_eq!(transition["since_ns"].as_u64(), since, "{transition}");
        let family = if text(&transition["local"]["addr"]).contains(':') { "ipv6" } else { "ipv4" };
        assert_eq!(transition["family"], family, "{transition}");
    }
}

/// A connection repeats what its transitions told, and comes when the last of them has.
fn connections(objects: &Objects) {
    let mut told: HashMap<Id<'_>, Vec<&Value>> = HashMap::new();
    for object in objects.iter() {
        match text(&object["type"]) {
            "transition" => told.entry(id(object)).or_default().push(object),
            "connection" => connection(object, &told[&id(object)]),
            _ => {}
        }
    }
}

fn connection(connection: &Value, life: &[&Value]) {
    let (first, last) = (life[0], life[life.len() - 1]);
    let mut path = vec![first["old"].clone()];
    path.extend(life.iter().map(|transition| transition["new"].clone()));
    assert_eq!(connection["path"], Value::from(path), "{connection}");
    assert_eq!(connection["complete"], true, "{connection}");

    let entered = |state: &str| life.iter().find(|transition| transition["new"] == state);
    let time = |transition: Option<&&Value>| transition.map_or(Value::Null, |found| found["time"].clone());
    assert_eq!(connection["opened"], first["time"], "{connection}");
    assert_eq!(connection["established"], time(entered("ESTABLISHED")), "{connection}");
    assert_eq!(connection["closed"], last["time"], "{connection}");
    assert_eq!(connection["close"], last["cause"], "{connection}");
    assert_eq!(connection["owner"], last["owner"], "{connection}");

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

/// What a finding rests on has been told, and its last piece is the moment of the finding.
fn evidence(finding: &Value, by_seq: &HashMap<u64, &Value>) {
    let evidence = finding["evidence"].as_array().expect("the contract holds");
    let pieces: Vec<&Value> = evidence.iter().map(|seq| by_seq[&number(seq)]).collect();
    let last = pieces.last().expect("a finding has evidence");
    for same in ["socket", "generation", "netns", "time", "mono_ns", "local", "remote", "owner"] {
        assert_eq!(finding[same], last[same], "{finding}");
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

/// The last object counts the others.
fn counts(objects: &Objects) {
    let end = objects.one("end");
    assert_eq!(objects.last(), Some(end), "nothing follows the end");
    for (count, kind) in
        [("transitions", "transition"), ("connections", "connection"), ("findings", "finding")]
    {
        assert_eq!(number(&end[count]), objects.of(kind).count() as u64, "{count}");
    }
    let lost: u64 = objects.of("lost").map(|lost| number(&lost["count"])).sum();
    assert_eq!(number(&end["lost"]), lost, "lost");
    for (count, pass) in [("checks_passed", true), ("checks_failed", false)] {
        let counted = objects.of("check").filter(|check| check["pass"] == pass).count();
        assert_eq!(number(&end[count]), counted as u64, "{count}");
    }
}
