//! Reading a recording, and saying where one is broken.

use std::io::{self, BufRead, Read};

use thiserror::Error;

use super::{
    format::{FORMAT, Header, VERSION},
    raw::Line,
};
use crate::model::Event;

/// The longest line that is read: no recording has one, and a file that is none must not fill the memory.
pub const LONGEST: usize = 16 << 20;

/// Why a recording cannot be read, or not any further. Lines and columns count from 1.
#[derive(Debug, Error)]
pub enum ReadError {
    /// Not a recording at all.
    #[error("not a recording of probe's: {0}; recordings are written by `--record FILE`")]
    Foreign(String),
    /// A recording in a format that this version does not know.
    #[error(
        "a recording in version {found} of its format, where this probe reads version {VERSION}: replay it with the probe that made it, or a newer one"
    )]
    Version {
        /// Its version.
        found: u32,
    },
    /// It ends before its end: whoever wrote it was stopped, or the copy is incomplete.
    #[error(
        "the recording is cut off at line {line}: what stands before it was read; the rest was never written, or is lost"
    )]
    Truncated {
        /// The line that is cut, or the one that should follow the last.
        line: u64,
    },
    /// Something that no probe wrote.
    #[error(
        "the recording is corrupted at line {line}, column {column}: {what}; what stands before it was read"
    )]
    Corrupted {
        /// The line.
        line: u64,
        /// The byte in it.
        column: usize,
        /// What is wrong there.
        what: String,
    },
    /// The file cannot be opened or read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// A recording being read: an iterator of its events, in which an error is the last item.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    line: u64,
    buffer: Vec<u8>,
    stage: Stage,
}

