//! Reading a recording, and saying where one is broken.

mod error;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    io::{self, BufRead, Read},
    ops::Range,
};

use flate2::Crc;

pub use self::error::{Position, ReadError};
use super::{
    format::{FORMAT, FRAME, FRAME_HEADER, Header, LINES, LONGEST_FRAME, Layout, RECORD_HEADER, VERSION},
    raw::Line,
};
use crate::model::Input;

/// The longest line that is read: no recording has one, and a file that is none must not fill the memory.
pub const LONGEST: usize = 16 << 20;

/// What a recording is made of.
#[derive(Debug, PartialEq)]
pub enum Entry<'a> {
    /// An event.
    Input(Box<Input>),
    /// What the reasons of resets are called, by the numbers that the records after it have.
    Reasons(BTreeMap<u32, String>),
    /// A record as it came out of the ring.
    Record(&'a [u8]),
}

/// A recording being read.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    /// Of the version that has nothing but lines.
    is_lines: bool,
    line: u64,
    /// Where the line or frame in the buffer begins, and where what follows it does.
    begin: u64,
    next: u64,
    /// A line without its end, or the payload of a frame.
    buffer: Vec<u8>,
    /// While the buffer holds a frame: where the last record is that was read of it.
    record: Option<Range<usize>>,
    /// How many entries have come after the header.
    entries: u64,
    stage: Stage,
}

/// Where in the recording the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Between header and end.
    Entries,
    /// The end line was read: nothing may follow.
    Ended,
    /// All is said.
    Over,
}

impl<R: BufRead> Reader<R> {
    /// Reads the first line.
    ///
    /// # Errors
    /// [`ReadError`], where this is no recording that this version reads.
    pub fn new(input: R) -> Result<Self, ReadError> {
        let mut reader = Self {
            input,
            is_lines: true,
            line: 0,
            begin: 0,
            next: 0,
            buffer: Vec::new(),
            record: None,
            entries: 0,
            stage: Stage::Entries,
        };
        let whole = reader.fill()?;
        match serde_json::from_slice::<Header>(&reader.buffer) {
            Ok(header) if header.format != FORMAT => {
                Err(ReadError::Foreign(format!("its first line names the format `{}`", header.format)))
            }
            Ok(Header { version: LINES, .. }) => Ok(reader),
            Ok(Header { version: VERSION, records, .. }) if records == Some(Layout::current()) => {
                Ok(Self { is_lines: false, ..reader })
            }
            Ok(Header { version: VERSION, records, .. }) => Err(ReadError::Layout(records)),
            Ok(header) => Err(ReadError::Version { found: header.version }),
            Err(_) if reader.buffer.is_empty() && !whole => Err(ReadError::Foreign("it is empty".to_owned())),
            Err(_) if !whole && reader.is_cut_header() => Err(reader.cut()),
            Err(_) => Err(ReadError::Foreign("its first line is not a recording's header".to_owned())),
        }
    }

