//! Parsing TCP segments from packets, and building packets from segments.

use std::net::{IpAddr, SocketAddr};

use etherparse::{
    Icmpv4Type, Icmpv6Type, IpSlice, PacketBuilder, TcpHeader, TcpSlice, icmpv4::DestUnreachableHeader,
    icmpv6::DestUnreachableCode, ip_number,
};

use crate::model::{Flags, Segment};

/// The TTL or hop limit of built packets: Linux's default.
const HOPS: u8 = 64;

/// Whether the packet's destination is a multicast group. The wire does not carry these: they are MLD and router
/// solicitations (IPv6) and IGMP.
pub(super) fn is_multicast(packet: &[u8]) -> bool {
    IpSlice::from_slice(packet).is_ok_and(|ip| ip.destination_addr().is_multicast())
}

/// The TCP segment in an IP packet; `None` for another protocol, a fragment or a malformed packet.
pub(super) fn parse(packet: &[u8]) -> Option<Segment> {
    let ip = IpSlice::from_slice(packet).ok()?;
    let inner = ip.payload();
    if inner.ip_number != ip_number::TCP || inner.fragmented {
        return None;
    }
    let tcp = TcpSlice::from_slice(inner.payload).ok()?;
    Some(Segment {
        source: SocketAddr::new(ip.source_addr(), tcp.source_port()),
        destination: SocketAddr::new(ip.destination_addr(), tcp.destination_port()),
        // Byte 13 of a TCP header is the eight control bits in RFC 9293's order.
        flags: Flags(tcp.header_slice()[13]),
        seq: tcp.sequence_number(),
        ack: tcp.acknowledgment_number(),
        window: tcp.window_size(),
        payload: tcp.payload().len(),
    })
}

/// Builds an IP packet with this segment and this payload, with valid checksums and without options. The length
/// in `segment.payload` is ignored.
///
/// # Panics
/// If the two addresses are of different families, or the payload does not fit into an IP packet.
pub(super) fn build(segment: &Segment, payload: &[u8]) -> Vec<u8> {
    let Segment { source, destination, flags, seq, ack, window, payload: _ } = *segment;
    let mut tcp = TcpHeader::new(source.port(), destination.port(), seq, window);
    tcp.acknowledgment_number = ack;
    tcp.fin = flags.contains(Flags::FIN);
    tcp.syn = flags.contains(Flags::SYN);
    tcp.rst = flags.contains(Flags::RST);
    tcp.psh = flags.contains(Flags::PSH);
    tcp.ack = flags.contains(Flags::ACK);
    tcp.urg = flags.contains(Flags::URG);
    tcp.ece = flags.contains(Flags::ECE);
    tcp.cwr = flags.contains(Flags::CWR);
    let ip = match (source.ip(), destination.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => PacketBuilder::ipv4(from.octets(), to.octets(), HOPS),
        (IpAddr::V6(from), IpAddr::V6(to)) => PacketBuilder::ipv6(from.octets(), to.octets(), HOPS),
        (from, to) => panic!("no packet goes from {from} to {to}"),
    };
    let mut packet = Vec::new();
    ip.tcp_header(tcp).write_to_vec(&mut packet, payload).expect("the payload fits into an IP packet");
    packet
}

