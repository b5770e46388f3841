//! Writing a recording.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    mem,
};

use foldhash::{HashMap, HashMapExt as _, HashSet, HashSetExt as _};

use super::{
    frame::{
        self, ByteOrder, CODEC_NONE, FRAME_TARGET, FrameHeader, HEADER_LEN, Index, MAGIC, MAX_RECORD,
        RECORD_HEADER_LEN, REPEATED, SEGMENT_TARGET, TimeRange, kind,
    },
    payload, peek, ring_record,
};
use crate::model::{Backend, BindFailure, DiagEntry, Input, Mono};

/// How many bytes of JSON an [`kind::EXISTING`] record has at most before the next socket starts another record.
const EXISTING_TARGET: usize = 64 << 10;

/// How many cgroup paths are kept for repetition. With more, all are dropped: a host that makes a cgroup for every job
/// has no end of them, and the session records a path again after as many.
const MAX_CGROUPS: usize = 1 << 16;

/// Writes a recording, record by record, as they come.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    /// The frame that is being filled: [`HEADER_LEN`] bytes of room, then the payload. Empty before the first record.
    frame: Vec<u8>,
    records_in_frame: u32,
    times: TimeRange,
    index: Index,
    /// The bytes of the payloads that the current segment has in the file.
    segment_len: usize,
    /// The CRC of the last header.
    previous_crc: u32,
    /// Records so far, repeated context left out.
    records: u64,
    context: Context,
}

/// What each segment begins with, as encoded records that are marked as repeated.
#[derive(Debug)]
struct Context {
    backend: Backend,
    ready: Vec<u8>,
    reset_reasons: Vec<u8>,
    filter: Vec<u8>,
    /// The paths by id. A segment repeats the path of a cgroup before the first record that names it.
    cgroups: HashMap<u64, Vec<u8>>,
    /// The cgroups whose paths the current segment has.
    in_segment: HashSet<u64>,
    /// The cgroup that was named last: most often it is named again.
    last: Option<u64>,
}

