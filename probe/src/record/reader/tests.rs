//! Recordings that are whole, truncated, damaged, followed, joined, of other versions, and files that are none.

use probe_ebpf::{KIND_OPENED, OWNER_EXACT, OpenedRecord, RecordHeader};
use proptest::{collection, prelude::*};
use zerocopy::FromZeros as _;

use super::*;
use crate::{
    model::{Backend, Cgroup, Mono, Name, testing::host},
    record::{
        Writer, arbitrary,
        frame::{SEGMENT_TARGET, TimeRange, VERSION, push_record_header},
    },
};

/// What a recording holds.
#[derive(Clone, Debug, PartialEq)]
enum Item {
    Input(Box<Input>),
    Record(Vec<u8>),
}

fn item(input: Input) -> Item {
    Item::Input(Box::new(input))
}

fn note(text: &str) -> Item {
    item(Input::Note(text.to_owned()))
}

fn end() -> Item {
    item(Input::End(Default::default()))
}

/// The items as a recording, with a flush behind each.
fn written_in_frames(items: &[Item]) -> Vec<u8> {
    write(items, true)
}

fn written(items: &[Item]) -> Vec<u8> {
    write(items, false)
}

fn write(items: &[Item], flushes: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes).expect("a Vec accepts every write");
    for item in items {
        match item {
            Item::Input(input) => writer.input(input),
            Item::Record(record) => writer.record(record),
        }
        .expect("a Vec accepts every write");
        if flushes {
            writer.flush().expect("a Vec accepts every write");
        }
    }
    writer.flush().expect("a Vec accepts every write");
    drop(writer);
    bytes
}

/// Everything that can be read, and the error that ended it.
fn read(bytes: &[u8]) -> (Vec<Item>, Option<ReadError>) {
    match Reader::new(bytes) {
        Err(error) => (Vec::new(), Some(error)),
        Ok(mut reader) => read_on(&mut reader),
    }
}

fn read_on(reader: &mut Reader<impl Read>) -> (Vec<Item>, Option<ReadError>) {
    let mut items = Vec::new();
    while let Some(entry) = reader.entry() {
        match entry {
            Ok(Entry::Input(input)) => items.push(Item::Input(input)),
            Ok(Entry::Record(record)) => items.push(Item::Record(record.to_vec())),
            Ok(Entry::ResetReasons(_)) => {}
            Err(error) => return (items, Some(error)),
        }
    }
    (items, None)
}

fn message(bytes: &[u8]) -> String {
    read(bytes).1.expect("an error").to_string()
}

/// The bytes of each frame.
fn frames(recording: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut rest = &recording[MAGIC.len()..];
    while let Some(header) = rest.first_chunk() {
        let (header, _) = FrameHeader::of_bytes(header).expect("a header");
        let (frame, after) = rest.split_at(HEADER_LEN + header.payload_len as usize);
        frames.push(frame.to_vec());
        rest = after;
    }
    frames
}

fn header(frame: &[u8]) -> FrameHeader {
    FrameHeader::of_bytes(frame.first_chunk().expect("a header")).expect("a header").0
}

fn recording(frames: &[Vec<u8>]) -> Vec<u8> {
    [&MAGIC[..], &frames.concat()].concat()
}

/// A recording of one frame with this payload, and with a header that is changed before its checksum is made.
fn one_frame(payload: &[u8], records: u32, change: impl FnOnce(&mut FrameHeader)) -> Vec<u8> {
    let mut header = FrameHeader {
        version: VERSION,
        codec: CODEC_NONE,
        byte_order: Layout::CURRENT.order,
        layout: Layout::CURRENT.layout,
        payload_len: payload.len() as u32,
        decoded_len: payload.len() as u32,
        records,
        payload_crc: frame::crc32(payload),
        index: Index::default(),
        times: TimeRange::EMPTY,
        previous_crc: 0,
    };
    change(&mut header);
    [&MAGIC[..], &header.to_bytes().0, payload].concat()
}

/// Records of any kind and payload.
fn payload(records: &[(u8, &[u8])]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (kind, record) in records {
        push_record_header(&mut payload, *kind, record.len());
        payload.extend_from_slice(record);
    }
    payload
}

