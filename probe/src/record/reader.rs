//! Reading a recording: from its start, from any segment, or while it is still being written.

mod error;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Read},
    ops::Range,
};

use self::error::Layout;
pub use self::error::ReadError;
use super::{
    frame::{
        self, CODEC_NONE, FRAME_MAGIC, FrameHeader, HEADER_LEN, Index, MAGIC, MAX_PAYLOAD, MAX_RECORD,
        RECORD_HEADER_LEN, REPEATED, kind,
    },
    payload::{self, Payload},
};
use crate::model::Input;

const NOT_A_HEADER: &str = "these 64 bytes are not a frame header, or do not match its checksum";

const AFTER_END: &str = "something follows the end record";

/// What a recording yields.
#[derive(Debug, PartialEq)]
pub enum Entry<'a> {
    /// An input that is not a record of the ring buffer.
    Input(Box<Input>),
    /// The names of reset reasons, by the numbers in the ring records after it.
    ResetReasons(BTreeMap<u32, String>),
    /// A record of the ring buffer, as the kernel side wrote it.
    Record(&'a [u8]),
}

/// Reads a recording, record by record. It holds one frame at a time, which has 2 MiB at most.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    /// The offset of the current frame in the file.
    offset: u64,
    /// The bytes of the current frame so far, header included.
    frame: Vec<u8>,
    /// The header, once it has been read and checked.
    header: Option<FrameHeader>,
    /// Whether `frame` is complete and its checksum matches.
    is_read: bool,
    /// The next record in `frame`.
    next: usize,
    /// The bytes of the record that was returned last.
    record: Range<usize>,
    /// The index and the CRC of the last header.
    previous: Option<(Index, u32)>,
    /// The segment that reading started in, whose repeated context counts; `None` where reading started with the
    /// recording, which has the original.
    joined: Option<u32>,
    /// Records so far, repeated context left out.
    records: u64,
    /// Records of the current frame so far.
    records_in_frame: u32,
    skipped: Skipped,
    stage: Stage,
}

/// Where in the recording the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Records,
    /// The end record was read: nothing may follow.
    Ended,
    /// Everything was read, or an error was returned.
    Over,
}

/// The records that a reader skipped, since it does not know their kinds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    records: u64,
    kinds: BTreeMap<SkippedKind, u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum SkippedKind {
    Record(u8),
    Ring(u16),
}

impl Skipped {
    /// Whether no record was skipped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    fn add(&mut self, kind: SkippedKind) {
        self.records += 1;
        *self.kinds.entry(kind).or_default() += 1;
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: u64| if count == 1 { "" } else { "s" };
        let (records, kinds) = (self.records, self.kinds.len() as u64);
        write!(f, "skipped {records} record{} of {kinds} kind{}", plural(records), plural(kinds))?;
        write!(f, " that this version does not know (kind{} ", plural(kinds))?;
        for (number, kind) in self.kinds.keys().enumerate() {
            f.write_str(if number == 0 { "" } else { ", " })?;
            match kind {
                SkippedKind::Record(kind) => write!(f, "{kind}")?,
                SkippedKind::Ring(kind) => write!(f, "ring {kind}")?,
            }
        }
        f.write_str("): made by a newer version")
    }
}

impl<R: Read> Reader<R> {
    /// Reads a recording from its start.
    ///
    /// # Errors
    /// [`ReadError`], where this is not a recording.
    pub fn new(mut input: R) -> Result<Self, ReadError> {
        let mut magic = Vec::with_capacity(MAGIC.len());
        input.by_ref().take(MAGIC.len() as u64).read_to_end(&mut magic)?;
        if magic.is_empty() {
            return Err(ReadError::Foreign("the file is empty"));
        }
        if !MAGIC.starts_with(&magic) {
            return Err(ReadError::Foreign("the file does not begin as recordings do"));
        }
        if magic.len() < MAGIC.len() {
            return Err(ReadError::Truncated { offset: 0 });
        }
        Ok(Self::at(input, MAGIC.len() as u64))
    }

    /// Reads a recording from the first segment that begins at `offset` or after it. The input is positioned there. Of
    /// the sockets that were open before, the reader knows nothing, as a trace that starts at that moment.
    ///
    /// # Errors
    /// [`ReadError::Truncated`], where no segment begins there or later.
    pub fn join(input: R, offset: u64) -> Result<Self, ReadError> {
        let mut reader = Self::at(input, offset);
        loop {
            if !reader.fill(HEADER_LEN)? {
                return Err(ReadError::Truncated { offset: reader.offset });
            }
            if let Some((header, _)) = reader.frame.first_chunk().and_then(FrameHeader::of_bytes)
                && header.index.frame == 0
            {
                reader.joined = Some(header.index.segment);
                return Ok(reader);
            }
            let rest = &reader.frame[1..];
            let skip = rest.windows(FRAME_MAGIC.len()).position(|window| window == FRAME_MAGIC);
            // The magic may begin in the last bytes.
            let skip = 1 + skip.unwrap_or(rest.len() + 1 - FRAME_MAGIC.len());
            reader.frame.drain(..skip);
            reader.offset += skip as u64;
        }
    }