/// Where in the recording the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Between header and end.
    Events,
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
        let mut reader = Self { input, line: 0, buffer: Vec::new(), stage: Stage::Events };
        let whole = reader.fill()?;
        match serde_json::from_slice::<Header>(&reader.buffer) {
            Ok(header) if header.format != FORMAT => {
                Err(ReadError::Foreign(format!("its first line names the format `{}`", header.format)))
            }
            Ok(header) if header.version != VERSION => Err(ReadError::Version { found: header.version }),
            Ok(_) => Ok(reader),
            Err(_) if reader.buffer.is_empty() && !whole => Err(ReadError::Foreign("it is empty".to_owned())),
            Err(_) if !whole && reader.is_cut_header() => Err(ReadError::Truncated { line: 1 }),
            Err(_) => Err(ReadError::Foreign("its first line is not a recording's header".to_owned())),
        }
    }

    /// Reads the next line into the buffer, without its end. Says whether it had one.
    fn fill(&mut self) -> io::Result<bool> {
        self.buffer.clear();
        self.line += 1;
        self.input.by_ref().take(LONGEST as u64).read_until(b'\n', &mut self.buffer)?;
        let whole = self.buffer.last() == Some(&b'\n');
        if whole {
            self.buffer.pop();
        }
        Ok(whole)
    }

    /// Whether the buffer holds the beginning of the header that this version writes.
    fn is_cut_header(&self) -> bool {
        serde_json::to_vec(&Header::current()).is_ok_and(|header| header.starts_with(&self.buffer))
    }

    fn read(&mut self) -> Result<Option<Event>, ReadError> {
        let whole = self.fill()?;
        let line = self.line;
        if self.buffer.is_empty() && !whole {
            return match self.stage {
                Stage::Ended => Ok(None),
                _ => Err(ReadError::Truncated { line }),
            };
        }
        if self.stage == Stage::Ended {
            return Err(self.corrupted(1, "something follows the end of the recording"));
        }
        if !whole && self.buffer.len() == LONGEST {
            return Err(self.corrupted(LONGEST, "the line does not end"));
        }
        match serde_json::from_slice::<Line>(&self.buffer) {
            Ok(read) => {
                if let Line::End { events, .. } = read {
                    self.hold_against(events)?;
                    self.stage = Stage::Ended;
                }
                Ok(Some(read.into_event()))
            }
            Err(_) if !whole => Err(ReadError::Truncated { line }),
            Err(error) => Err(self.corrupted(error.column().max(1), &reason(&error))),
        }
    }

    /// Holds the end's number of events against the lines between the header and this one.
    fn hold_against(&self, said: u64) -> Result<(), ReadError> {
        let found = self.line - 2;
        if found == said {
            return Ok(());
        }
        Err(self.corrupted(1, &format!("the recording has {found} events where its end says {said}")))
    }

    fn corrupted(&self, column: usize, what: &str) -> ReadError {
        ReadError::Corrupted { line: self.line, column, what: what.to_owned() }
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

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Event, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.stage == Stage::Over {
            return None;
        }
        let item = self.read().transpose();
        if !matches!(item, Some(Ok(_))) {
            self.stage = Stage::Over;
        }
        item
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};

    use super::*;
    use crate::record::{Writer, arbitrary};

    fn written(events: &[Event]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes).expect("memory takes everything");
        for event in events {
            writer.event(event).expect("memory takes everything");
        }
        bytes
    }

    /// Everything that can be read, and the error that ended it.
    fn read(bytes: &[u8]) -> (Vec<Event>, Option<ReadError>) {
        let mut events = Vec::new();
        match Reader::new(bytes) {
            Err(error) => return (events, Some(error)),
            Ok(reader) => {
                for item in reader {
                    match item {
                        Ok(event) => events.push(event),
                        Err(error) => return (events, Some(error)),
                    }
                }
            }
        }
        (events, None)
    }

    fn message(bytes: &[u8]) -> String {
        read(bytes).1.expect("an error").to_string()
    }

    const HEADER: &str = r#"{"format":"probe-recording","version":1}"#;

    proptest! {
        #[test]
        fn what_is_written_is_read(events in collection::vec(arbitrary::event(), 0..20), end in arbitrary::end()) {
            let mut events = events;
            events.push(end);
            let (back, error) = read(&written(&events));
            prop_assert!(error.is_none(), "{error:?}");
            prop_assert_eq!(back, events);
        }

        #[test]
        fn every_cut_is_noticed_and_costs_only_what_is_behind_it(
            events in collection::vec(arbitrary::event(), 1..8),
            end in arbitrary::end(),
            at in any::<prop::sample::Index>(),
        ) {
            let mut events = events;
            events.push(end);
            let bytes = written(&events);
            // A recording without its very last newline is whole.
            let cut = &bytes[..at.index(bytes.len() - 1)];
            let (back, error) = read(cut);
            let line = 1 + cut.iter().filter(|byte| **byte == b'\n').count() as u64;
            prop_assert!(back.len() < events.len());
            prop_assert_eq!(&events[..back.len()], &back[..]);
            match error {
                Some(ReadError::Truncated { line: place }) => prop_assert!(place == line || place == line + 1),
                Some(ReadError::Foreign(_)) => prop_assert!(cut.is_empty()),
                other => prop_assert!(false, "{other:?}"),
            }
        }

        #[test]
        fn a_line_that_is_missing_is_noticed(
            events in collection::vec(arbitrary::event(), 1..8),
            end in arbitrary::end(),
            at in any::<prop::sample::Index>(),
        ) {
            let count = events.len();
            let gone = at.index(count);
            let bytes = written(&[events, vec![end]].concat());
            let lines = bytes.split_inclusive(|byte| *byte == b'\n').enumerate();
            let kept: Vec<u8> =
                lines.filter(|(line, _)| *line != 1 + gone).flat_map(|(_, line)| line).copied().collect();
            let (back, error) = read(&kept);
            prop_assert_eq!(back.len(), count - 1);
            let said = format!("the recording has {} events where its end says {count}", count - 1);
            prop_assert!(
                matches!(&error, Some(ReadError::Corrupted { what, .. }) if *what == said),
                "{error:?}"
            );
        }

        #[test]
        fn no_bytes_can_upset_the_reader(bytes in collection::vec(any::<u8>(), 0..200)) {
            read(&bytes);
            read(&[HEADER.as_bytes(), b"\n", &bytes].concat());
        }
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
        let text = message(b"{\"format\":\"probe-recording\",\"version\":2,\"more\":true}\n");
        assert!(text.contains("version 2") && text.contains("version 1"), "{text}");
    }

    #[test]
    fn a_corrupted_line_is_named_and_what_came_before_is_kept() {
        let bytes = format!("{HEADER}\n{{\"note\":\"one\"}}\n{{\"note\":7}}\n");
        let (events, error) = read(bytes.as_bytes());
        assert_eq!(events, [Event::Note("one".to_owned())]);
        let Some(ReadError::Corrupted { line, column, what }) = error else { panic!("{error:?}") };
        assert_eq!((line, column), (3, 9));
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
        let bytes =
            format!("{HEADER}\n{{\"end\":{{\"events\":0,\"duration_ns\":1,\"attach_ns\":null}}}}\n\n");
        let (events, error) = read(bytes.as_bytes());
        assert_eq!(events.len(), 1);
        assert!(matches!(error, Some(ReadError::Corrupted { line: 3, column: 1, .. })), "{error:?}");
    }
}