impl<W: Write> Writer<W> {
    /// Starts a recording.
    ///
    /// # Errors
    /// Those of `out`, here and below.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(&MAGIC)?;
        Ok(Self {
            out,
            frame: Vec::with_capacity(HEADER_LEN + 2 * FRAME_TARGET),
            records_in_frame: 0,
            times: TimeRange::EMPTY,
            index: Index::default(),
            segment_len: 0,
            previous_crc: 0,
            records: 0,
            context: Context {
                backend: Backend::TpBtf,
                ready: Vec::new(),
                reset_reasons: Vec::new(),
                filter: Vec::new(),
                cgroups: HashMap::new(),
                in_segment: HashSet::new(),
                last: None,
            },
        })
    }

    /// Records a record of the ring buffer as it is.
    pub fn record(&mut self, record: &[u8]) -> io::Result<()> {
        // First, since a new segment has no cgroups yet.
        self.open_frame();
        if let Some(header) = peek::header(record) {
            self.times.extend(header.mono_ns);
            if let Some(id) = peek::cgroup(&header, record)
                && self.context.last != Some(id)
            {
                self.repeat_cgroup(id);
            }
        }
        self.push(kind::RING, record)
    }

    /// Records an input. One that the ring buffer has as a record is encoded as one, with what a record holds of it.
    /// [`Input::End`] completes the recording and flushes it.
    ///
    /// A long [`Input::Existing`] is recorded in parts, each of which is an input of its own when it is read.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] too, where the input takes more than a record can hold (1 MiB).
    pub fn input(&mut self, input: &Input) -> io::Result<()> {
        match input {
            Input::Existing { at, sockets } => return self.existing(*at, sockets),
            Input::BindFailed(failure) => return self.bind_failed(failure),
            _ => {}
        }
        let Some((kind, json)) = payload::encode(input, self.records)? else {
            let record = ring_record::encode(input, self.context.backend);
            return record.map_or(Ok(()), |record| self.record(&record));
        };
        if let Some(time) = time_of(input) {
            self.times.extend(time.0);
        }
        self.open_frame();
        self.remember(input, kind, &json)?;
        self.push(kind, &json)?;
        if matches!(input, Input::End(_)) { self.flush() } else { Ok(()) }
    }

    /// Records the names that the running kernel has for reset reasons; ring records have its numbers.
    pub fn reset_reasons(&mut self, reasons: &BTreeMap<u32, String>) -> io::Result<()> {
        let json = payload::encode_reset_reasons(reasons)?;
        self.context.reset_reasons = repeated(kind::RESET_REASONS, &json)?;
        self.push(kind::RESET_REASONS, &json)
    }

    /// Writes the buffered records as a frame: they outlive the process from then on, however it ends.
    pub fn flush(&mut self) -> io::Result<()> {
        self.close_frame()?;
        self.out.flush()
    }

    /// Records the sockets in as many parts as their length takes. None is one part, too.
    fn existing(&mut self, at: Mono, sockets: &[DiagEntry]) -> io::Result<()> {
        let mut part = payload::ExistingPart::new(at);
        for socket in sockets {
            part.push(socket)?;
            if part.len() >= EXISTING_TARGET {
                self.existing_part(at, mem::replace(&mut part, payload::ExistingPart::new(at)))?;
            }
        }
        if sockets.is_empty() || !part.is_empty() { self.existing_part(at, part) } else { Ok(()) }
    }

    fn existing_part(&mut self, at: Mono, part: payload::ExistingPart) -> io::Result<()> {
        self.times.extend(at.0);
        self.push(kind::EXISTING, &part.finish())
    }

    /// Records a failed bind. Holders beyond what fits into a record, whose cgroup paths would have to be near 4 KiB,
    /// are left out.
    fn bind_failed(&mut self, failure: &BindFailure) -> io::Result<()> {
        self.times.extend(failure.at.0);
        self.open_frame();
        if let Some(cgroup) = &failure.cgroup {
            self.repeat_cgroup(cgroup.id);
        }
        let mut json = payload::encode_bind_failure(failure)?;
        let mut shortened = None;
        while json.len() > MAX_RECORD {
            let shortened = shortened.get_or_insert_with(|| failure.clone());
            shortened.holders.truncate(shortened.holders.len() / 2);
            json = payload::encode_bind_failure(shortened)?;
        }
        self.push(kind::BIND_FAILED, &json)
    }

    /// Keeps what later segments repeat.
    fn remember(&mut self, input: &Input, kind: u8, json: &[u8]) -> io::Result<()> {
        let context = &mut self.context;
        match input {
            Input::Ready { backend, .. } => {
                context.backend = *backend;
                context.ready = repeated(kind, json)?;
            }
            Input::Filter(_) => context.filter = repeated(kind, json)?,
            Input::Cgroup(cgroup) => {
                if context.cgroups.len() >= MAX_CGROUPS {
                    context.cgroups.clear();
                }
                context.cgroups.insert(cgroup.id, repeated(kind, json)?);
                context.in_segment.insert(cgroup.id);
            }
            _ => {}
        }
        Ok(())
    }

    /// Repeats the path of a cgroup that the next record names, where this segment does not have it yet.
    fn repeat_cgroup(&mut self, id: u64) {
        self.context.last = Some(id);
        if self.context.in_segment.insert(id)
            && let Some(record) = self.context.cgroups.get(&id)
        {
            self.frame.extend_from_slice(record);
            self.records_in_frame += 1;
        }
    }

    /// Appends a record.
    #[inline]
    fn push(&mut self, kind: u8, record: &[u8]) -> io::Result<()> {
        if record.len() > MAX_RECORD {
            return Err(too_long(record.len()));
        }
        self.open_frame();
        frame::push_record_header(&mut self.frame, kind, record.len());
        self.frame.extend_from_slice(record);
        self.records_in_frame += 1;
        self.records += 1;
        if self.frame.len() < HEADER_LEN + FRAME_TARGET { Ok(()) } else { self.close_frame() }
    }

    /// Starts a frame where none is being filled, and a segment with it where the last one is long enough.
    #[inline]
    fn open_frame(&mut self) {
        if self.frame.is_empty() {
            self.start_frame();
        }
    }

    fn start_frame(&mut self) {
        self.frame.resize(HEADER_LEN, 0);
        if self.segment_len < SEGMENT_TARGET {
            return;
        }
        self.segment_len = 0;
        self.index = Index { segment: self.index.segment + 1, frame: 0 };
        self.context.in_segment.clear();
        self.context.last = None;
        for record in [&self.context.ready, &self.context.reset_reasons, &self.context.filter] {
            self.frame.extend_from_slice(record);
            self.records_in_frame += u32::from(!record.is_empty());
        }
    }

    fn close_frame(&mut self) -> io::Result<()> {
        let Some((header, payload)) = self.frame.split_at_mut_checked(HEADER_LEN) else { return Ok(()) };
        let (bytes, crc) = FrameHeader {
            version: frame::VERSION,
            codec: CODEC_NONE,
            byte_order: ByteOrder::NATIVE,
            layout: probe_ebpf::LAYOUT as u16,
            payload_len: payload.len() as u32,
            decoded_len: payload.len() as u32,
            records: self.records_in_frame,
            payload_crc: frame::crc32(payload),
            index: self.index,
            times: self.times,
            previous_crc: self.previous_crc,
        }
        .to_bytes();
        header.copy_from_slice(&bytes);
        self.segment_len += payload.len();
        let written = self.out.write_all(&self.frame);
        self.frame.clear();
        self.records_in_frame = 0;
        self.times = TimeRange::EMPTY;
        self.index.frame += 1;
        self.previous_crc = crc;
        written
    }
}

