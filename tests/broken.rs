//! Recordings that are truncated or damaged, and files that are not recordings: exit code 2, the offset, and everything
//! that was readable before it.

use std::{cell::RefCell, fs, io, io::Write, rc::Rc};

use probe::{
    record::{Entry, Reader, Writer},
    render::{Json, View},
    session::{self, Scope, Session, SessionError, TickMode},
    source::recording::Recording,
};

use crate::{
    replay::replay_of,
    support::{PROGRAM, Probe, fixture},
};

const FIXTURE: &str = "simultaneous-open-tracepoint-ipv6.probe";

fn recording() -> Vec<u8> {
    fs::read(fixture(FIXTURE)).unwrap()
}

fn whole_output() -> String {
    replay_of(recording()).exits(0).silently().stdout
}

/// The offsets at which frames begin, and the end of the file: each header has the length of its payload at offset 12.
fn frame_offsets(recording: &[u8]) -> Vec<usize> {
    let mut offsets = vec![8];
    while let Some(header) = recording[offsets[offsets.len() - 1]..].first_chunk::<64>() {
        let length = u32::from_le_bytes([12, 13, 14, 15].map(|at| header[at]));
        offsets.push(offsets[offsets.len() - 1] + 64 + length as usize);
    }
    assert_eq!(offsets.last(), Some(&recording.len()));
    offsets
}

#[test]
fn every_truncation_is_rejected_at_its_frame() {
    let (recording, whole) = (recording(), whole_output());
    let mut shown = 0;
    for frame in frame_offsets(&recording).windows(2) {
        let [start, end] = *frame else { unreachable!("windows of two") };
        // Before the frame, after its first byte, in its header, in its payload, before its last byte.
        for cut in [start, start + 1, start + 63, usize::midpoint(start + 64, end), end - 1] {
            let outcome = replay_of(&recording[..cut]).exits(2).saying(&[
                "/recording: the recording is cut off at byte ",
                &format!(" {start}: it has no end record"),
                &format!("everything before byte {start} was read"),
            ]);
            assert!(whole.starts_with(&outcome.stdout), "{outcome}");
            assert!(outcome.stdout.len() >= shown, "{outcome}");
            shown = outcome.stdout.len();
        }
    }
    assert!(shown > whole.len() / 2, "{shown} of {}", whole.len());
    replay_of(&recording[..5]).exits(2).saying(&["cut off at byte 0"]);
    replay_of("").exits(2).saying(&["not a recording: the file is empty"]);
}

/// Every byte is under a checksum, names and process ids included.
#[test]
fn every_flipped_bit_is_rejected_where_it_is() {
    /// Prime, so that all kinds of bytes are hit: headers, names, numbers.
    const STEP: usize = 211;
    let (recording, whole) = (recording(), whole_output());
    let offsets = frame_offsets(&recording);
    for (at, bit) in (8..recording.len()).step_by(STEP).zip([7, 0, 4].into_iter().cycle()) {
        let mut corrupted = recording.clone();
        corrupted[at] ^= 1 << bit;
        let frame = *offsets.iter().rfind(|offset| **offset <= at).unwrap();
        let place = if at < frame + 64 { frame } else { frame + 64 };
        let outcome = replay_of(&corrupted)
            .exits(2)
            .saying(&[&format!("the recording is corrupted at byte {place}: ")]);
        assert!(whole.starts_with(&outcome.stdout), "{outcome}");
    }
}

/// What a replay writes.
#[derive(Clone, Default)]
struct Output(Rc<RefCell<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The JSON of a replay, or the error where the program would exit with 2.
fn replay_in_process(recording: &[u8]) -> Result<Vec<u8>, String> {
    let output = Output::default();
    let mut session =
        Session::new(Scope::All, Box::new(Json::new(View::Transitions)), Box::new(output.clone()));
    let mut source = Recording::new(recording).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let replayed: Result<_, SessionError> =
        runtime.block_on(async { session::replay(&mut session, &mut source, TickMode::Recorded).await });
    replayed.map_err(|error| error.to_string())?;
    assert!(source.skipped().is_empty(), "{}", source.skipped());
    drop(session);
    Ok(output.0.take())
}

/// A generator of numbers that are the same in every run (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16) as usize % limit
    }
}

