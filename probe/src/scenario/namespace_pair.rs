//! Two namespaces with a wire between them.

use super::step_error::StepError;
use crate::{
    model::{Fate, Packet, Side},
    net::{Namespace, sysctl},
    wire::{Link, Wire, WireError},
};

/// Two namespaces with a wire between them.
#[derive(Debug)]
pub struct NamespacePair {
    /// The namespaces of side A and side B.
    pub namespaces: [Namespace; 2],
    /// The wire's delay and addresses.
    pub link: Link,
    /// The wire.
    pub wire: Wire,
}

impl NamespacePair {
    /// Connects two namespaces with a wire.
    ///
    /// # Errors
    /// This host does not support it, or the wire's thread cannot be started.
    pub(super) fn connect(namespaces: [Namespace; 2], link: Link) -> Result<Self, StepError> {
        let [a, b] = &namespaces;
        let wire = Wire::between(a, b, link).map_err(|error| match error {
            WireError::Tun(_) => StepError::Unsupported(format!("{error}; or use --wire loopback")),
            WireError::Namespace(_) | WireError::Link(_) => StepError::Unsupported(error.to_string()),
            WireError::Thread(_) | WireError::Deadline(_) | WireError::Broken(_) => {
                StepError::Failed { step: "creating the wire".to_owned(), cause: error.to_string() }
            }
        })?;
        for namespace in &namespaces {
            // If the process is killed, the wire is gone and its orphaned connections retransmit their FINs for
            // minutes, which keeps the namespace alive. One retry avoids that; nothing else depends on the
            // sysctl, so a failure to set it is ignored.
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

/// The packets of a wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// The inode numbers of the network namespaces of side A and side B.
    pub netns: [u32; 2],
    /// The packets, in the order in which they were sent.
    pub packets: Vec<Packet>,
}

/// The SYNs and SYN+ACKs in the order in which they were sent, each once per side: `SYN, SYN, SYN+ACK,
/// SYN+ACK`. One that the wire dropped is marked `(lost)`.
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
    fn a_handshake_lists_each_sides_syn_and_syn_ack_once() {
        let in_flight = Fate::Travelling;
        let syn_ack = Flags::SYN.with(Flags::ACK);
        let crossed = [
            packet(Side::A, Flags::SYN, in_flight),
            packet(Side::A, Flags::SYN, in_flight),
            packet(Side::B, Flags::SYN, in_flight),
            packet(Side::B, syn_ack, in_flight),
            packet(Side::A, syn_ack, in_flight),
            packet(Side::A, Flags::ACK, in_flight),
        ];
        assert_eq!(handshake(&crossed), "SYN, SYN, SYN+ACK, SYN+ACK");
        let lost = [packet(Side::B, Flags::SYN, Fate::Dropped), packet(Side::A, Flags::SYN, in_flight)];
        assert_eq!(handshake(&lost), "SYN (lost), SYN");
        assert_eq!(handshake(&crossed[5..]), "no SYN");
    }
}
