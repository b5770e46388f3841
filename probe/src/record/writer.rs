//! Writing a recording.

use std::io::{self, Write};

use super::{format::Header, raw::Line};
use crate::model::Event;

/// How many sockets a line lists at most. Their longest names together stay below what a reader takes for a
/// line.
const SOCKETS_A_LINE: usize = 500;

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
    ///
    /// A long [`Event::Existing`] is kept in parts, each an event of its own when it is read.
    pub fn event(&mut self, event: &Event) -> io::Result<()> {
        if let Event::Existing { at, sockets } = event
            && sockets.len() > SOCKETS_A_LINE
        {
            let mut parts = sockets.chunks(SOCKETS_A_LINE);
            return parts
                .try_for_each(|part| self.event(&Event::Existing { at: *at, sockets: part.to_vec() }));
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{
            Cgroup, End, Endpoint, Endpoints, Family, Known, Listed, Mono, Name, Owner, Protocol, State, Task,
        },
        record::{Reader, reader::LONGEST},
    };

    /// A socket whose owner has the longest names that there are, of the characters that JSON has most trouble
    /// with.
    fn listed(cookie: u64) -> Listed {
        let end = Endpoint::new("2001:db8:1111:2222:3333:4444:5555:6666".parse().expect("an address"), 65535);
        let name = |length| Name::from_bytes(&vec![0x1b; length]);
        let task = Task { pid: u32::MAX, uid: u32::MAX, comm: name(15) };
        let path = Cgroup { id: u64::MAX, path: Some(name(4095)) };
        Listed {
            cookie: u64::MAX - cookie,
            netns: u32::MAX,
            protocol: Protocol::Mptcp,
            family: Family::Ipv6,
            ends: Endpoints { local: end, remote: end },
            state: State::NewSynRecv,
            owner: Owner { task: Some(task), cgroup: Some(path), known: Known::Seen },
            expires: Some(std::time::Duration::from_nanos(u64::MAX)),
        }
    }

    #[test]
    fn any_number_of_sockets_fits_into_lines() {
        let sockets: Vec<_> = (0..1201).map(listed).collect();
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes).expect("memory takes everything");
        for event in [Event::Existing { at: Mono(7), sockets: sockets.clone() }, Event::End(End::default())] {
            writer.event(&event).expect("memory takes everything");
        }
        assert!(bytes.split(|byte| *byte == b'\n').all(|line| line.len() < LONGEST));
        let mut back = Vec::new();
        let mut parts = 0;
        for event in Reader::new(&bytes[..]).expect("a recording") {
            if let Event::Existing { at, sockets } = event.expect("it is whole") {
                assert_eq!(at, Mono(7));
                parts += 1;
                back.extend(sockets);
            }
        }
        assert_eq!(parts, 3);
        assert_eq!(back, sockets);
    }
}
