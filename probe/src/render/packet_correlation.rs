//! Assigns each transition at the two ends of a link to a packet on that link.
//!
//! - A transition caused by a *segment* is assigned to the packet that was being delivered to that end at that time. If there
//!   was none, the segment was in the socket's backlog (a process had locked the socket), and the transition is assigned to
//!   the last packet of the connection that was delivered before.
//! - A transition caused by a *call* (or by the kernel on behalf of another process) is assigned to the first packet of the
//!   connection that this end sent after it with the matching flag: SYN, FIN or RST.
//! - A transition that sends no packet (`listen`, the last expiry of a timer, the close of a socket that got no answer), or
//!   whose cause is unknown, is assigned to the packet of the connection that this end sent or received nearest in time.
//! - A transition of a connection that did not use the link is not assigned.

use std::cmp::Reverse;

use crate::model::{
    Cause, CauseKind, Endpoint, Endpoints, Fate, Flags, Mono, Packet, Side, State, Transition,
};

/// How a transition and its packet are related.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// One caused the other.
    Causal,
    /// The packet is the nearest in time; this end sent or received it at that time.
    Nearest(Mono),
}

/// The end of a link between these namespaces at which a transition was made.
pub(super) fn side(netns: [u32; 2], transition: &Transition) -> Option<Side> {
    Side::BOTH.into_iter().find(|side| transition.netns == Some(netns[*side as usize]))
}

/// The packet to which a transition at `side` is assigned, as an index into `packets`.
pub(super) fn correlate(
    side: Side,
    packets: &[Packet],
    transition: &Transition,
) -> Option<(usize, Relation)> {
    let endpoint = EndpointView { side, packets, transition };
    let cause = match transition.cause.map(Cause::kind) {
        Some(CauseKind::Segment) => endpoint.being_delivered().or_else(|| endpoint.last_delivered()),
        Some(CauseKind::Call | CauseKind::Kernel) => endpoint.sent_with_flag(),
        Some(CauseKind::Timer) | None => None,
    };
    cause.map(|index| (index, Relation::Causal)).or_else(|| endpoint.nearest())
}

/// The packets from the point of view of the end at which a transition was made.
struct EndpointView<'a> {
    side: Side,
    packets: &'a [Packet],
    transition: &'a Transition,
}

impl EndpointView<'_> {
    /// The packet that was being delivered at the time of the transition. A packet that is not TCP may be an ICMP message about
    /// the connection.
    fn being_delivered(&self) -> Option<usize> {
        let at = self.transition.at;
        let delivered = self.delivered().find(|(index, (before, after))| {
            *before <= at && at <= *after && (self.packets[*index].segment.is_none() || self.is_ours(*index))
        });
        delivered.map(|(index, _)| index)
    }

    /// The last packet of the connection that was delivered before the transition.
    fn last_delivered(&self) -> Option<usize> {
        let earlier = |(index, (_, after)): &(usize, _)| *after < self.transition.at && self.is_ours(*index);
        self.delivered()
            .filter(earlier)
            .max_by_key(|(index, (_, after))| (*after, *index))
            .map(|(index, _)| index)
    }

    /// The first packet of the connection that was sent after the transition with its flag.
    fn sent_with_flag(&self) -> Option<usize> {
        let flag = flag(self.transition)?;
        let has_flag = |(index, packet): &(usize, &Packet)| {
            packet.sent >= self.transition.at
                && packet.segment.is_some_and(|segment| segment.flags.contains(flag))
                && self.is_ours(*index)
        };
        self.from(self.side).find(has_flag).map(|(index, _)| index)
    }

    /// The packet of the connection that this end sent or received nearest in time.
    fn nearest(&self) -> Option<(usize, Relation)> {
        let at = self.transition.at;
        let sent = self.from(self.side).map(|(index, packet)| (index, packet.sent));
        let received = self.delivered().map(|(index, (before, _))| (index, before));
        let ours = sent.chain(received).filter(|(index, _)| self.is_ours(*index));
        let (index, time) = ours.min_by_key(|(index, time)| (time.0.abs_diff(at.0), Reverse(*index)))?;
        Some((index, Relation::Nearest(time)))
    }

    /// The packets that were delivered to this end, with the times before and after the delivery.
    fn delivered(&self) -> impl Iterator<Item = (usize, (Mono, Mono))> {
        self.from(self.side.peer()).filter_map(|(index, packet)| match packet.fate {
            Fate::Delivered { before, after } => Some((index, (before, after))),
            _ => None,
        })
    }

    fn from(&self, side: Side) -> impl Iterator<Item = (usize, &Packet)> {
        self.packets.iter().enumerate().filter(move |(_, packet)| packet.from == side)
    }

    /// Whether a packet belongs to the connection of the transition.
    fn is_ours(&self, index: usize) -> bool {
        let packet = &self.packets[index];
        packet.segment.is_some_and(|segment| {
            let ends = segment.ends();
            same_connection(
                self.transition.ends,
                if packet.from == self.side { ends } else { ends.reversed() },
            )
        })
    }
}

