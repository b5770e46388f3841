//! Writing a recording.

use std::io::{self, Write};

use super::{format::Header, raw::Line};
use crate::model::Event;

/// Writes a recording, an event a line, as they come.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    /// Lines written since the header.
    events: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a recording.
    ///
    /// # Errors
    /// Whatever `out` returns, here and below.
    pub fn new(out: W) -> io::Result<Self> {
        let mut writer = Self { out, events: 0 };
        writer.line(&Header::current())?;
        Ok(writer)
    }

    /// Keeps an event. Derived ones (transitions, connections, findings) are passed over, since a
    /// replay makes them again. [`Event::End`] makes the recording whole, and flushes.
    pub fn event(&mut self, event: &Event) -> io::Result<()> {
        if let Some(line) = Line::of(event, self.events) {
            self.line(&line)?;
            self.events += 1;
        }
        if matches!(event, Event::End(_)) {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes out what is buffered: it outlives the process then, however that ends.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn line(&mut self, line: &impl serde::Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, line)?;
        self.out.write_all(b"\n")
    }
}
