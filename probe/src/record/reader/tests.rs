//! Recordings whole, cut, damaged and foreign.

use proptest::{collection, prelude::*};

use super::*;
use crate::record::{Writer, arbitrary};

/// What a recording keeps.
#[derive(Clone, Debug, PartialEq)]
enum Kept {
    Input(Box<Input>),
    Record(Vec<u8>),
}

fn said(event: Input) -> Kept {
    Kept::Input(Box::new(event))
}

fn written(kept: &[Kept]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes).expect("memory takes everything");
    for kept in kept {
        let written = match kept {
            Kept::Input(event) => writer.event(event),
            Kept::Record(record) => writer.record(record),
        };
        written.expect("memory takes everything");
    }
    drop(writer);
    bytes
}

/// As the first version had it.
fn lines(kept: &[Kept]) -> Vec<u8> {
    let bytes = written(kept);
    let header = bytes.iter().position(|byte| *byte == b'\n').expect("a header");
    [HEADER.as_bytes(), &bytes[header..]].concat()
}

/// Everything that can be read, and the error that ended it.
fn read(bytes: &[u8]) -> (Vec<Kept>, Option<ReadError>) {
    let mut kept = Vec::new();
    let mut reader = match Reader::new(bytes) {
        Err(error) => return (kept, Some(error)),
        Ok(reader) => reader,
    };
    while let Some(entry) = reader.entry() {
        match entry {
            Ok(Entry::Input(event)) => kept.push(Kept::Input(event)),
            Ok(Entry::Record(record)) => kept.push(Kept::Record(record.to_vec())),
            Ok(Entry::Reasons(_)) => {}
            Err(error) => {
                assert!(reader.entry().is_none(), "nothing follows an error");
                return (kept, Some(error));
            }
        }
    }
    (kept, None)
}

fn message(bytes: &[u8]) -> String {
    read(bytes).1.expect("an error").to_string()
}

const HEADER: &str = r#"{"format":"probe-recording","version":1}"#;

fn events(least: usize) -> impl Strategy<Value = Vec<Kept>> {
    let events = collection::vec(arbitrary::input().prop_map(said), least..8);
    (events, arbitrary::end()).prop_map(|(events, end)| [events, vec![said(end)]].concat())
}

fn mixture() -> impl Strategy<Value = Vec<Kept>> {
    let record = collection::vec(any::<u8>(), 0..300).prop_map(Kept::Record).boxed();
    let kept = prop_oneof![3 => record, 1 => arbitrary::input().prop_map(said)];
    (collection::vec(kept, 1..12), arbitrary::end()).prop_map(|(kept, end)| [kept, vec![said(end)]].concat())
}

