//! Two namespaces with a wire between them.

use super::StepError;
use crate::{
    model::{Fate, Packet, Side},
    net::{Namespace, sysctl},
    wire::{Link, Wire, WireError},
};

/// Two namespaces with a wire between them, both made for this alone.
#[derive(Debug)]
pub struct Pair {
    /// Each side's namespace.
    pub namespaces: [Namespace; 2],
    /// What the wire is like, and its addresses.
    pub link: Link,
    /// The wire.
    pub wire: Wire,
}

impl Pair {
    /// Lays a wire between two namespaces.
    ///
    /// # Errors
    /// The host lacks what it takes.
    pub(super) fn between(namespaces: [Namespace; 2], link: Link) -> Result<Self, StepError> {
        let [a, b] = &namespaces;
        let wire = Wire::between(a, b, link).map_err(|error| match error {
            WireError::Tun(_) => StepError::Unsupported(format!("{error}; or take --wire loopback")),
            WireError::Namespace(_) | WireError::Link(_) => StepError::Unsupported(error.to_string()),
            WireError::Thread(_) | WireError::Deadline(_) | WireError::Cut(_) => {
                StepError::Failed { step: "laying the wire".to_owned(), cause: error.to_string() }
            }
        })?;
        for namespace in &namespaces {
            // A process that is killed takes the wire along, and its connections would go on sending
            // their FINs to nobody, and keep the namespace, for minutes. Where the sysctl cannot be set
            // they do; nothing else depends on it.
            let _ = namespace.enter(|| sysctl::TCP_ORPHAN_RETRIES.write(&1))?;
        }
        Ok(Self { namespaces, link, wire })
    }

    /// What the wire has carried so far.
    #[must_use]
    pub fn capture(&self) -> Capture {
        Capture { netns: self.namespaces.each_ref().map(Namespace::inode), packets: self.wire.packets() }
    }
}

/// What a wire carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// The inode numbers of the two sides' network namespaces: a transition in the first is side A's.
    pub netns: [u32; 2],
    /// The packets, in the order in which they came onto the wire.
    pub packets: Vec<Packet>,
}

/// The SYNs and SYN+ACKs in the order in which they came onto the wire, each once for each side:
/// `SYN, SYN, SYN+ACK, SYN+ACK`. One that the wire lost is marked so.
pub(super) fn handshake(packets: &[Packet]) -> String {
    let mut seen: Vec<(Side, String)> = Vec::new();
    for packet in packets {
        let Some(segment) = packet.segment.filter(|segment| segment.is_syn() || segment.is_syn_ack()) else {
            continue;
        };
        let lost = if packet.fate == Fate::Dropped { " (lost)" } else { "" };
        let step = (packet.from, format!("{}{lost}", segment.flags));
        if !seen.contains(&step) {
            seen.push(step);
        }
    }
    let steps: Vec<_> = seen.into_iter().map(|(_, step)| step).collect();
    if steps.is_empty() { "no SYN".to_owned() } else { steps.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Flags, Mono, Origin, Segment};

    fn packet(from: Side, flags: Flags, fate: Fate) -> Packet {
        let [source, destination] =
            ["10.13.14.1:1314", "10.13.14.2:1314"].map(|text| text.parse().expect("an address in a test"));
        let segment = Segment { source, destination, flags, seq: 0, ack: 0, window: 0, payload: 0 };
        let origin = Origin::Sent;
        Packet { number: 0, from, origin, sent: Mono(0), fate, segment: Some(segment), bytes: [].into() }
    }

    #[test]
    fn a_handshake_reads_as_people_say_it() {
        let on = Fate::Travelling;
        let syn_ack = Flags::SYN.with(Flags::ACK);
        let crossed = [
            packet(Side::A, Flags::SYN, on),
            packet(Side::A, Flags::SYN, on),
            packet(Side::B, Flags::SYN, on),
            packet(Side::B, syn_ack, on),
            packet(Side::A, syn_ack, on),
            packet(Side::A, Flags::ACK, on),
        ];
        assert_eq!(handshake(&crossed), "SYN, SYN, SYN+ACK, SYN+ACK");
        let lost = [packet(Side::B, Flags::SYN, Fate::Dropped), packet(Side::A, Flags::SYN, on)];
        assert_eq!(handshake(&lost), "SYN (lost), SYN");
        assert_eq!(handshake(&crossed[5..]), "no SYN");
    }
}