fn mutate(recording: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = recording.to_vec();
    let at = random.below(bytes.len());
    // Some bytes, or a whole frame.
    let offsets = frame_offsets(recording);
    let frame = random.below(offsets.len() - 1);
    let range = match random.below(2) {
        0 => at..(at + 1 + random.below(64)).min(bytes.len()),
        _ => offsets[frame]..offsets[frame + 1],
    };
    match random.below(8) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.below(256) as u8,
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(range)),
        4 => {
            let copy = bytes[range.clone()].to_vec();
            bytes.splice(range.end..range.end, copy);
        }
        5 => {
            let copy = bytes[range.clone()].to_vec();
            bytes.splice(at..at, copy);
        }
        6 => {
            let inserted: Vec<u8> = (0..=random.below(64)).map(|_| random.below(256) as u8).collect();
            bytes.splice(at..at, inserted);
        }
        _ => {
            // Two changes, far apart.
            let other = random.below(bytes.len());
            bytes.swap(at, other);
        }
    }
    bytes
}

/// A mutated recording is rejected. The only ones that replay are those that the mutation left as they were.
#[test]
fn ten_thousand_mutated_recordings_never_replay_otherwise() {
    const MUTATIONS: usize = 10_000;
    let recording = recording();
    let whole = replay_in_process(&recording).unwrap();
    assert_eq!(String::from_utf8_lossy(&whole), whole_output());
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut unchanged = 0;
    for number in 0..MUTATIONS {
        let mutated = mutate(&recording, &mut random);
        match replay_in_process(&mutated) {
            Ok(output) => {
                assert!(output == whole, "mutation {number} changes the output");
                assert!(mutated == recording, "mutation {number} is not noticed");
                unchanged += 1;
            }
            Err(error) => assert!(mutated != recording, "{error}"),
        }
    }
    assert!(unchanged < MUTATIONS / 50, "{unchanged} of the mutations change nothing");
}

#[test]
fn something_after_the_end_is_rejected() {
    let recording = recording();
    let place = format!("corrupted at byte {}: something follows the end record", recording.len());
    let more = [recording.as_slice(), &recording[8..]].concat();
    let outcome = replay_of(more).exits(2).saying(&[&place]);
    assert!(whole_output().starts_with(&outcome.stdout), "{outcome}");
}

/// Records that a newer version added are skipped, and the replay says so.
#[test]
fn records_of_unknown_kinds_are_skipped_with_a_warning() {
    let original = recording();
    let mut reader = Reader::new(&original[..]).unwrap();
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes).unwrap();
    let mut added = 0_u16;
    while let Some(entry) = reader.entry() {
        match entry.unwrap() {
            Entry::Input(input) => writer.input(&input),
            Entry::ResetReasons(names) => writer.reset_reasons(&names),
            Entry::Record(record) => {
                // A ring record of a later kind before each, as long as the others.
                let mut later = record.to_vec();
                later[..2].copy_from_slice(&(41 + added % 2).to_ne_bytes());
                added += 1;
                writer.record(&later).unwrap();
                writer.record(record)
            }
        }
        .unwrap();
    }
    drop(writer);
    let warning = format!(
        "skipped {added} records of 2 kinds that this version does not know (kinds ring 41, ring 42): made by a newer version"
    );
    let outcome = replay_of(bytes).exits(0).saying(&["/recording: ", &warning]);
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome}");
    assert_eq!(outcome.stdout, whole_output());
}

#[track_caller]
fn foreign(file: impl AsRef<[u8]>) {
    let outcome = replay_of(file)
        .exits(2)
        .saying(&["/recording: not a recording: the file does not begin as recordings do"]);
    assert_eq!(outcome.stdout, "");
}

#[test]
fn files_that_are_not_recordings_are_rejected() {
    foreign(fs::read(PROGRAM).unwrap());
    foreign([0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 101, 0, 0, 0]);
    foreign("{\"name\":\"probe\",\"version\":\"1.0.0\"}\n");
    foreign(whole_output());
    foreign(recording().split_off(1));
}

#[test]
fn a_directory_is_not_a_recording() {
    Probe::new("replay /").run().exits(2).saying(&["/: ", "Is a directory"]);
}

/// stderr has the cause, and stdout is a complete table.
#[test]
fn a_table_ends_where_the_recording_does() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("recording");
    let recording = recording();
    fs::write(&file, &recording[..recording.len() / 2]).unwrap();
    let outcome = Probe::new("replay").arg(&file).run().exits(2).saying(&["cut off at byte"]);
    assert!(outcome.stdout.contains("simultaneous-open"), "{outcome}");
    assert!(outcome.stdout.contains("SYN_SENT"), "{outcome}");
}
