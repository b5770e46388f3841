//! Writes the packets of emulated links to a pcapng file for Wireshark: each packet once, on the interface and at the time of
//! its sending; each transition as a comment on the packet to which `packet_correlation` assigns it.

use std::{
    borrow::Cow,
    io::{self, Write},
    time::Duration,
};

use pcap_file::{
    DataLink, PcapError,
    pcapng::{
        PcapNgWriter,
        blocks::{
            enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption},
            interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption},
            section_header::{SectionHeaderBlock, SectionHeaderOption},
        },
    },
};

use super::packet_correlation::{Relation, correlate, side};
use crate::model::{Cause, Clock, Fate, Mono, Origin, Packet, Side, Transition};

/// `if_tsresol`: timestamps are in units of 10⁻⁹ s.
const NANOSECONDS: u8 = 9;
/// `epb_flags`: an outbound packet.
const OUTBOUND: u32 = 2;

/// Writes a pcapng file.
pub struct Pcapng<W: Write> {
    writer: PcapNgWriter<W>,
    clock: Clock,
    wires: u32,
}

impl<W: Write> Pcapng<W> {
    /// Starts a file.
    ///
    /// # Errors
    /// Whatever `out` returns.
    pub fn new(out: W, clock: Clock) -> io::Result<Self> {
        let tool = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));
        let section = SectionHeaderBlock {
            options: vec![SectionHeaderOption::UserApplication(tool.into())],
            ..SectionHeaderBlock::default()
        };
        Ok(Self {
            writer: PcapNgWriter::with_section_header(out, section).map_err(into_io)?,
            clock,
            wires: 0,
        })
    }

    /// Adds the packets of one link. `netns` are the inode numbers of the namespaces at its ends A and B; transitions there of
    /// connections on this link become comments.
    ///
    /// # Errors
    /// Whatever the file's writer returns.
    pub fn wire(
        &mut self,
        netns: [u32; 2],
        packets: &[Packet],
        transitions: &[Transition],
    ) -> io::Result<()> {
        let first_interface = 2 * self.wires;
        self.wires += 1;
        for side in Side::BOTH {
            self.interface(side, netns[side as usize])?;
        }
        let mut comments: Vec<Vec<String>> =
            packets.iter().map(|packet| fate_or_origin(packet).into_iter().collect()).collect();
        for transition in transitions {
            let Some(side) = side(netns, transition) else { continue };
            if let Some((index, relation)) = correlate(side, packets, transition) {
                comments[index].push(comment(side, transition, relation));
            }
        }
        for (packet, comments) in packets.iter().zip(comments) {
            self.packet(first_interface + packet.from as u32, packet, comments)?;
        }
        Ok(())
    }

    /// Flushes the file. pcapng has no trailer: the file is complete after each link.
    ///
    /// # Errors
    /// Whatever the file's writer returns.
    pub fn flush(&mut self) -> io::Result<()> {
        self.writer.get_mut().flush()
    }

    fn interface(&mut self, side: Side, netns: u32) -> io::Result<()> {
        let name = format!("wire{}-{side}", self.wires);
        let description = format!("side {side}, network namespace {netns}");
        let block = InterfaceDescriptionBlock {
            linktype: DataLink::RAW,
            snaplen: 0,
            options: vec![
                InterfaceDescriptionOption::IfName(name.into()),
                InterfaceDescriptionOption::IfDescription(description.into()),
                InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
            ],
        };
        self.writer.write_pcapng_block(block).map(drop).map_err(into_io)
    }

    fn packet(&mut self, interface_id: u32, packet: &Packet, comments: Vec<String>) -> io::Result<()> {
        let mut options = vec![EnhancedPacketOption::Flags(OUTBOUND)];
        options.extend(comments.into_iter().map(|comment| EnhancedPacketOption::Comment(comment.into())));
        let block = EnhancedPacketBlock {
            interface_id,
            // Contrary to its documentation, pcap-file writes nanoseconds regardless of if_tsresol.
            timestamp: since_1970(self.clock, packet.sent),
            original_len: u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX),
            data: Cow::Borrowed(&packet.bytes),
            options,
        };
        self.writer.write_pcapng_block(block).map(drop).map_err(into_io)
    }
}

/// `b: SYN_SENT → SYN_RECV (SYN received)`.
fn comment(side: Side, transition: &Transition, relation: Relation) -> String {
    let Transition { old, new, cause, at, .. } = transition;
    let errno = |cause: Cause| cause.errno().map(|errno| format!(", {errno}")).unwrap_or_default();
    let cause = cause.map(|cause| format!(" ({}{})", cause.detail(), errno(cause)));
    let change = format!("{side}: {old} → {new}{}", cause.unwrap_or_default());
    match relation {
        Relation::Causal => change,
        Relation::Nearest(packet) if *at < packet => {
            format!("{change}, {:?} before this packet", packet.since(*at))
        }
        Relation::Nearest(packet) => format!("{change}, {:?} after this packet", at.since(packet)),
    }
}