/// The control flag of the segment that a socket sends at a transition, if it sends one.
fn flag(transition: &Transition) -> Option<Flags> {
    match transition.edge() {
        (_, State::SynSent) => Some(Flags::SYN),
        (_, State::FinWait1 | State::LastAck) => Some(Flags::FIN),
        // A socket that got no answer or never connected sends nothing when it closes.
        (State::SynSent | State::Listen | State::Close, State::Close) => None,
        (_, State::Close) => Some(Flags::RST),
        _ => None,
    }
}

/// Whether the endpoints of a socket match those of a packet. Values that the kernel has not set yet or has cleared match
/// anything.
fn same_connection(socket: Endpoints, packet: Endpoints) -> bool {
    let matches = |known: Endpoint, actual: Endpoint| {
        let (known, actual) = (known.canonical(), actual.canonical());
        (known.addr.is_unspecified() || known.addr == actual.addr)
            && (known.port.is_none() || known.port == actual.port)
    };
    matches(socket.local, packet.local) && matches(socket.remote, packet.remote)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::{
        CloseCall, Errno, Family, Origin, Owner, Protocol, Segment, ShutdownHow, SocketId,
        State::{Close, Established, FinWait1, Listen, SynRecv, SynSent},
        Timer,
    };

    /// The inode numbers of the namespaces.
    pub const NETNS: [u32; 2] = [4_026_532_001, 4_026_532_002];
    const SYN_ACK: Flags = Flags::SYN.with(Flags::ACK);

    fn ends(side: Side) -> Endpoints {
        let [a, b] = ["10.13.14.1:1314", "10.13.14.2:1314"]
            .map(|text| text.parse::<std::net::SocketAddr>().expect("an address in a test").into());
        let from_a = Endpoints { local: a, remote: b };
        if side == Side::A { from_a } else { from_a.reversed() }
    }

    /// A packet sent at `sent` µs and delivered 20 µs later, within 5 µs.
    fn packet(number: usize, from: Side, flags: Flags, sent: u64) -> Packet {
        let at = |endpoint: Endpoint| (endpoint.addr, endpoint.port_or_zero()).into();
        let Endpoints { local, remote } = ends(from);
        let (source, destination) = (at(local), at(remote));
        let segment = Segment { source, destination, flags, seq: 0, ack: 0, window: 0, payload: 0 };
        let fate = Fate::Delivered { before: us(sent + 20), after: us(sent + 25) };
        let bytes = [0x45, 0, 0, 40, flags.0].into();
        Packet { number, from, origin: Origin::Sent, sent: us(sent), fate, segment: Some(segment), bytes }
    }

    fn us(micros: u64) -> Mono {
        Mono(micros * 1000)
    }

    fn transition(side: Side, (old, new): (State, State), at: u64, cause: Cause) -> Transition {
        Transition {
            seq: 0,
            at: us(at),
            cpu: 0,
            socket: SocketId { number: side as u64 + 1, generation: 1 },
            cookie: None,
            netns: Some(NETNS[side as usize]),
            protocol: Protocol::Tcp,
            family: Family::Ipv4,
            ends: ends(side),
            old,
            new,
            cause: Some(cause),
            owner: Owner::unknown(),
            state_duration: None,
            segs_out: None,
        }
    }

    /// A simultaneous open that B then resets, with its packets. The kernel that sends is always slightly ahead of the link
    /// that reads.
    pub fn sample() -> (Vec<Packet>, Vec<Transition>) {
        let packets = vec![
            packet(0, Side::A, Flags::SYN, 10),
            packet(1, Side::B, Flags::SYN, 12),
            packet(2, Side::B, SYN_ACK, 34),
            packet(3, Side::A, SYN_ACK, 36),
            packet(4, Side::B, Flags::RST.with(Flags::ACK), 105),
        ];
        let reset = transition(Side::A, (Established, Close), 127, Cause::RstReceived(Errno::ECONNRESET));
        let transitions = vec![
            transition(Side::A, (Close, SynSent), 8, Cause::Connect),
            transition(Side::B, (Close, SynSent), 9, Cause::Connect),
            transition(Side::B, (SynSent, SynRecv), 32, Cause::SynReceived),
            transition(Side::A, (SynSent, SynRecv), 33, Cause::SynReceived),
            transition(Side::A, (SynRecv, Established), 55, Cause::SynAckReceived),
            transition(Side::B, (SynRecv, Established), 58, Cause::SynAckReceived),
            transition(Side::B, (Established, Close), 100, Cause::Close(CloseCall::Close)),
            reset,
        ];
        (packets, transitions)
    }

    fn packet_of(transition: &Transition) -> Option<(usize, Relation)> {
        let (packets, _) = sample();
        correlate(side(NETNS, transition)?, &packets, transition)
    }

    #[test]
    fn every_transition_of_a_simultaneous_open_has_its_packet() {
        let (_, transitions) = sample();
        let assigned: Vec<_> = transitions.iter().map(packet_of).collect();
        let cause = |index| Some((index, Relation::Causal));
        assert_eq!(assigned, [0, 1, 0, 1, 2, 3, 4, 4].map(cause));
    }

    #[test]
    fn a_segment_from_the_backlog_is_the_last_packet_delivered() {
        let late = transition(Side::A, (SynSent, SynRecv), 53, Cause::SynReceived);
        assert_eq!(packet_of(&late), Some((1, Relation::Causal)));
        let later = transition(Side::A, (SynRecv, Established), 60, Cause::SynAckReceived);
        assert_eq!(packet_of(&later), Some((2, Relation::Causal)));
    }

    #[test]
    fn a_transition_without_a_packet_is_assigned_to_the_nearest() {
        let mut listen = transition(Side::B, (Close, Listen), 2, Cause::Listen);
        listen.ends.remote = Endpoint::new([0, 0, 0, 0].into(), 0);
        assert_eq!(packet_of(&listen), Some((1, Relation::Nearest(us(12)))));
        let timeout = transition(Side::A, (SynSent, Close), 80, Cause::Timeout(Timer::Syn, Errno::ETIMEDOUT));
        assert_eq!(packet_of(&timeout), Some((2, Relation::Nearest(us(54)))));
        let given_up = transition(Side::A, (SynSent, Close), 11, Cause::Close(CloseCall::Close));
        assert_eq!(packet_of(&given_up), Some((0, Relation::Nearest(us(10)))));
        let unsent = transition(Side::A, (Established, FinWait1), 70, Cause::Shutdown(ShutdownHow::Wr));
        assert_eq!(packet_of(&unsent), Some((2, Relation::Nearest(us(54)))));
        let unknown = Transition { cause: None, ..sample().1.remove(6) };
        assert_eq!(packet_of(&unknown), Some((4, Relation::Nearest(us(105)))));
    }

    #[test]
    fn an_icmp_message_causes_transitions_during_its_delivery() {
        let mut icmp = packet(0, Side::B, Flags::default(), 10);
        icmp.segment = None;
        let refused = |at| transition(Side::A, (SynSent, Close), at, Cause::IcmpError(Errno::EHOSTUNREACH));
        assert_eq!(correlate(Side::A, &[icmp.clone()], &refused(32)), Some((0, Relation::Causal)));
        assert_eq!(correlate(Side::A, &[icmp], &refused(40)), None);
    }

    #[test]
    fn a_connection_that_did_not_use_the_link_has_no_packet() {
        let elsewhere = Transition { netns: Some(1), ..sample().1.remove(0) };
        assert_eq!(side(NETNS, &elsewhere), None);
        let mut loopback = transition(Side::A, (Close, SynSent), 8, Cause::Connect);
        loopback.ends.remote = Endpoint::new([127, 0, 0, 1].into(), 1314);
        assert_eq!(packet_of(&loopback), None);
        let (mut packets, transitions) = sample();
        packets.iter_mut().for_each(|packet| packet.fate = Fate::Dropped);
        assert_eq!(correlate(Side::B, &packets[..1], &transitions[2]), None);
    }
}
