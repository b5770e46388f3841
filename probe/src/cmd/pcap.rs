//! `--pcap FILE`: what crossed the emulated link, for Wireshark.

use std::io::BufWriter;

use super::{exit::Failure, output::NamedFile};
use crate::{os::clock, render::Pcapng, session::Performed};

/// The file, in the making.
pub struct Pcap(Pcapng<BufWriter<NamedFile>>);

impl Pcap {
    /// Begins the file.
    pub fn new(file: NamedFile) -> Result<Self, Failure> {
        Pcapng::new(BufWriter::new(file), clock::calendar()).map(Self).map_err(unwritable)
    }

    /// Adds the wires of one scenario, with its state changes as comments.
    pub fn add(&mut self, performed: &Performed) -> Result<(), Failure> {
        performed.story.captures().iter().try_for_each(|capture| {
            self.0.wire(capture.netns, &capture.packets, &performed.transitions).map_err(unwritable)
        })?;
        self.0.flush().map_err(unwritable)
    }
}

fn unwritable(error: std::io::Error) -> Failure {
    Failure::unexpected(format!("cannot write the packets: {error}"))
}