proptest! {
    #[test]
    fn what_is_written_is_read(kept in mixture()) {
        let (back, error) = read(&written(&kept));
        prop_assert!(error.is_none(), "{error:?}");
        prop_assert_eq!(back, kept);
    }

    #[test]
    fn lines_alone_are_read_too(kept in events(0)) {
        let (back, error) = read(&lines(&kept));
        prop_assert!(error.is_none(), "{error:?}");
        prop_assert_eq!(back, kept);
    }

    #[test]
    fn every_cut_is_noticed_and_costs_only_what_is_behind_it(
        kept in mixture(),
        at in any::<prop::sample::Index>(),
    ) {
        let bytes = written(&kept);
        // A recording without its very last newline is whole.
        let cut = &bytes[..at.index(bytes.len() - 1)];
        let (back, error) = read(cut);
        prop_assert!(back.len() < kept.len());
        prop_assert_eq!(&kept[..back.len()], &back[..]);
        match error {
            // Cut right there, it misses nothing else.
            Some(ReadError::Truncated { place: Position::Byte(place) }) => {
                let (before, error) = read(&cut[..place as usize]);
                prop_assert_eq!(before, back);
                let again = matches!(error, Some(ReadError::Truncated { place: Position::Byte(at) }) if at == place);
                prop_assert!(again, "{error:?}");
            }
            // Before the header is whole, nobody knows what follows.
            Some(ReadError::Truncated { place }) => prop_assert_eq!(place, Position::Line(1)),
            Some(ReadError::Foreign(_)) => prop_assert!(cut.is_empty()),
            other => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn every_cut_of_lines_is_placed(kept in events(1), at in any::<prop::sample::Index>()) {
        let bytes = lines(&kept);
        let cut = &bytes[..at.index(bytes.len() - 1)];
        let (back, error) = read(cut);
        let line = 1 + cut.iter().filter(|byte| **byte == b'\n').count() as u64;
        prop_assert_eq!(&kept[..back.len()], &back[..]);
        match error {
            // A line of which nothing but its end is missing is read.
            Some(ReadError::Truncated { place: Position::Line(place) }) => {
                prop_assert!(place == line || place == line + 1);
            }
            Some(ReadError::Foreign(_)) => prop_assert!(cut.is_empty()),
            other => prop_assert!(false, "{other:?}"),
        }
    }

    /// One flipped bit in a frame is enough.
    #[test]
    fn a_damaged_frame_is_refused_whole(
        records in collection::vec(collection::vec(any::<u8>(), 1..100), 1..20),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u32,
    ) {
        let kept: Vec<_> = records.into_iter().map(Kept::Record).collect();
        let mut bytes = written(&[kept, vec![said(Input::End(Default::default()))]].concat());
        let begin = bytes.iter().position(|byte| *byte == FRAME).expect("a frame");
        let end = bytes.windows(6).rposition(|found| found == b"{\"end\"").expect("an end");
        let place = begin + at.index(end - begin);
        bytes[place] ^= 1 << bit;
        let (back, error) = read(&bytes);
        prop_assert_eq!(back, []);
        let Some(ReadError::Corrupted { place, .. } | ReadError::Truncated { place }) = error else {
            panic!("{error:?}")
        };
        prop_assert!(matches!(place, Position::Byte(byte) if byte >= begin as u64));
    }

    #[test]
    fn an_entry_that_is_missing_is_noticed(kept in events(1), at in any::<prop::sample::Index>()) {
        let count = kept.len() - 1;
        let gone = at.index(count);
        for bytes in [written(&kept), lines(&kept)] {
            let all = bytes.split_inclusive(|byte| *byte == b'\n').enumerate();
            let rest: Vec<u8> =
                all.filter(|(line, _)| *line != 1 + gone).flat_map(|(_, line)| line).copied().collect();
            let (back, error) = read(&rest);
            prop_assert_eq!(back.len(), count - 1);
            let said = format!("the recording has {} events where its end says {count}", count - 1);
            prop_assert!(
                matches!(&error, Some(ReadError::Corrupted { what, .. }) if *what == said),
                "{error:?}"
            );
        }
    }

    #[test]
    fn no_bytes_can_upset_the_reader(bytes in collection::vec(any::<u8>(), 0..200)) {
        read(&bytes);
        read(&[HEADER.as_bytes(), b"\n", &bytes].concat());
        read(&[&written(&[]), &bytes[..]].concat());
        read(&[&written(&[]), &[FRAME][..], &bytes].concat());
    }
}

#[test]
fn many_records_take_more_frames_than_one() {
    let kept: Vec<_> = (0..5000_u32).map(|number| Kept::Record(number.to_le_bytes().repeat(16))).collect();
    let kept = [kept, vec![said(Input::End(Default::default()))]].concat();
    let bytes = written(&kept);
    assert_eq!(read(&bytes).0, kept);
    let (back, _) = read(&bytes[..bytes.len() / 2]);
    assert!((1500..2500).contains(&back.len()), "a cut costs no more than a frame: {}", back.len());
}

#[test]
fn a_record_that_makes_no_sense_is_placed() {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file).expect("memory takes everything");
    [[7; 5], [8; 5]].iter().for_each(|record| writer.record(record).expect("memory takes everything"));
    writer.flush().expect("memory takes everything");
    drop(writer);
    let mut reader = Reader::new(&file[..]).expect("a recording");
    reader.entry();
    assert_eq!(reader.entry().expect("two").expect("whole"), Entry::Record(&[8; 5]));
    let ReadError::Corrupted { place: Position::Byte(place), .. } = reader.refuse("nonsense") else {
        panic!()
    };
    assert_eq!(file[place as usize..], [8; 5]);
    assert!(reader.entry().is_none());
}

#[test]
fn records_of_another_layout_are_not_guessed_at() {
    let header = String::from_utf8(written(&[])).expect("text");
    let other = header.replace(&format!("\"layout\":{}", probe_ebpf::LAYOUT), "\"layout\":4711");
    assert!(message(other.as_bytes()).contains("of records in layout 4711"), "{}", message(other.as_bytes()));
    let none = message(b"{\"format\":\"probe-recording\",\"version\":2}\n");
    assert!(none.contains("in no layout that it names"), "{none}");
}

#[test]
fn a_foreign_file_is_said_to_be_one() {
    assert!(message(b"").starts_with("not a recording of probe's: it is empty"));
    assert!(message(b"\n\r\r\n\x1c\0\0\0").contains("its first line is not a recording's header"));
    assert!(message(b"\x7fELF\x02\x01").contains("its first line is not a recording's header"));
    assert!(message(b"{\"format\":\"other\",\"version\":1}\n").contains("names the format `other`"));
    assert!(message(b"{\"type\":\"ready\",\"v\":1}\n").contains("not a recording's header"));
}

#[test]
fn a_later_version_is_not_guessed_at() {
    let text = message(b"{\"format\":\"probe-recording\",\"version\":3,\"more\":true}\n");
    assert!(text.contains("version 3") && text.contains("version 2"), "{text}");
}

#[test]
fn a_corrupted_line_is_named_and_what_came_before_is_kept() {
    let bytes = format!("{HEADER}\n{{\"note\":\"one\"}}\n{{\"note\":7}}\n");
    let (events, error) = read(bytes.as_bytes());
    assert_eq!(events, [said(Input::Note("one".to_owned()))]);
    let Some(ReadError::Corrupted { place, what }) = error else { panic!("{error:?}") };
    assert_eq!(place, Position::Column { line: 3, column: 9 });
    assert_eq!(what, "invalid type: integer `7`, expected a string");
}

#[test]
fn a_wrong_word_is_named_with_its_place() {
    let report = r#"{"report":{"at":1,"cpu":0,"socket":1,"protocol":"udp"}}"#;
    let text = message(format!("{HEADER}\n{report}\n").as_bytes());
    assert!(text.contains("line 2, column 54: there is no protocol `udp`"), "{text}");
}

#[test]
fn nothing_follows_the_end() {
    let bytes = format!("{HEADER}\n{{\"end\":{{\"events\":0,\"duration_ns\":1,\"attach_ns\":null}}}}\n\n");
    let (events, error) = read(bytes.as_bytes());
    assert_eq!(events.len(), 1);
    assert!(
        matches!(error, Some(ReadError::Corrupted { place: Position::Column { line: 3, column: 1 }, .. })),
        "{error:?}"
    );
}