/// Builds the ICMP destination unreachable message (RFC 792, RFC 4443) that answers a packet, as if its destination had
/// sent it. It quotes the IP header and the first eight bytes of the payload, as RFC 792 requires; for IPv6 the whole
/// packet, but no more than fits into 1280 bytes.
///
/// # Panics
/// If no destination unreachable message of the packet's family has this code.
pub(super) fn unreachable(packet: &[u8], code: u8) -> Vec<u8> {
    /// What remains of the least MTU of IPv6 behind the headers of IPv6 and ICMPv6.
    const MAX_QUOTED: usize = 1280 - 40 - 8;
    let mut message = Vec::new();
    let written = match IpSlice::from_slice(packet).expect("the wire carries whole packets") {
        IpSlice::Ipv4(ip) => {
            let reason =
                DestUnreachableHeader::from_values(code, 0).expect("RFC 792 and RFC 1812 have this code");
            let quoted = ip.header().slice().len() + 8;
            PacketBuilder::ipv4(ip.header().destination(), ip.header().source(), HOPS)
                .icmpv4(Icmpv4Type::DestinationUnreachable(reason))
                .write_to_vec(&mut message, &packet[..quoted])
        }
        IpSlice::Ipv6(ip) => {
            let reason = DestUnreachableCode::from_u8(code).expect("RFC 4443 has this code");
            PacketBuilder::ipv6(ip.header().destination(), ip.header().source(), HOPS)
                .icmpv6(Icmpv6Type::DestinationUnreachable(reason))
                .write_to_vec(&mut message, &packet[..packet.len().min(MAX_QUOTED)])
        }
    };
    written.expect("what is quoted fits into an IP packet");
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(source: &str, destination: &str) -> Segment {
        Segment {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            flags: Flags::SYN.with(Flags::ACK).with(Flags::ECE),
            seq: 1,
            ack: 0xffff_fffe,
            window: 0x1234,
            payload: 11,
        }
    }

    #[test]
    fn a_built_segment_parses_to_the_same_segment() {
        for (source, destination) in
            [("10.13.14.1:1314", "10.13.14.2:80"), ("[fd13:14::1]:1314", "[fd13:14::2]:80")]
        {
            let segment = segment(source, destination);
            let packet = build(&segment, b"I love you.");
            assert_eq!(parse(&packet), Some(segment));
            assert!(!is_multicast(&packet));
        }
    }

    #[test]
    fn built_packets_have_valid_checksums() {
        let packet = build(&segment("10.13.14.1:1314", "10.13.14.2:80"), b"odd");
        let IpSlice::Ipv4(ip) = IpSlice::from_slice(&packet).unwrap() else { panic!("IPv4 was built") };
        let header = ip.header().to_header();
        assert_eq!(header.header_checksum, header.calc_header_checksum());
        let tcp = TcpSlice::from_slice(ip.payload().payload).unwrap();
        let sum = tcp.calc_checksum_ipv4(ip.header().source(), ip.header().destination());
        assert_eq!(Ok(tcp.checksum()), sum);
    }

    #[test]
    fn an_unreachable_message_goes_to_the_sender_and_quotes_the_packet() {
        for (ends, code, kind, quoted) in [
            (["10.13.14.1:1314", "10.13.14.2:80"], 13, 3, 28),
            (["[fd13:14::1]:1314", "[fd13:14::2]:80"], 4, 1, 1232),
        ] {
            let segment = segment(ends[0], ends[1]);
            let packet = build(&segment, &[0; 1400]);
            let message = unreachable(&packet, code);
            let ip = IpSlice::from_slice(&message).unwrap();
            assert_eq!(
                (ip.source_addr(), ip.destination_addr()),
                (segment.destination.ip(), segment.source.ip())
            );
            let icmp = ip.payload().payload;
            assert_eq!((icmp[0], icmp[1]), (kind, code));
            assert_eq!(icmp[8..], packet[..quoted]);
        }
    }

    #[test]
    fn a_packet_without_a_whole_tcp_header_has_no_segment() {
        let mut udp = Vec::new();
        let builder = PacketBuilder::ipv4([10, 0, 0, 1], [224, 0, 0, 1], 1).udp(5, 6);
        builder.write_to_vec(&mut udp, b"x").unwrap();
        assert_eq!(parse(&udp), None);
        assert!(is_multicast(&udp));
        let packet = build(&segment("10.13.14.1:1314", "10.13.14.2:80"), b"");
        assert_eq!(parse(&packet[..30]), None);
        assert_eq!(parse(&[]), None);
    }
}
