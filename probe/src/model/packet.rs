//! Packets on the emulated link: their TCP segments, and the fate of each.

use std::{fmt, net::SocketAddr, sync::Arc};

use super::{Endpoints, Errno, Mono};

/// One of the two sides of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The first.
    A,
    /// The second.
    B,
}

impl Side {
    /// Both, in order.
    pub const BOTH: [Self; 2] = [Self::A, Self::B];

    /// The other side.
    #[must_use]
    pub fn peer(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::A => "a",
            Self::B => "b",
        })
    }
}

/// The control bits of a TCP header (RFC 9293 §3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(pub u8);

#[allow(missing_docs, reason = "the control bits, by RFC 9293's names")]
impl Flags {
    pub const FIN: Self = Self(1);
    pub const SYN: Self = Self(2);
    pub const RST: Self = Self(4);
    pub const PSH: Self = Self(8);
    pub const ACK: Self = Self(16);
    pub const URG: Self = Self(32);
    pub const ECE: Self = Self(64);
    pub const CWR: Self = Self(128);
}

impl Flags {
    const NAMES: [(Self, &str); 8] = [
        (Self::SYN, "SYN"),
        (Self::FIN, "FIN"),
        (Self::RST, "RST"),
        (Self::PSH, "PSH"),
        (Self::ACK, "ACK"),
        (Self::URG, "URG"),
        (Self::ECE, "ECE"),
        (Self::CWR, "CWR"),
    ];

    /// Whether all bits of `other` are set.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The bits of both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Display for Flags {
    /// `SYN+ACK`; `none` where no bit is set.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = Self::NAMES.iter().filter(|(flag, _)| self.contains(*flag));
        let names: Vec<_> = set.map(|(_, name)| *name).collect();
        f.pad(&if names.is_empty() { "none".to_owned() } else { names.join("+") })
    }
}

/// A TCP segment: what its headers say, without options and payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it comes from.
    pub source: SocketAddr,
    /// Where it goes.
    pub destination: SocketAddr,
    /// The control bits.
    pub flags: Flags,
    /// SEG.SEQ
    pub seq: u32,
    /// SEG.ACK; it means something only with [`Flags::ACK`].
    pub ack: u32,
    /// SEG.WND, not scaled.
    pub window: u16,
    /// Bytes of payload.
    pub payload: usize,
}

impl Segment {
    /// A SYN without ACK.
    #[must_use]
    pub fn is_syn(&self) -> bool {
        self.flags.contains(Flags::SYN) && !self.flags.contains(Flags::ACK)
    }

    /// A SYN+ACK.
    #[must_use]
    pub fn is_syn_ack(&self) -> bool {
        self.flags.contains(Flags::SYN.with(Flags::ACK))
    }

    /// An ACK and nothing else: no SYN, FIN, RST, and no payload.
    #[must_use]
    pub fn is_bare_ack(&self) -> bool {
        let has_control =
            [Flags::SYN, Flags::FIN, Flags::RST].into_iter().any(|flag| self.flags.contains(flag));
        self.flags.contains(Flags::ACK) && !has_control && self.payload == 0
    }

    /// A FIN, with or without payload.
    #[must_use]
    pub fn is_fin(&self) -> bool {
        self.flags.contains(Flags::FIN)
    }

    /// A reset.
    #[must_use]
    pub fn is_rst(&self) -> bool {
        self.flags.contains(Flags::RST)
    }

    /// A segment with payload.
    #[must_use]
    pub fn has_data(&self) -> bool {
        self.payload > 0
    }

    /// Both endpoints from the sender's point of view.
    #[must_use]
    pub fn endpoints(&self) -> Endpoints {
        Endpoints { local: self.source.into(), remote: self.destination.into() }
    }

    /// SEG.LEN: the sequence numbers that it occupies, SYN and FIN included.
    #[must_use]
    pub fn length(&self) -> u32 {
        let payload = u32::try_from(self.payload).expect("an IP packet has at most 65,535 bytes");
        payload + u32::from(self.flags.contains(Flags::SYN)) + u32::from(self.is_fin())
    }

    /// The RST with which a host without such a connection answers this segment (RFC 9293 §3.10.7.1).
    #[must_use]
    pub fn refusal(&self) -> Self {
        let (flags, seq, ack) = if self.flags.contains(Flags::ACK) {
            (Flags::RST, self.ack, 0)
        } else {
            (Flags::RST.with(Flags::ACK), 0, self.seq.wrapping_add(self.length()))
        };
        Self { source: self.destination, destination: self.source, flags, seq, ack, window: 0, payload: 0 }
    }
}

impl fmt::Display for Segment {
    /// `10.13.14.1:1314 > 10.13.14.2:1314 SYN+ACK`, with the length of the payload where there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} > {} {}", self.source, self.destination, self.flags)?;
        if self.has_data() { write!(f, " {} bytes", self.payload) } else { Ok(()) }
    }
}

