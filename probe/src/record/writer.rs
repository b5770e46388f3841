//! Writing a recording.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use flate2::Crc;

use super::{
    format::{FRAME, FRAME_HEADER, Header},
    raw::Line,
};
use crate::model::Input;

/// How many sockets a line lists at most. Their longest names together stay below what a reader takes for a
/// line.
const SOCKETS_A_LINE: usize = 500;

/// How many bytes of records are kept together. What is lost with a file that is cut off is less than that.
const FULL: usize = 64 << 10;

/// Writes a recording, an entry after the other, as they come.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    /// Entries since the header.
    entries: u64,
    /// The frame that is being filled, with room for its header; empty before its first record.
    frame: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Begins a recording.
    ///
    /// # Errors
    /// Whatever `out` returns, here and below.
    pub fn new(out: W) -> io::Result<Self> {
        let mut writer = Self { out, entries: 0, frame: Vec::with_capacity(2 * FULL) };
        writer.line(&Header::current())?;
        Ok(writer)
    }

    /// Keeps a record of the ring as it is.
    pub fn record(&mut self, record: &[u8]) -> io::Result<()> {
        let length = u16::try_from(record.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        if self.frame.is_empty() {
            self.frame.resize(FRAME_HEADER, 0);
        }
        self.frame.extend_from_slice(&length.to_le_bytes());
        self.frame.extend_from_slice(record);
        self.entries += 1;
        if self.frame.len() < FULL { Ok(()) } else { self.close_frame() }
    }

    /// Keeps an event that is no record of the ring's. [`Input::End`] makes the recording whole, and flushes.
    ///
    /// A long [`Input::Existing`] is kept in parts, each an event of its own when it is read.
    pub fn event(&mut self, event: &Input) -> io::Result<()> {
        if let Input::Existing { at, sockets } = event
            && sockets.len() > SOCKETS_A_LINE
        {
            let mut parts = sockets.chunks(SOCKETS_A_LINE);
            return parts
                .try_for_each(|part| self.event(&Input::Existing { at: *at, sockets: part.to_vec() }));
        }
        let line = Line::of(event, self.entries);
        self.close_frame()?;
        self.line(&line)?;
        self.entries += 1;
        if matches!(event, Input::End(_)) {
            self.flush()?;
        }
        Ok(())
    }

    /// Keeps the names that the running kernel has for the reasons of resets; records have their numbers.
    pub fn reasons(&mut self, reasons: &BTreeMap<u32, String>) -> io::Result<()> {
        self.close_frame()?;
        self.entries += 1;
        self.line(&Line::Reasons(reasons.clone()))
    }

    /// Writes out what is buffered: it outlives the process then, however that ends.
    pub fn flush(&mut self) -> io::Result<()> {
        self.close_frame()?;
        self.out.flush()
    }

    fn close_frame(&mut self) -> io::Result<()> {
        let Some((header, payload)) = self.frame.split_at_mut_checked(FRAME_HEADER) else { return Ok(()) };
        let mut crc = Crc::new();
        crc.update(payload);
        header[0] = FRAME;
        header[1..5].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        header[5..].copy_from_slice(&crc.sum().to_le_bytes());
        let written = self.out.write_all(&self.frame);
        self.frame.clear();
        written
    }

    fn line(&mut self, line: &impl serde::Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, line)?;
        self.out.write_all(b"\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{
            Cgroup, DiagEntry, End, Endpoint, Endpoints, Family, Known, Mono, Name, Owner, Protocol, State,
            Task,
        },
        record::{Entry, Reader, reader::LONGEST},
    };

    /// A socket whose owner has the longest names that there are, of the characters that JSON has most trouble
    /// with.
    fn listed(cookie: u64) -> DiagEntry {
        let end = Endpoint::new("2001:db8:1111:2222:3333:4444:5555:6666".parse().expect("an address"), 65535);
        let name = |length| Name::from_bytes(&vec![0x1b; length]);
        let task = Task { pid: u32::MAX, uid: u32::MAX, comm: name(15) };
        let path = Cgroup { id: u64::MAX, path: Some(name(4095)) };
        DiagEntry {
            cookie: u64::MAX - cookie,
            netns: u32::MAX,
            protocol: Protocol::Mptcp,
            family: Family::Ipv6,
            ends: Endpoints { local: end, remote: end },
            state: State::NewSynRecv,
            owner: Owner { task: Some(task), cgroup: Some(path), known: Known::Inferred }.into(),
            expires: Some(std::time::Duration::from_nanos(u64::MAX)),
        }
    }

    #[test]
    fn any_number_of_sockets_fits_into_lines() {
        let sockets: Vec<_> = (0..1201).map(listed).collect();
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes).expect("memory takes everything");
        for event in [Input::Existing { at: Mono(7), sockets: sockets.clone() }, Input::End(End::default())] {
            writer.event(&event).expect("memory takes everything");
        }
        assert!(bytes.split(|byte| *byte == b'\n').all(|line| line.len() < LONGEST));
        let mut back = Vec::new();
        let mut parts = 0;
        let mut reader = Reader::new(&bytes[..]).expect("a recording");
        while let Some(entry) = reader.entry() {
            if let Entry::Input(event) = entry.expect("it is whole")
                && let Input::Existing { at, sockets } = *event
            {
                assert_eq!(at, Mono(7));
                parts += 1;
                back.extend(sockets);
            }
        }
        assert_eq!(parts, 3);
        assert_eq!(back, sockets);
    }
}