/// The record as later segments repeat it.
fn repeated(kind: u8, json: &[u8]) -> io::Result<Vec<u8>> {
    if json.len() > MAX_RECORD {
        return Err(too_long(json.len()));
    }
    let mut record = Vec::with_capacity(RECORD_HEADER_LEN + json.len());
    frame::push_record_header(&mut record, kind | REPEATED, json.len());
    record.extend_from_slice(json);
    Ok(record)
}

fn too_long(length: usize) -> io::Error {
    let text =
        format!("an entry of {length} bytes does not fit into a recording, which holds up to 1 MiB in each");
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// The time of an input that is not in the ring, where it has one.
fn time_of(input: &Input) -> Option<Mono> {
    match input {
        Input::Ready { host, .. } => Some(host.ready_at),
        Input::TimeWaitEntry(entry) => Some(entry.at),
        Input::Tick(now) => Some(*now),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{
            AcceptQueue, BindOptions, Cgroup, End, Endpoint, Endpoints, Family, Known, Name, Owner, Protocol,
            SocketIdentity, State, Task,
        },
        record::{Entry, Reader},
    };

    /// A socket whose owner has the longest names that there are, of the characters that take most room in JSON.
    fn socket_with_long_names(cookie: u64) -> DiagEntry {
        let end = Endpoint::new("2001:db8:1111:2222:3333:4444:5555:6666".parse().expect("an address"), 65535);
        let name = |length| Name::from_bytes(&vec![0x1b; length]);
        let task = Task { pid: u32::MAX, uid: u32::MAX, comm: name(15) };
        let path = Cgroup { id: u64::MAX, path: Some(name(4095)) };
        DiagEntry {
            expires: Some(std::time::Duration::from_nanos(u64::MAX)),
            inode: Some(u32::MAX),
            options: BindOptions {
                reuse_addr: Some(false),
                reuse_port: Some(false),
                v6_only: Some(false),
                device: Some(u32::MAX),
                uid: Some(u32::MAX),
            },
            queue: Some(AcceptQueue { waiting: u32::MAX, limit: u32::MAX }),
            ..DiagEntry::new(
                u64::MAX - cookie,
                SocketIdentity {
                    netns: u32::MAX,
                    protocol: Protocol::Mptcp,
                    family: Family::Ipv6,
                    endpoints: Endpoints { local: end, remote: end },
                },
                State::NewSynRecv,
                Owner { task: Some(task), cgroup: Some(path), known: Known::Inferred }.into(),
            )
        }
    }

    fn recorded(inputs: &[Input]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes).expect("a Vec accepts every write");
        inputs.iter().for_each(|input| writer.input(input).expect("a Vec accepts every write"));
        bytes
    }

    fn inputs(bytes: &[u8]) -> Vec<Input> {
        let mut inputs = Vec::new();
        let mut reader = Reader::new(bytes).expect("a recording");
        while let Some(entry) = reader.entry() {
            if let Entry::Input(input) = entry.expect("it is whole") {
                inputs.push(*input);
            }
        }
        inputs
    }

    #[test]
    fn a_snapshot_of_any_length_is_recorded() {
        let all: Vec<_> = (0..1201).map(socket_with_long_names).collect();
        let bytes =
            recorded(&[Input::Existing { at: Mono(7), sockets: all.clone() }, Input::End(End::default())]);
        let mut back = Vec::new();
        for input in inputs(&bytes) {
            if let Input::Existing { at, sockets } = input {
                assert_eq!(at, Mono(7));
                back.extend(sockets);
            }
        }
        assert_eq!(back, all);
        let none = [Input::Existing { at: Mono(7), sockets: Vec::new() }, Input::End(End::default())];
        assert_eq!(inputs(&recorded(&none)), none);
    }

    #[test]
    fn a_failed_bind_is_shortened_to_what_fits() {
        let holders: Vec<_> = (0..64).map(socket_with_long_names).collect();
        let failure = BindFailure {
            at: Mono(1),
            cpu: 0,
            task: None,
            cgroup: None,
            cookie: None,
            identity: SocketIdentity::tcp(None, holders[0].identity.endpoints),
            errno: crate::model::Errno::EADDRINUSE,
            options: BindOptions::default(),
            holders: holders.clone(),
            is_queried: true,
            opener_fates: Vec::new(),
        };
        let bytes = recorded(&[Input::BindFailed(Box::new(failure)), Input::End(End::default())]);
        let Some(Input::BindFailed(failure)) = inputs(&bytes).into_iter().next() else {
            panic!("a failed bind")
        };
        assert_eq!(failure.holders, holders[..32]);
    }

    #[test]
    fn an_input_that_no_record_can_hold_is_an_error() {
        let mut writer = Writer::new(Vec::new()).expect("a Vec accepts every write");
        let error = writer.input(&Input::Note("x".repeat(MAX_RECORD))).expect_err("too long");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("up to 1 MiB"), "{error}");
    }
}