/// What the link did to a packet other than deliver it, or how the packet came to be if no end sent it.
fn fate_or_origin(packet: &Packet) -> Option<String> {
    match (packet.origin, packet.fate) {
        (_, Fate::Dropped) => Some("dropped by the link".to_owned()),
        (_, Fate::Held | Fate::Travelling) => Some("never delivered".to_owned()),
        (_, Fate::Refused(errno)) => {
            Some(format!("rejected by the kernel of {} ({errno})", packet.from.peer()))
        }
        (Origin::Injected, _) => Some(format!("injected by the link, not sent by {}", packet.from)),
        (Origin::Copy(_), _) => Some("duplicated by the link".to_owned()),
        (Origin::Sent, Fate::Delivered { .. }) => None,
    }
}

fn since_1970(clock: Clock, at: Mono) -> Duration {
    // pcapng cannot represent times before 1970: they become 0.
    Duration::from_nanos(u64::try_from(clock.unix_ns(at)).unwrap_or(0))
}

fn into_io(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        other => io::Error::other(other),
    }
}

#[cfg(test)]
mod tests {
    use pcap_file::pcapng::{Block, PcapNgReader};

    use super::*;
    use crate::{
        model::Errno,
        render::packet_correlation::tests::{NETNS, sample},
    };

    /// A packet as read back: interface, time, data, comments.
    type ReadPacket = (u32, Duration, Vec<u8>, Vec<String>);

    /// The names of the interfaces and the packets in a file of two links with the same packets.
    fn read_back(packets: &[Packet]) -> (Vec<String>, Vec<ReadPacket>) {
        let clock = Clock { realtime_offset_ns: 1_700_000_000_000_000_000 };
        let mut bytes = Vec::new();
        let mut file = Pcapng::new(&mut bytes, clock).unwrap();
        for _ in 0..2 {
            file.wire(NETNS, packets, &sample().1).unwrap();
        }
        file.flush().unwrap();
        let mut reader = PcapNgReader::new(bytes.as_slice()).unwrap();
        let (mut names, mut found) = (Vec::new(), Vec::new());
        while let Some(block) = reader.next_block() {
            match block.unwrap() {
                Block::InterfaceDescription(interface) => {
                    assert_eq!(interface.linktype, DataLink::RAW);
                    assert!(interface.options.contains(&InterfaceDescriptionOption::IfTsResol(NANOSECONDS)));
                    names.extend(interface.options.iter().filter_map(|option| match option {
                        InterfaceDescriptionOption::IfName(name) => Some(name.to_string()),
                        _ => None,
                    }));
                }
                Block::EnhancedPacket(packet) => {
                    let comments = packet.options.iter().filter_map(|option| match option {
                        EnhancedPacketOption::Comment(comment) => Some(comment.to_string()),
                        _ => None,
                    });
                    let comments = comments.collect();
                    found.push((packet.interface_id, packet.timestamp, packet.data.to_vec(), comments));
                }
                block => panic!("neither interface nor packet: {block:?}"),
            }
        }
        (names, found)
    }

    #[test]
    fn every_packet_has_its_interface_time_and_transitions() {
        let (packets, _) = sample();
        let (names, found) = read_back(&packets);
        assert_eq!(names, ["wire1-a", "wire1-b", "wire2-a", "wire2-b"]);
        assert_eq!(found.len(), 2 * packets.len());
        for (packet, (interface, time, data, _)) in packets.iter().zip(&found) {
            assert_eq!(*interface, packet.from as u32);
            assert_eq!(*time, Duration::new(1_700_000_000, 0) + packet.sent.since(Mono(0)));
            assert_eq!(**data, *packet.bytes);
        }
        let comments: Vec<_> = found.iter().map(|(.., comments)| comments.join("; ")).collect();
        assert_eq!(
            comments[..5],
            [
                "a: CLOSE → SYN_SENT (connect); b: SYN_SENT → SYN_RECV (SYN received)",
                "b: CLOSE → SYN_SENT (connect); a: SYN_SENT → SYN_RECV (SYN received)",
                "a: SYN_RECV → ESTABLISHED (SYN+ACK received)",
                "b: SYN_RECV → ESTABLISHED (SYN+ACK received)",
                "b: ESTABLISHED → CLOSE (close); a: ESTABLISHED → CLOSE (RST received, ECONNRESET)",
            ]
        );
        assert_eq!(found[5].0, 2, "the second link has interfaces of its own");
    }

    #[test]
    fn the_fate_and_origin_of_a_packet_are_comments() {
        let (mut packets, _) = sample();
        packets[0].fate = Fate::Dropped;
        packets[1].fate = Fate::Held;
        packets[2].origin = Origin::Injected;
        packets[3].origin = Origin::Copy(2);
        packets[4].fate = Fate::Refused(Errno(22));
        let (_, found) = read_back(&packets);
        let first: Vec<_> = found[..5].iter().map(|(.., comments)| comments[0].as_str()).collect();
        assert_eq!(
            first,
            [
                "dropped by the link",
                "never delivered",
                "injected by the link, not sent by b",
                "duplicated by the link",
                "rejected by the kernel of a (EINVAL)",
            ]
        );
        // A SYN that was not delivered causes no transition: it is assigned to the nearest packet.
        assert_eq!(found[3].3[1], "a: SYN_SENT → SYN_RECV (SYN received), 3µs before this packet");
    }
}
