//! `--pcap FILE`: the packets of the emulated link, for Wireshark.

use std::io::BufWriter;

use super::{exit::Failure, output::NamedFile};
use crate::{os::clock, render::Pcapng, session::ScenarioResult};

/// The pcapng file being written.
pub struct Pcap(Pcapng<BufWriter<NamedFile>>);

impl Pcap {
    /// Writes the file's header.
    pub fn new(file: NamedFile) -> Result<Self, Failure> {
        Pcapng::new(BufWriter::new(file), clock::calendar()).map(Self).map_err(unwritable)
    }

    /// Adds the packets of one scenario, with its transitions as packet comments.
    pub fn add(&mut self, result: &ScenarioResult) -> Result<(), Failure> {
        result.run.captures().iter().try_for_each(|capture| {
            self.0.wire(capture.netns, &capture.packets, &result.transitions).map_err(unwritable)
        })?;
        self.0.flush().map_err(unwritable)
    }
}

fn unwritable(error: std::io::Error) -> Failure {
    Failure::unexpected(format!("cannot write the packets: {error}"))
}