    fn at(input: R, offset: u64) -> Self {
        Self {
            input,
            offset,
            frame: Vec::new(),
            header: None,
            is_read: false,
            next: 0,
            record: 0..0,
            previous: None,
            joined: None,
            records: 0,
            records_in_frame: 0,
            skipped: Skipped::default(),
            stage: Stage::Records,
        }
    }

    /// The next entry; `None` after the end, and after an error.
    ///
    /// [`ReadError::Truncated`] is the exception: the recording may still be being written, and the next call reads on.
    pub fn entry(&mut self) -> Option<Result<Entry<'_>, ReadError>> {
        loop {
            if self.stage == Stage::Over {
                return None;
            }
            if !self.is_read || self.next == self.frame.len() {
                match self.next_frame() {
                    Ok(true) => {}
                    Ok(false) => return self.end(None),
                    Err(error) => return self.end(Some(error)),
                }
            }
            match self.read_record() {
                Ok(Some(kind::RING)) => return Some(Ok(Entry::Record(&self.frame[self.record.clone()]))),
                Ok(Some(kind)) => match self.decode(kind) {
                    Ok(Some(entry)) => return Some(Ok(entry)),
                    Ok(None) => {}
                    Err(error) => return self.end(Some(error)),
                },
                Ok(None) => {}
                Err(error) => return self.end(Some(error)),
            }
        }
    }

    /// The error for the ring record that was returned last, where it cannot be decoded. It ends the reading.
    pub fn reject(&mut self, what: &str) -> ReadError {
        self.stage = Stage::Over;
        self.undecodable(what)
    }

    /// Counts the ring record that was returned last as skipped: its kind is unknown.
    pub fn skip(&mut self, ring_kind: u16) {
        self.skipped.add(SkippedKind::Ring(ring_kind));
    }

    /// The records that were skipped so far, since this version does not know their kinds.
    pub fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    /// The bytes of the record that was returned last.
    pub fn record_len(&self) -> usize {
        self.record.len()
    }

    fn end(&mut self, error: Option<ReadError>) -> Option<Result<Entry<'_>, ReadError>> {
        if !matches!(error, Some(ReadError::Truncated { .. })) {
            self.stage = Stage::Over;
        }
        error.map(Err)
    }

    /// Reads the next frame; `false` after the end of the recording.
    fn next_frame(&mut self) -> Result<bool, ReadError> {
        if self.is_read {
            if let Some(header) = self.header
                && header.records != self.records_in_frame
            {
                let found = self.records_in_frame;
                let what = format!("this frame has {found} records where its header says {}", header.records);
                return Err(self.corrupted(0, &what));
            }
            self.offset += self.frame.len() as u64;
            self.frame.clear();
            self.header = None;
            self.is_read = false;
        }
        if !self.fill(HEADER_LEN)? {
            return match (self.stage, self.frame.is_empty()) {
                (Stage::Ended, true) => Ok(false),
                (Stage::Ended, false) => Err(self.corrupted(0, AFTER_END)),
                _ if self.is_cut_header() => Err(ReadError::Truncated { offset: self.offset }),
                _ => Err(self.corrupted(0, NOT_A_HEADER)),
            };
        }
        if self.stage == Stage::Ended {
            return Err(self.corrupted(0, AFTER_END));
        }
        let header = match self.header {
            Some(header) => header,
            None => {
                let header = self.read_header()?;
                self.header = Some(header);
                header
            }
        };
        if !self.fill(HEADER_LEN + header.payload_len as usize)? {
            return Err(ReadError::Truncated { offset: self.offset });
        }
        if frame::crc32(&self.frame[HEADER_LEN..]) != header.payload_crc {
            return Err(self.corrupted(HEADER_LEN, "the payload of this frame does not match its checksum"));
        }
        self.is_read = true;
        self.next = HEADER_LEN;
        self.record = HEADER_LEN..HEADER_LEN;
        self.records_in_frame = 0;
        Ok(true)
    }

    /// Checks the header at the start of the frame.
    fn read_header(&mut self) -> Result<FrameHeader, ReadError> {
        let Some((header, crc)) = self.frame.first_chunk().and_then(FrameHeader::of_bytes) else {
            return Err(self.corrupted(0, NOT_A_HEADER));
        };
        let offset = self.offset;
        if header.version != frame::VERSION {
            return Err(ReadError::Version { offset, found: header.version });
        }
        if header.codec != CODEC_NONE {
            return Err(ReadError::Codec { offset, found: header.codec });
        }
        let layout = Layout { layout: header.layout, order: header.byte_order };
        if layout != Layout::CURRENT {
            return Err(ReadError::Layout { offset, found: layout });
        }
        let length = header.payload_len as usize;
        if length > MAX_PAYLOAD || header.decoded_len != header.payload_len || header.records == 0 {
            return Err(self.corrupted(0, "the header of this frame has a length that no version writes"));
        }
        self.check_order(&header)?;
        self.previous = Some((header.index, crc));
        Ok(header)
    }

    /// Checks that this frame follows the one before it.
    fn check_order(&self, header: &FrameHeader) -> Result<(), ReadError> {
        let index = header.index;
        let (is_next, crc) = match self.previous {
            Some((last, crc)) => {
                let same = Index { segment: last.segment, frame: last.frame.wrapping_add(1) };
                let new = Index { segment: last.segment.wrapping_add(1), frame: 0 };
                (index == same || index == new, crc)
            }
            None if self.joined.is_some() => return Ok(()),
            None => (index == Index::default(), 0),
        };
        if !is_next {
            let before = match self.previous {
                Some((last, _)) => format!("after frame {} of segment {}", last.frame, last.segment),
                None => "at the start".to_owned(),
            };
            let Index { segment, frame } = index;
            let what = format!(
                "frame {frame} of segment {segment} stands {before}: frames are missing, repeated or out of order"
            );
            return Err(self.corrupted(0, &what));
        }
        if header.previous_crc != crc {
            return Err(self.corrupted(0, "this frame belongs to another recording than the one before it"));
        }
        Ok(())
    }

    /// Finds the next record of the frame. Returns its kind; `None` for context that was read before.
    #[inline]
    fn read_record(&mut self) -> Result<Option<u8>, ReadError> {
        let at = self.next;
        if self.stage == Stage::Ended {
            return Err(self.corrupted(at, AFTER_END));
        }
        let Some((kind, length)) = frame::record_header(&self.frame[at..]) else {
            return Err(self.corrupted(at, "the frame ends within a record"));
        };
        let start = at + RECORD_HEADER_LEN;
        let end = start + length;
        if end > self.frame.len() || length > MAX_RECORD {
            return Err(self.corrupted(at, "the record is longer than its frame"));
        }
        self.record = start..end;
        self.next = end;
        self.records_in_frame += 1;
        if kind & REPEATED == 0 {
            self.records += 1;
            return Ok(Some(kind));
        }
        let is_new = self.joined.is_some() && self.joined == self.previous.map(|(index, _)| index.segment);
        Ok(is_new.then_some(kind & !REPEATED))
    }

    /// Decodes the record that was found last; `None` where its kind is unknown.
    fn decode(&mut self, kind: u8) -> Result<Option<Entry<'static>>, ReadError> {
        let payload = match payload::decode(kind, &self.frame[self.record.clone()]) {
            Ok(payload) => payload,
            Err(error) => return Err(self.undecodable(&format!("kind {kind}: {error}"))),
        };
        Ok(Some(match payload {
            Payload::Input(input) => Entry::Input(input),
            Payload::ResetReasons(names) => Entry::ResetReasons(names),
            Payload::End { end, records } => {
                let found = self.records - 1;
                if self.joined.is_none() && found != records {
                    let what =
                        format!("the recording has {found} records where its end record says {records}");
                    return Err(self.corrupted(self.record.start, &what));
                }
                self.stage = Stage::Ended;
                Entry::Input(Box::new(Input::End(end)))
            }
            Payload::Unknown => {
                self.skipped.add(SkippedKind::Record(kind));
                return Ok(None);
            }
        }))
    }

    /// Reads until the frame has so many bytes; `false` where the input ends before.
    fn fill(&mut self, length: usize) -> io::Result<bool> {
        let missing = length.saturating_sub(self.frame.len());
        if missing > 0 {
            self.frame.reserve(missing);
            self.input.by_ref().take(missing as u64).read_to_end(&mut self.frame)?;
        }
        Ok(self.frame.len() >= length)
    }

    /// Whether the frame can be the start of a header.
    fn is_cut_header(&self) -> bool {
        let start = &self.frame[..self.frame.len().min(FRAME_MAGIC.len())];
        FRAME_MAGIC.starts_with(start)
    }

    /// `at` counts from the start of the frame.
    fn corrupted(&self, at: usize, what: &str) -> ReadError {
        ReadError::Corrupted { offset: self.offset + at as u64, what: what.to_owned() }
    }

    fn undecodable(&self, what: &str) -> ReadError {
        ReadError::Undecodable { offset: self.offset + self.record.start as u64, what: what.to_owned() }
    }
}