fn items() -> impl Strategy<Value = Vec<Item>> {
    let record = collection::vec(any::<u8>(), 0..300).prop_map(Item::Record).boxed();
    // A reset is recorded as the ring has it.
    let input = arbitrary::input().prop_filter("in the ring", |input| !matches!(input, Input::Reset(_)));
    let items = prop_oneof![3 => record, 1 => input.prop_map(item)];
    (collection::vec(items, 1..12), arbitrary::end())
        .prop_map(|(items, end)| [items, vec![item(end)]].concat())
}

proptest! {
    #[test]
    fn what_is_written_is_read(items in items(), flushes in any::<bool>()) {
        let (back, error) = read(&write(&items, flushes));
        prop_assert!(error.is_none(), "{error:?}");
        prop_assert_eq!(back, items);
    }

    #[test]
    fn a_truncated_recording_is_read_up_to_its_last_complete_frame(
        items in items(),
        at in any::<prop::sample::Index>(),
    ) {
        let bytes = written_in_frames(&items);
        let cut = &bytes[..at.index(bytes.len())];
        let (back, error) = read(cut);
        prop_assert!(back.len() < items.len());
        prop_assert_eq!(&items[..back.len()], &back[..]);
        match error {
            Some(ReadError::Truncated { offset }) if cut.len() >= MAGIC.len() => {
                // Where the frame after the last complete one begins.
                let complete: usize = frames(&bytes)[..back.len()].iter().map(Vec::len).sum();
                prop_assert_eq!(offset as usize, MAGIC.len() + complete);
            }
            Some(ReadError::Truncated { offset: 0 }) => prop_assert!(!cut.is_empty()),
            Some(ReadError::Foreign(_)) => prop_assert!(cut.is_empty()),
            other => prop_assert!(false, "{other:?}"),
        }
    }

    /// One flipped bit is enough, wherever it is: in a name, in a header, in a length.
    #[test]
    fn a_flipped_bit_is_noticed(items in items(), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let mut bytes = written(&items);
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        let (back, error) = read(&bytes);
        prop_assert_eq!(back, []);
        match error {
            Some(ReadError::Foreign(_)) => prop_assert!(at < MAGIC.len()),
            Some(ReadError::Corrupted { offset, .. }) => prop_assert!(offset <= at as u64),
            other => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn frames_that_are_missing_repeated_or_out_of_order_are_noticed(
        items in items(),
        at in any::<prop::sample::Index>(),
        operation in 0..3_usize,
    ) {
        let mut all = frames(&written_in_frames(&items));
        let count = all.len();
        let at = at.index(count - 1);
        match operation {
            0 => drop(all.remove(at)),
            1 => all.insert(at, all[at].clone()),
            _ => all.swap(at, at + 1),
        }
        let (back, error) = read(&recording(&all));
        prop_assert!(back.len() <= count);
        let Some(ReadError::Corrupted { what, .. }) = error else { panic!("{error:?}") };
        prop_assert!(what.ends_with("frames are missing, repeated or out of order"), "{what}");
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in collection::vec(any::<u8>(), 0..200)) {
        read(&bytes);
        read(&[&MAGIC[..], &bytes].concat());
        read(&one_frame(&bytes, 1, |_| {}));
        read(&[&written(&[]), &FRAME_MAGIC[..], &bytes].concat());
        let _ = Reader::join(&bytes[..], 0);
    }

    #[test]
    fn a_recording_can_be_followed_while_it_is_written(items in items(), step in 1..400_usize) {
        let bytes = written_in_frames(&items);
        let mut reader = Reader::new(Growing { bytes: &bytes, available: MAGIC.len(), at: 0 })
            .expect("a recording");
        let mut back = Vec::new();
        loop {
            let (more, error) = read_on(&mut reader);
            back.extend(more);
            match error {
                Some(ReadError::Truncated { .. }) => reader.input.available += step,
                Some(error) => panic!("{error}"),
                None => break,
            }
        }
        prop_assert_eq!(back, items);
    }
}

/// A file to which somebody writes.
struct Growing<'a> {
    bytes: &'a [u8],
    available: usize,
    at: usize,
}

impl Read for Growing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut rest = &self.bytes[self.at..self.available.min(self.bytes.len())];
        let read = rest.read(buffer)?;
        self.at += read;
        Ok(read)
    }
}

