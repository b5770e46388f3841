//! `probe replay` of recordings of a real kernel.
//!
//! The fixtures were recorded with `probe run SCENARIO --backend BACKEND [--ipv6] --record FILE`. Later versions must
//! read them as they are.

use std::{fs, mem::offset_of};

use probe::{
    model::{Input, LossStage, State},
    record::{Entry, Reader, Writer},
};
use probe_ebpf::TransitionRecord;
use serde_json::Value;

use crate::{
    coherence, contract,
    support::{Objects, Outcome, Probe, fixture, number, text},
};

/// Each scenario on both backends and in both address families.
const FIXTURES: [&str; 6] = [
    "shared-port-tp_btf-ipv4",
    "shared-port-tracepoint-ipv6",
    "simultaneous-open-tp_btf-ipv4",
    "simultaneous-open-tracepoint-ipv6",
    "self-connect-tp_btf-ipv4",
    "self-connect-tracepoint-ipv6",
];

fn replay(name: &str, format: &str) -> Probe {
    Probe::new(&format!("replay --format {format}")).arg(fixture(&format!("{name}.probe")))
}

/// The replay of a recording that a test made.
pub fn replay_of(recording: impl AsRef<[u8]>) -> Outcome {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("recording");
    fs::write(&file, recording).unwrap();
    Probe::new("replay --format json").arg(file).run()
}

#[test]
fn fixtures_replay_as_json() {
    for name in FIXTURES {
        let outcome = replay(name, "json").run().exits(0).silently();
        let objects = outcome.objects();
        contract::check_stream(&objects);
        coherence::check_stream(&objects);
        insta::assert_snapshot!(format!("{name}.json"), abridged(&outcome.stdout, &objects));
    }
}

/// The output without the more than a hundred sockets that are refused as the first one is, once the port of a
/// self-connect is reserved.
fn abridged(output: &str, objects: &Objects) -> String {
    let labels = objects.one("labels")["labels"].as_array().expect("labels is an array");
    let is_repeated = |label: &&Value| {
        text(&label["label"]).starts_with("reserved: attempt ") && label["label"] != "reserved: attempt 1"
    };
    let left_out: Vec<_> =
        labels.iter().filter(is_repeated).map(|label| (&label["socket"], &label["generation"])).collect();
    let lines = output.lines().zip(objects.iter());
    let shown = lines.filter(|(_, object)| !left_out.contains(&(&object["socket"], &object["generation"])));
    shown.map(|(line, _)| format!("{line}\n")).collect()
}

#[test]
fn fixtures_replay_as_tables() {
    for name in FIXTURES {
        for width in ["80", "140"] {
            let outcome = replay(name, "table").env("COLUMNS", width).run().exits(0).silently();
            let widest = outcome.stdout.lines().map(|line| line.chars().count()).max();
            assert!(widest <= width.parse().ok(), "{widest:?} columns: {outcome}");
            insta::assert_snapshot!(format!("{name}.{width}"), outcome.stdout);
        }
    }
}

/// The replay has the same bytes as the live output, as JSON and as a table.
#[track_caller]
fn check_round_trip(arguments: &str, exit: i32) {
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
fn a_run_replays_as_it_was() {
    check_round_trip("--backend tp_btf", 0);
    check_round_trip("--backend tracepoint --ipv6", 0);
    check_round_trip("--backend tracepoint --no-btf", 0);
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_failed_run_replays_with_its_exit_code() {
    check_round_trip("--sabotage", 1);
}

/// A fixture whose entries pass through `edit`, which writes what becomes of each.
fn edited(name: &str, mut edit: impl FnMut(Entry<'_>, &mut Writer<&mut Vec<u8>>)) -> Vec<u8> {
    let recording = fs::read(fixture(&format!("{name}.probe"))).unwrap();
    let mut reader = Reader::new(&recording[..]).unwrap();
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes).unwrap();
    while let Some(entry) = reader.entry() {
        edit(entry.unwrap(), &mut writer);
    }
    drop(writer);
    bytes
}

/// Writes an entry as it is.
fn copy(entry: Entry<'_>, writer: &mut Writer<&mut Vec<u8>>) {
    match entry {
        Entry::Input(input) => writer.input(&input),
        Entry::ResetReasons(names) => writer.reset_reasons(&names),
        Entry::Record(record) => writer.record(record),
    }
    .unwrap();
}

#[test]
fn a_recording_that_is_copied_replays_as_it_was() {
    for name in FIXTURES {
        let copied = replay_of(edited(name, copy)).exits(0).silently();
        assert_eq!(copied.stdout, replay(name, "json").run().exits(0).stdout);
    }
}

#[test]
fn a_transition_that_linux_never_makes_is_found() {
    const OLD: usize = offset_of!(TransitionRecord, old);
    const NEW: usize = offset_of!(TransitionRecord, new);
    let mut is_edited = false;
    let recording = edited("shared-port-tp_btf-ipv4", |entry, writer| match entry {
        Entry::Record(record)
            if !is_edited
                && record[OLD] == State::Established as u8
                && record[NEW] == State::FinWait1 as u8 =>
        {
            is_edited = true;
            let mut record = record.to_vec();
            record[NEW] = State::Listen as u8;
            writer.record(&record).unwrap();
        }
        entry => copy(entry, writer),
    });
    assert!(is_edited);
    let outcome = replay_of(recording).exits(0).silently();
    let objects = outcome.objects();
    contract::check_stream(&objects);
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
fn lost_reports_in_a_recording_are_counted() {
    let mut is_inserted = false;
    let recording = edited("self-connect-tracepoint-ipv6", |entry, writer| {
        if matches!(entry, Entry::Record(_)) && !is_inserted {
            is_inserted = true;
            writer.input(&Input::Lost { count: 5, stage: LossStage::Ring }).unwrap();
        }
        copy(entry, writer);
    });
    let outcome = replay_of(recording).exits(0).silently();
    let objects = outcome.objects();
    contract::check_stream(&objects);
    let lost = objects.one("lost");
    assert_eq!((number(&lost["count"]), text(&lost["stage"])), (5, "ring"));
    assert_eq!(number(&objects.one("end")["lost"]), 5);
}

#[test]
fn a_recording_on_stdin_replays_like_its_file() {
    let name = FIXTURES[0];
    let file = fs::File::open(fixture(&format!("{name}.probe"))).unwrap();
    let piped = Probe::new("replay --format json -").stdin(file).run().exits(0).silently();
    assert_eq!(piped.stdout, replay(name, "json").run().exits(0).stdout);
}