/// Where a packet comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Its side's kernel sent it.
    Sent,
    /// The link injected it as if its side had sent it.
    Injected,
    /// The link copied it from the packet with this number.
    Copy(usize),
}

/// The fate of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// In flight.
    Travelling,
    /// Held back by a rule until the rule is lifted.
    Held,
    /// The link dropped it.
    Dropped,
    /// Delivered between these two times. What the receiving kernel did at once (state changes, answers) happened between
    /// them.
    Delivered {
        /// Right before it was written to the TUN device.
        before: Mono,
        /// Right after.
        after: Mono,
    },
    /// The receiving kernel rejected the write.
    Refused(Errno),
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Travelling => f.pad("in flight"),
            Self::Held => f.pad("held"),
            Self::Dropped => f.pad("dropped"),
            Self::Delivered { .. } => f.pad("delivered"),
            Self::Refused(errno) => write!(f, "refused ({errno})"),
        }
    }
}

/// A packet on the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Its index among all packets, from 0.
    pub number: usize,
    /// The side that sent it.
    pub from: Side,
    /// Where it comes from.
    pub origin: Origin,
    /// When the link read it from its side: shortly after the kernel sent it.
    pub sent: Mono,
    /// Its fate.
    pub fate: Fate,
    /// The segment in it, where it is TCP.
    pub segment: Option<Segment>,
    /// The whole packet, from the IP header on.
    pub bytes: Arc<[u8]>,
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.from)?;
        match &self.segment {
            Some(segment) => write!(f, "{segment}")?,
            None => f.write_str(&self.foreign())?,
        }
        write!(f, ", {}", self.fate)
    }
}

impl Packet {
    /// The description of a packet without a TCP segment: `ICMP unreachable, code 1`.
    #[must_use]
    pub fn foreign(&self) -> String {
        const ICMP: u8 = 1;
        const UNREACHABLE: u8 = 3;
        // An IPv4 header without options, as the link builds them.
        match (self.bytes.first(), self.bytes.get(9), self.bytes.get(20..22)) {
            (Some(0x45), Some(&ICMP), Some(&[UNREACHABLE, code])) => format!("ICMP unreachable, code {code}"),
            _ => format!("{} bytes, not TCP", self.bytes.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(flags: Flags, payload: usize) -> Segment {
        let [source, destination] =
            ["10.0.0.1:5", "10.0.0.2:6"].map(|text| text.parse().expect("an address in a test"));
        Segment { source, destination, flags, seq: u32::MAX, ack: 7, window: 1024, payload }
    }

    #[test]
    fn flags_print_like_tcpdump_names() {
        assert_eq!(Flags::SYN.to_string(), "SYN");
        assert_eq!(Flags::ACK.with(Flags::SYN).to_string(), "SYN+ACK");
        assert_eq!(Flags::default().to_string(), "none");
        let data = segment(Flags::ACK.with(Flags::PSH), 11);
        assert_eq!(data.to_string(), "10.0.0.1:5 > 10.0.0.2:6 PSH+ACK 11 bytes");
    }

    #[test]
    fn segments_are_classified_by_their_control_bits() {
        assert!(segment(Flags::SYN, 0).is_syn());
        assert!(segment(Flags::SYN.with(Flags::ECE).with(Flags::CWR), 0).is_syn());
        assert!(!segment(Flags::SYN.with(Flags::ACK), 0).is_syn());
        assert!(segment(Flags::SYN.with(Flags::ACK), 0).is_syn_ack());
        assert!(segment(Flags::ACK, 0).is_bare_ack());
        assert!(!segment(Flags::ACK, 1).is_bare_ack());
        assert!(!segment(Flags::ACK.with(Flags::FIN), 0).is_bare_ack());
    }

    #[test]
    fn a_packet_without_tcp_is_described() {
        let packet = |bytes: &[u8]| Packet {
            number: 0,
            from: Side::A,
            origin: Origin::Injected,
            sent: Mono(0),
            fate: Fate::Dropped,
            segment: None,
            bytes: bytes.into(),
        };
        let mut bytes = [0; 56];
        assert_eq!(packet(&bytes).to_string(), "a: 56 bytes, not TCP, dropped");
        (bytes[0], bytes[9], bytes[20], bytes[21]) = (0x45, 1, 3, 13);
        assert_eq!(packet(&bytes).to_string(), "a: ICMP unreachable, code 13, dropped");
        assert_eq!(packet(&bytes[..21]).foreign(), "21 bytes, not TCP");
    }

    #[test]
    fn a_refusal_is_the_rst_of_a_closed_port() {
        let to_syn = segment(Flags::SYN, 0).refusal();
        assert_eq!((to_syn.seq, to_syn.ack), (0, 0));
        assert_eq!(to_syn.flags, Flags::RST.with(Flags::ACK));
        assert_eq!(to_syn.endpoints(), segment(Flags::SYN, 0).endpoints().reversed());
        let to_data = segment(Flags::ACK, 3).refusal();
        assert_eq!((to_data.flags, to_data.seq, to_data.ack), (Flags::RST, 7, 0));
    }
}