/// A recording of some segments, in which each record names the one cgroup and has its number as its time.
fn segments() -> (Vec<u8>, usize) {
    let records = 3 * SEGMENT_TARGET / 128;
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes).expect("a Vec accepts every write");
    let ready =
        Input::Ready { host: host(), backend: Backend::Tracepoint, unavailable: Vec::new(), existing: None };
    writer.input(&ready).expect("a Vec accepts every write");
    writer.reset_reasons(&[(3, "TCP_ABORT".to_owned())].into()).expect("a Vec accepts every write");
    let cgroup = Cgroup { id: 77, path: Some(Name::from_bytes(b"/a")) };
    writer.input(&Input::Cgroup(cgroup)).expect("a Vec accepts every write");
    for number in 0..records {
        writer.record(&opened(number as u64)).expect("a Vec accepts every write");
    }
    writer.input(&Input::End(Default::default())).expect("a Vec accepts every write");
    drop(writer);
    (bytes, records)
}

fn opened(number: u64) -> [u8; size_of::<OpenedRecord>()] {
    let mut record = OpenedRecord::new_zeroed();
    record.transition.header = RecordHeader { kind: KIND_OPENED, cpu: 0, lost: 0, mono_ns: number };
    (record.known, record.owner_cgroup) = (OWNER_EXACT, 77);
    zerocopy::transmute!(record)
}

#[test]
fn a_whole_reading_has_the_context_once() {
    let (bytes, records) = segments();
    let (items, error) = read(&bytes);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(items.len(), 1 + 1 + records + 1);
    let last = header(frames(&bytes).last().expect("there are some"));
    assert!(last.index.segment >= 3, "{last:?}");
}

#[test]
fn every_segment_can_be_read_without_what_is_before_it() {
    let (bytes, records) = segments();
    let mut offset = MAGIC.len();
    let mut joined = 0;
    for frame in frames(&bytes) {
        let header = header(&frame);
        // From within the frame before, too.
        for back in [0, 1, 70] {
            if header.index.frame != 0 || header.index.segment == 0 {
                continue;
            }
            let from = offset - back;
            let mut reader = Reader::join(&bytes[from..], from as u64).expect("a segment");
            assert_eq!(reader.offset, offset as u64);
            let mut reasons = 0;
            let mut items = Vec::new();
            while let Some(entry) = reader.entry() {
                match entry.expect("whole") {
                    Entry::ResetReasons(_) => reasons += 1,
                    Entry::Input(input) => items.push(Item::Input(input)),
                    Entry::Record(record) => items.push(Item::Record(record.to_vec())),
                }
            }
            assert_eq!(reasons, 1);
            assert!(
                matches!(&items[0], Item::Input(ready) if matches!(**ready, Input::Ready { backend: Backend::Tracepoint, .. })),
            );
            assert!(matches!(&items[1], Item::Input(cgroup) if matches!(**cgroup, Input::Cgroup(_))));
            let first = header.times.first;
            assert_eq!(items.len(), 2 + (records - first as usize) + 1);
            assert_eq!(items[2], Item::Record(opened(first).to_vec()));
            assert_eq!(items.last(), Some(&end()));
            joined += 1;
        }
        offset += frame.len();
    }
    assert_eq!(joined, 9);
    assert!(matches!(Reader::join(&bytes[offset - 50..], 0), Err(ReadError::Truncated { .. })));
}

#[test]
fn headers_have_the_time_range_of_their_frames() {
    let mut next = 0;
    let (bytes, records) = segments();
    for frame in frames(&bytes) {
        let times = header(&frame).times;
        assert_eq!(times.first, next);
        next = times.last + 1;
    }
    assert_eq!(next, records as u64);
    let frame = &frames(&written(&[note("no time"), end()]))[0];
    assert_eq!(header(frame).times, TimeRange::EMPTY);
    let frame = &frames(&written(&[item(Input::Tick(Mono(9))), end()]))[0];
    assert_eq!(header(frame).times, TimeRange { first: 9, last: 9 });
}

#[test]
fn a_frame_of_another_recording_is_noticed() {
    let [mut a, b] = ["a", "b"].map(|text| frames(&written_in_frames(&[note(text), note("same"), end()])));
    a.truncate(1);
    a.extend_from_slice(&b[1..]);
    let text = message(&recording(&a));
    assert!(text.contains("belongs to another recording"), "{text}");
}

#[test]
fn a_recording_without_its_start_is_noticed() {
    let all = frames(&written_in_frames(&[note("one"), note("two"), end()]));
    let text = message(&recording(&all[1..]));
    assert!(text.contains("byte 8: frame 1 of segment 0 stands at the start"), "{text}");
}

