//! Recordings that are cut off or corrupted, and files that are none: exit code 2, the place, and
//! everything that was readable before it.

use std::fs;

use crate::{
    replay::replay_of,
    support::{Outcome, PROGRAM, Probe, fixture},
};

const FIXTURE: &str = "simultaneous-open-tracepoint-ipv6.jsonl";

fn recording() -> Vec<u8> {
    fs::read(fixture(FIXTURE)).unwrap()
}

fn whole_output() -> String {
    replay_of(recording()).exits(0).silently().stdout
}

fn lines_in(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

/// The output is the beginning of the whole recording's, up to where the reading stopped.
#[track_caller]
fn shows_what_stands_before(line: usize, outcome: &Outcome, whole: &str) {
    assert!(whole.starts_with(&outcome.stdout), "{outcome}");
    let recording = recording();
    let before: Vec<_> = recording.split(|byte| *byte == b'\n').take(line - 1).collect();
    let reports = before.iter().filter(|line| line.starts_with(b"{\"report\":")).count();
    let shown = outcome.objects().of("transition").count();
    assert_eq!(shown, reports, "reports before line {line}: {outcome}");
}

#[test]
fn every_cut_is_noticed() {
    let (recording, whole) = (recording(), whole_output());
    let starts = recording.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    let ends: Vec<usize> = starts.clone().map(|start| start - 1).collect();
    for (start, end) in std::iter::once(0).chain(starts).zip(ends) {
        // Before the line, after its first byte, in its middle, before its last byte.
        for cut in [start, start + 1, usize::midpoint(start, end), end - 1] {
            let line = 1 + lines_in(&recording[..cut]);
            let outcome = replay_of(&recording[..cut]).exits(2);
            if cut == 0 {
                outcome.saying(&["not a recording", "it is empty"]);
                continue;
            }
            let place = format!("cut off at line {line}:");
            let outcome = outcome.saying(&["/recording: ", &place, "what stands before it was read"]);
            shows_what_stands_before(line, &outcome, &whole);
        }
    }
}

#[test]
fn only_the_last_line_break_may_be_missing() {
    let recording = recording();
    let outcome = replay_of(&recording[..recording.len() - 1]).exits(0).silently();
    assert_eq!(outcome.stdout, whole_output());
}

/// Whatever a byte turns into, it is either still a recording or the line and column are named.
#[test]
fn every_corruption_is_placed() {
    /// Prime, so that all kinds of places are hit: names, values, brackets, line breaks.
    const STEP: usize = 211;
    let (recording, whole) = (recording(), whole_output());
    let header = recording.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let mut refused = 0;
    for (at, flip) in (header..recording.len()).step_by(STEP).zip([0x80, 0x01, 0x10].into_iter().cycle()) {
        let mut corrupted = recording.clone();
        corrupted[at] ^= flip;
        let line = 1 + lines_in(&corrupted[..at]);
        let outcome = replay_of(&corrupted);
        if outcome.stderr.is_empty() {
            // Another number, another name.
            let code = if outcome.stdout.contains("\"pass\":false") { 1 } else { 0 };
            outcome.exits(code);
            continue;
        }
        refused += 1;
        let place = format!("corrupted at line {line}, column ");
        let outcome = outcome.exits(2).saying(&[&place]);
        let (_, rest) = outcome.stderr.split_once(&place).unwrap();
        let column: usize = rest.split(':').next().unwrap().parse().unwrap();
        let start = recording[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        assert!(column > at - start, "byte {} of the line was flipped: {outcome}", at - start + 1);
        shows_what_stands_before(line, &outcome, &whole);
    }
    assert!(refused > 20, "of all corruptions only {refused} were noticed");
}

#[test]
fn a_line_too_many_is_noticed() {
    let recording = recording();
    let place = format!("corrupted at line {}, column 1", lines_in(&recording) + 1);
    let more = [recording.as_slice(), b"{\"note\":\"more\"}\n"].concat();
    let outcome = replay_of(more).exits(2).saying(&[&place, "something follows the end"]);
    assert_eq!(outcome.objects().of("note").count(), 0);
}

#[track_caller]
fn foreign(file: impl AsRef<[u8]>, why: &str) {
    let outcome = replay_of(file).exits(2).saying(&["/recording: ", why]);
    assert_eq!(outcome.stdout, "");
}

#[test]
fn files_that_are_no_recordings_are_refused() {
    let pcap = [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 101, 0, 0, 0];
    let no_header = "not a recording of probe's: its first line is not a recording's header";
    foreign("", "not a recording of probe's: it is empty");
    foreign(fs::read(PROGRAM).unwrap(), no_header);
    foreign(pcap, no_header);
    foreign("{\"name\":\"probe\",\"version\":\"1.0.0\"}\n", no_header);
    foreign("[1, 2, 3]\n", no_header);
    foreign(whole_output(), no_header);
    foreign(recording().split_off(1), no_header);
    foreign("{\"format\":\"perf\",\"version\":1}\n", "names the format `perf`");
    foreign("{\"format\":\"probe-recording\",\"version\":3,\"packed\":true}\n", "version 3 of its format");
}

#[test]
fn a_directory_is_no_recording() {
    Probe::new("replay /").run().exits(2).saying(&["/: ", "Is a directory"]);
}

/// The cause is on stderr, and what stands on stdout is still a table.
#[test]
fn a_table_ends_where_the_recording_does() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("recording");
    let recording = recording();
    fs::write(&file, &recording[..recording.len() / 2]).unwrap();
    let outcome = Probe::new("replay").arg(&file).run().exits(2).saying(&["cut off at line"]);
    assert!(outcome.stdout.contains("simultaneous-open"), "{outcome}");
    assert!(outcome.stdout.contains("SYN_SENT"), "{outcome}");
}