    /// The next entry. There is none after the end, nor after an error.
    pub fn entry(&mut self) -> Option<Result<Entry<'_>, ReadError>> {
        if self.stage == Stage::Over {
            return None;
        }
        let is_in_frame = self.record.as_ref().is_some_and(|last| last.end < self.buffer.len());
        let read = if is_in_frame { Ok(None) } else { self.read() };
        match read {
            Ok(Some(said)) => Some(Ok(said)),
            Ok(None) if self.record.is_some() => match self.cut_out() {
                Ok(record) => Some(Ok(Entry::Record(&self.buffer[record]))),
                Err(error) => self.end(Err(error)),
            },
            Ok(None) => self.end(Ok(())),
            Err(error) => self.end(Err(error)),
        }
    }

    /// What is wrong with the record that was read last. It ends the reading.
    pub fn refuse(&mut self, what: &str) -> ReadError {
        self.stage = Stage::Over;
        let begin = self.record.as_ref().map_or(0, |record| record.start);
        self.corrupted(begin, what)
    }

    fn end(&mut self, result: Result<(), ReadError>) -> Option<Result<Entry<'_>, ReadError>> {
        self.stage = Stage::Over;
        result.err().map(Err)
    }

    /// Reads the next line; or nothing, where it is a frame that is in the buffer then, or all has been read.
    fn read(&mut self) -> Result<Option<Entry<'static>>, ReadError> {
        self.record = None;
        self.buffer.clear();
        let first = self.input.fill_buf()?.first().copied();
        match (first, self.stage) {
            (None, Stage::Ended) => Ok(None),
            (None, _) => {
                self.pass();
                Err(self.cut())
            }
            (Some(_), Stage::Ended) => {
                self.pass();
                Err(self.corrupted(0, "something follows the end of the recording"))
            }
            (Some(FRAME), _) if !self.is_lines => self.fill_frame().map(|()| None),
            (Some(_), _) => self.read_line().map(Some),
        }
    }

    fn read_line(&mut self) -> Result<Entry<'static>, ReadError> {
        let whole = self.fill()?;
        if !whole && self.buffer.len() == LONGEST {
            return Err(self.corrupted(LONGEST - 1, "the line does not end"));
        }
        match serde_json::from_slice::<Line>(&self.buffer) {
            Ok(Line::End { events, .. }) if events != self.entries => {
                let found = self.entries;
                let what = format!("the recording has {found} events where its end says {events}");
                Err(self.corrupted(0, &what))
            }
            Ok(line) => {
                match line {
                    Line::End { .. } => self.stage = Stage::Ended,
                    _ => self.entries += 1,
                }
                Ok(line.into_entry())
            }
            Err(_) if !whole => Err(self.cut()),
            Err(error) => Err(self.corrupted(error.column().max(1) - 1, &reason(&error))),
        }
    }

    /// Goes on to what follows.
    fn pass(&mut self) {
        self.begin = self.next;
        self.line += 1;
    }

    /// Reads the next line into the buffer, without its end. Says whether it had one.
    fn fill(&mut self) -> io::Result<bool> {
        self.pass();
        self.next += self.take(LONGEST, Some(b'\n'))?;
        let whole = self.buffer.last() == Some(&b'\n');
        if whole {
            self.buffer.pop();
        }
        Ok(whole)
    }

    /// Reads the next frame's payload into the buffer.
    fn fill_frame(&mut self) -> Result<(), ReadError> {
        self.pass();
        self.next += self.take(FRAME_HEADER, None)?;
        let Some(header) = self.buffer.first_chunk::<FRAME_HEADER>() else { return Err(self.cut()) };
        let number = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| header[at + byte]));
        let (length, sum) = (number(1) as usize, number(5));
        if length > LONGEST_FRAME {
            return Err(self.corrupted(1, &format!("a frame of {length} bytes")));
        }
        self.next += self.take(length, None)?;
        if self.buffer.len() < length {
            return Err(self.cut());
        }
        let mut crc = Crc::new();
        crc.update(&self.buffer);
        if crc.sum() != sum {
            return Err(self.corrupted(0, "the frame is not the one that its checksum is of"));
        }
        self.record = Some(0..0);
        Ok(())
    }

    /// Reads so much into the buffer, or up to a byte.
    fn take(&mut self, most: usize, until: Option<u8>) -> io::Result<u64> {
        self.buffer.clear();
        let mut input = self.input.by_ref().take(most as u64);
        let read = match until {
            Some(byte) => input.read_until(byte, &mut self.buffer),
            None => input.read_to_end(&mut self.buffer),
        };
        Ok(read? as u64)
    }

    /// Where the frame's next record is.
    fn cut_out(&mut self) -> Result<Range<usize>, ReadError> {
        let at = self.record.as_ref().map_or(0, |last| last.end);
        let begin = at + RECORD_HEADER;
        let length = self.buffer[at..].first_chunk().map(|bytes| usize::from(u16::from_le_bytes(*bytes)));
        let record = length.map(|length| begin..begin + length);
        let Some(record) = record.filter(|record| record.end <= self.buffer.len()) else {
            return Err(self.corrupted(at, "the frame ends before its last record"));
        };
        self.record = Some(record.clone());
        self.entries += 1;
        Ok(record)
    }

    /// Whether the buffer holds the beginning of a header.
    fn is_cut_header(&self) -> bool {
        let begins = |header| serde_json::to_vec(&header).is_ok_and(|bytes| bytes.starts_with(&self.buffer));
        begins(Header::current()) || begins(Header::of_lines())
    }

    fn cut(&self) -> ReadError {
        let place = if self.is_lines { Position::Line(self.line) } else { Position::Byte(self.begin) };
        ReadError::Truncated { place }
    }

    /// `at` counts from the beginning of the buffer.
    fn corrupted(&self, at: usize, what: &str) -> ReadError {
        let before = if self.record.is_some() { FRAME_HEADER } else { 0 };
        let place = match self.is_lines {
            true => Position::Column { line: self.line, column: at + 1 },
            false => Position::Byte(self.begin + (before + at) as u64),
        };
        ReadError::Corrupted { place, what: what.to_owned() }
    }
}

/// The parser's reason without its place, which counts from the line's own start.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(place) => text[..place].to_owned(),
        None => text,
    }
}