#[test]
fn a_truncated_frame_costs_no_more_than_itself() {
    let items: Vec<_> = (0..5000_u32).map(|number| Item::Record(number.to_le_bytes().repeat(16))).collect();
    let items = [items, vec![end()]].concat();
    let bytes = written(&items);
    assert_eq!(read(&bytes).0, items);
    let (back, _) = read(&bytes[..bytes.len() / 2]);
    assert!((1500..2500).contains(&back.len()), "{}", back.len());
}

#[test]
fn unknown_kinds_are_skipped_and_counted() {
    let end = payload::encode(&Input::End(Default::default()), 4).expect("serde").expect("a record").1;
    let records: [(u8, &[u8]); 6] = [
        (41, b"?"),
        (kind::NOTE, br#"{"text":"known"}"#),
        (42, b""),
        (41, b"{}"),
        (99 | REPEATED, b"context of a newer version"),
        (kind::END, &end),
    ];
    let bytes = one_frame(&payload(&records), 6, |_| {});
    let mut reader = Reader::new(&bytes[..]).expect("a recording");
    let (items, error) = read_on(&mut reader);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(items[..1], [note("known")]);
    assert_eq!(items.len(), 2);
    assert_eq!(
        reader.skipped().to_string(),
        "skipped 3 records of 2 kinds that this version does not know (kinds 41, 42): made by a newer version"
    );
    reader.skip(8);
    assert!(reader.skipped().to_string().contains("4 records of 3 kinds"), "{}", reader.skipped());
    assert!(reader.skipped().to_string().contains("(kinds 41, 42, ring 8)"), "{}", reader.skipped());
    let mut one = Skipped::default();
    assert!(one.is_empty());
    one.add(SkippedKind::Record(7));
    assert!(one.to_string().starts_with("skipped 1 record of 1 kind that"), "{one}");
}

#[test]
fn unknown_fields_are_ignored_and_missing_fields_are_unknown() {
    let ready = br#"{"kernel":"6.12","arch":"x86_64","hostname":"h","realtime_offset_ns":"5","at":6,"backend":"tp_btf","new":{"a":[1]}}"#;
    let wait = br#"{"at":1,"socket":2,"generation":3,"local":"127.0.0.1:1","remote":"127.0.0.1:2"}"#;
    let filter = br#"{"pids":[4],"new":1}"#;
    let records: [(u8, &[u8]); 3] = [(kind::READY, ready), (kind::TIME_WAIT, wait), (kind::FILTER, filter)];
    let (items, _) = read(&one_frame(&payload(&records), 3, |_| {}));
    let [Item::Input(ready), Item::Input(wait), Item::Input(filter)] = &items[..] else {
        panic!("{items:?}")
    };
    let Input::Ready { host, unavailable, existing, .. } = &**ready else { panic!("{ready:?}") };
    assert_eq!((host.netns, &host.ephemeral, existing), (None, &None, &None));
    assert!(unavailable.is_empty());
    let Input::TimeWaitEntry(entry) = &**wait else { panic!("{wait:?}") };
    assert_eq!((entry.identity.netns, entry.state, entry.until), (None, None, None));
    assert_eq!(entry.owner, crate::model::Owner::UNKNOWN);
    let Input::Filter(filter) = &**filter else { panic!("{filter:?}") };
    assert_eq!(filter.pids, [4]);
    assert!(filter.ports.is_empty());
}

#[test]
fn other_versions_codecs_and_layouts_are_named() {
    let of = |change: fn(&mut FrameHeader)| message(&one_frame(&payload(&[(kind::NOTE, b"{}")]), 1, change));
    let text = of(|header| header.version = 2);
    assert!(
        text.contains("byte 8 is in version 2 of the recording format") && text.contains("version 1"),
        "{text}"
    );
    let text = of(|header| header.codec = 3);
    assert!(text.contains("byte 8 is compressed with codec 3"), "{text}");
    let text = of(|header| header.layout = 4711);
    assert!(
        text.contains("endian layout 4711 ring records")
            && text.contains(&format!("layout {}:", probe_ebpf::LAYOUT)),
        "{text}"
    );
    let text = of(|header| header.byte_order = frame::ByteOrder::Unknown(9));
    assert!(text.contains("byte order 9"), "{text}");
}

/// A reader allocates for no more than a frame may have.
#[test]
fn impossible_lengths_are_rejected() {
    let of = |change: fn(&mut FrameHeader)| message(&one_frame(&payload(&[(41, b"{}")]), 1, change));
    for change in [
        (|header| header.payload_len = u32::MAX) as fn(&mut FrameHeader),
        |header| (header.payload_len, header.decoded_len) = (MAX_PAYLOAD as u32 + 1, MAX_PAYLOAD as u32 + 1),
        |header| header.decoded_len += 1,
        |header| header.records = 0,
    ] {
        let text = of(change);
        assert!(text.contains("corrupted at byte 8: the header of this frame has a length"), "{text}");
    }
    let text = of(|header| header.records = 2);
    assert!(text.contains("this frame has 1 records where its header says 2"), "{text}");
    let mut long = payload(&[(41, b"{}")]);
    long[1] += 1;
    let text = message(&one_frame(&long, 1, |_| {}));
    assert!(text.contains("byte 72: the record is longer than its frame"), "{text}");
    let short = message(&one_frame(&[kind::NOTE, 0], 1, |_| {}));
    assert!(short.contains("byte 72: the frame ends within a record"), "{short}");
}

#[test]
fn a_record_that_cannot_be_decoded_is_named() {
    let records: [(u8, &[u8]); 2] = [(kind::NOTE, br#"{"text":"one"}"#), (kind::NOTE, br#"{"text":7}"#)];
    let (items, error) = read(&one_frame(&payload(&records), 2, |_| {}));
    assert_eq!(items, [note("one")]);
    let Some(ReadError::Undecodable { offset, what }) = error else { panic!("{error:?}") };
    assert_eq!(offset, 8 + 64 + (4 + 14) + 4);
    assert_eq!(what, "kind 15: invalid type: integer `7`, expected a string at line 1 column 9");

    let bytes = written(&[Item::Record(vec![7; 5]), Item::Record(vec![8; 5])]);
    let mut reader = Reader::new(&bytes[..]).expect("a recording");
    reader.entry();
    assert_eq!(reader.entry().expect("two").expect("whole"), Entry::Record(&[8; 5]));
    let ReadError::Undecodable { offset, .. } = reader.reject("nonsense") else { panic!() };
    assert_eq!(bytes[offset as usize..], [8; 5]);
    assert!(reader.entry().is_none());
}

#[test]
fn a_variant_that_is_unknown_is_named() {
    let lost: [(u8, &[u8]); 1] = [(kind::LOST, br#"{"count":1,"stage":"attic"}"#)];
    let text = message(&one_frame(&payload(&lost), 1, |_| {}));
    assert!(
        text.contains("there is no stage `attic`") && text.contains("replay the recording with the probe"),
        "{text}"
    );
}

#[test]
fn nothing_follows_the_end() {
    let bytes = written(&[note("one"), end()]);
    for more in [&b"\0"[..], &[0; 64], &bytes, &bytes[8..]] {
        let (items, error) = read(&[&bytes, more].concat());
        assert_eq!(items.len(), 2);
        let Some(ReadError::Corrupted { offset, what }) = error else { panic!("{error:?}") };
        assert_eq!((offset, &*what), (bytes.len() as u64, "something follows the end record"));
    }
    let end = payload::encode(&Input::End(Default::default()), 0).expect("serde").expect("a record").1;
    let text = message(&one_frame(&payload(&[(kind::END, &end), (kind::NOTE, b"{}")]), 2, |_| {}));
    assert!(text.contains("something follows the end record"), "{text}");
}

#[test]
fn the_end_counts_the_records() {
    let end = payload::encode(&Input::End(Default::default()), 5).expect("serde").expect("a record").1;
    let records: [(u8, &[u8]); 2] = [(kind::NOTE, br#"{"text":"one"}"#), (kind::END, &end)];
    let text = message(&one_frame(&payload(&records), 2, |_| {}));
    assert!(text.contains("the recording has 1 records where its end record says 5"), "{text}");
}

#[test]
fn a_file_that_is_not_a_recording_is_rejected() {
    assert!(message(b"").starts_with("not a recording: the file is empty; `probe trace --record FILE`"));
    for other in [&b"\x7fELF\x02\x01"[..], b"\n", b"{\"type\":\"ready\",\"v\":1}\n", b"\x93PNG\r\n"] {
        let text = message(other);
        assert!(text.starts_with("not a recording: the file does not begin as recordings do"), "{text}");
    }
    assert!(matches!(read(&MAGIC[..3]).1, Some(ReadError::Truncated { offset: 0 })));
}
