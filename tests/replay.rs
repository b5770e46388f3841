//! `probe replay`: everything downstream of the kernel again, from recordings of a real one.
//!
//! The fixtures were made by `probe run SCENARIO --backend BACKEND [--ipv6] --record FILE`. When the
//! recording's format changes they are made anew, and the snapshots with them.

use std::fs;

use serde_json::Value;

use crate::{
    coherence, contract,
    support::{Objects, Outcome, Probe, fixture, number, text},
};

/// Each scenario over both backends and both address families.
const FIXTURES: [&str; 6] = [
    "shared-port-tp_btf-ipv4",
    "shared-port-tracepoint-ipv6",
    "simultaneous-open-tp_btf-ipv4",
    "simultaneous-open-tracepoint-ipv6",
    "self-connect-tp_btf-ipv4",
    "self-connect-tracepoint-ipv6",
];

fn replay(name: &str, format: &str) -> Probe {
    Probe::new(&format!("replay --format {format}")).arg(fixture(&format!("{name}.jsonl")))
}

/// Replays what stands in a file of the test's own.
pub fn replay_of(recording: impl AsRef<[u8]>) -> Outcome {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("recording");
    fs::write(&file, recording).unwrap();
    Probe::new("replay --format json").arg(file).run()
}

#[test]
fn as_json() {
    for name in FIXTURES {
        let outcome = replay(name, "json").run().exits(0).silently();
        let objects = outcome.objects();
        contract::hold(&objects);
        coherence::hold(&objects);
        insta::assert_snapshot!(format!("{name}.json"), abridged(&outcome.stdout, &objects));
    }
}

/// The output without the lives of the hundred and more sockets that are refused like the first, once the
/// port of a self-connect is reserved.
fn abridged(output: &str, objects: &Objects) -> String {
    let labels = objects.one("labels")["labels"].as_array().expect("the contract holds");
    let cured =
        |label: &&Value| text(&label["label"]).starts_with("cured try ") && label["label"] != "cured try 1";
    let left_out: Vec<_> =
        labels.iter().filter(cured).map(|label| (&label["socket"], &label["generation"])).collect();
    let lines = output.lines().zip(objects.iter());
    let kept = lines.filter(|(_, object)| !left_out.contains(&(&object["socket"], &object["generation"])));
    kept.map(|(line, _)| format!("{line}\n")).collect()
}

#[test]
fn as_tables() {
    for name in FIXTURES {
        for width in ["80", "140"] {
            let outcome = replay(name, "table").env("COLUMNS", width).run().exits(0).silently();
            let widest = outcome.stdout.lines().map(|line| line.chars().count()).max();
            assert!(widest <= width.parse().ok(), "{widest:?} columns: {outcome}");
            insta::assert_snapshot!(format!("{name}.{width}"), outcome.stdout);
        }
    }
}

/// Live and again: the same objects, byte by byte, and the same table.
#[track_caller]
fn replays_as_it_was(arguments: &str, exit: i32) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("recording");
    for format in ["json", "table"] {
        let live = format!("run --format {format} --delay 5ms {arguments} --record");
        let live = Probe::new(&live).arg(&file).run().exits(exit).silently();
        let again = Probe::new(&format!("replay --format {format}")).arg(&file).run().exits(exit).silently();
        for (line, (live, again)) in live.stdout.lines().zip(again.stdout.lines()).enumerate() {
            assert_eq!(live, again, "line {}", line + 1);
        }
        assert_eq!(live.stdout, again.stdout);
    }
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_live_stream_replays_as_it_was() {
    replays_as_it_was("--backend tp_btf", 0);
    replays_as_it_was("--backend tracepoint --ipv6", 0);
    replays_as_it_was("--backend tracepoint --no-btf", 0);
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_failure_replays_as_one() {
    replays_as_it_was("--sabotage", 1);
}

/// A fixture in which one line reads otherwise.
fn edited(name: &str, from: &str, to: &str) -> String {
    let recording = fs::read_to_string(fixture(&format!("{name}.jsonl"))).unwrap();
    assert!(recording.contains(from), "{name} has no {from}");
    recording.replacen(from, to, 1)
}

/// Lets the end line count one event more.
fn with_one_more(recording: &str) -> String {
    let (before, end) = recording.rsplit_once("\"events\":").expect("an end line");
    let (count, after) = end.split_once(',').expect("more than a count");
    format!("{before}\"events\":{},{after}", count.parse::<u64>().unwrap() + 1)
}

#[test]
fn an_edge_that_the_kernel_never_takes_is_found() {
    const CLOSES: &str = r#""old":"ESTABLISHED","new":"FIN_WAIT1""#;
    const LISTENS: &str = r#""old":"ESTABLISHED","new":"LISTEN""#;
    let outcome = replay_of(edited("shared-port-tp_btf-ipv4", CLOSES, LISTENS)).exits(0).silently();
    let objects = outcome.objects();
    contract::hold(&objects);
    let illegal: Vec<_> =
        objects.of("finding").filter(|finding| finding["kind"] == "illegal-transition").collect();
    let [edge, gap] = illegal[..] else { panic!("{illegal:?}") };
    assert!(
        text(&edge["message"]).contains("from ESTABLISHED to LISTEN, a transition that Linux does not make"),
        "{edge}"
    );
    assert!(text(&gap["message"]).contains("left FIN_WAIT1"), "{gap}");
    for finding in [edge, gap] {
        let evidence = finding["evidence"].as_array().unwrap().last().unwrap();
        let at = objects.of("transition").find(|one| one["seq"] == *evidence).unwrap();
        assert_eq!(at["socket"], finding["socket"]);
        assert_eq!(at["mono_ns"], finding["mono_ns"]);
    }
}

#[test]
fn what_was_lost_is_counted_and_casts_doubt() {
    const CLOSES: &str = r#"{"report":"#;
    let lost = format!("{{\"lost\":{{\"count\":5,\"stage\":\"ring\"}}}}\n{CLOSES}");
    let recording = with_one_more(&edited("self-connect-tracepoint-ipv6", CLOSES, &lost));
    let outcome = replay_of(recording).exits(0).silently();
    let objects = outcome.objects();
    contract::hold(&objects);
    let told = objects.one("lost");
    assert_eq!((number(&told["count"]), text(&told["stage"])), (5, "ring"));
    assert_eq!(number(&objects.one("end")["lost"]), 5);
}
