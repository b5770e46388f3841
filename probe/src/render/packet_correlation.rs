//! Which packet of a wire goes with which state change at its two sides.
//!
//! - A change that a *segment* caused goes with the packet that was being delivered to that side at
//!   that moment. Where none was, the segment had waited for a process that was using the socket (its
//!   backlog), and the change goes with the last packet of the connection that was delivered before.
//! - A change that a *call* (or the kernel on another's behalf) caused goes with the first packet of the
//!   connection that the side sent after it and that says so: a SYN, a FIN or a RST.
//! - A change that no packet shows (`listen`, a timer's last expiry, the close of a socket that nobody
//!   answered), or whose cause is unknown, goes with the packet of the connection that the side sent or received nearest in time.
//! - A change of a connection that never used the wire goes with none.

use std::cmp::Reverse;

use crate::model::{CauseKind, Endpoint, Endpoints, Fate, Flags, Mono, Packet, Side, State, Transition};

/// How a state change belongs to its packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tie {
    /// The packet caused it, or it caused the packet.
    Cause,
    /// It is the nearest packet; its side sent or received it at this moment.
    Near(Mono),
}

/// The side of a wire between these namespaces at which a state change happened.
pub(super) fn side(netns: [u32; 2], transition: &Transition) -> Option<Side> {
    Side::BOTH.into_iter().find(|side| transition.netns == Some(netns[*side as usize]))
}

/// The packet that a state change at `side` goes with, as an index into `packets`.
pub(super) fn packet_correlation(
    side: Side,
    packets: &[Packet],
    transition: &Transition,
) -> Option<(usize, Tie)> {
    let seen = Seen { side, packets, transition };
    let cause = match transition.cause.as_ref().map(|cause| cause.kind()) {
        Some(CauseKind::Segment) => seen.arriving().or_else(|| seen.arrived_last()),
        Some(CauseKind::Call | CauseKind::Kernel) => seen.sent_to_say_so(),
        Some(CauseKind::Timer) | None => None,
    };
    cause.map(|index| (index, Tie::Cause)).or_else(|| seen.nearest())
}

/// The packets as the side of a state change saw them.
struct Seen<'a> {
    side: Side,
    packets: &'a [Packet],
    transition: &'a Transition,
}

impl Seen<'_> {
    /// The packet that was being delivered at that moment. What is no TCP segment may be an ICMP message
    /// about one.
    fn arriving(&self) -> Option<usize> {
        let at = self.transition.at;
        let arriving = self.delivered().find(|(index, (before, after))| {
            *before <= at && at <= *after && (self.packets[*index].segment.is_none() || self.is_ours(*index))
        });
        arriving.map(|(index, _)| index)
    }

    fn arrived_last(&self) -> Option<usize> {
        let earlier = |(index, (_, after)): &(usize, _)| *after < self.transition.at && self.is_ours(*index);
        self.delivered()
            .filter(earlier)
            .max_by_key(|(index, (_, after))| (*after, *index))
            .map(|(index, _)| index)
    }

    fn sent_to_say_so(&self) -> Option<usize> {
        let mark = mark(self.transition)?;
        let says_so = |(index, packet): &(usize, &Packet)| {
            packet.sent >= self.transition.at
                && packet.segment.is_some_and(|segment| segment.flags.contains(mark))
                && self.is_ours(*index)
        };
        self.from(self.side).find(says_so).map(|(index, _)| index)
    }

    fn nearest(&self) -> Option<(usize, Tie)> {
        let at = self.transition.at;
        let sent = self.from(self.side).map(|(index, packet)| (index, packet.sent));
        let received = self.delivered().map(|(index, (before, _))| (index, before));
        let ours = sent.chain(received).filter(|(index, _)| self.is_ours(*index));
        let (index, moment) =
            ours.min_by_key(|(index, moment)| (moment.0.abs_diff(at.0), Reverse(*index)))?;
        Some((index, Tie::Near(moment)))
    }

    /// The packets that were delivered to the side, and between which moments.
    fn delivered(&self) -> impl Iterator<Item = (usize, (Mono, Mono))> {
        self.from(self.side.peer()).filter_map(|(index, packet)| match packet.fate {
            Fate::Delivered { before, after } => Some((index, (before, after))),
            _ => None,
        })
    }

    fn from(&self, side: Side) -> impl Iterator<Item = (usize, &Packet)> {
        self.packets.iter().enumerate().filter(move |(_, packet)| packet.from == side)
    }

    /// Whether a packet is of the connection that changed its state.
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

/// The control bit of the segment that a socket sends for this change, where it sends one.
fn mark(transition: &Transition) -> Option<Flags> {
    match transition.edge() {
        (_, State::SynSent) => Some(Flags::SYN),
        (_, State::FinWait1 | State::LastAck) => Some(Flags::FIN),
        // What was never answered, and what never connected, closes without a word.
        (State::SynSent | State::Listen | State::Close, State::Close) => None,
        (_, State::Close) => Some(Flags::RST),
        _ => None,
    }
}

/// Whether a socket's ends are a packet's. What the kernel does not tell yet, or no more, fits anything.
fn same_connection(socket: Endpoints, packet: Endpoints) -> bool {
    let fits = |known: Endpoint, actual: Endpoint| {
        let (known, actual) = (known.canonical(), actual.canonical());
        (known.addr.is_unspecified() || known.addr == actual.addr)
            && (known.port.is_none() || known.port == actual.port)
    };
    fits(socket.local, packet.local) && fits(socket.remote, packet.remote)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::{
        Cause, CloseCall, Errno, Family, Origin, Owner, Protocol, Segment, ShutdownHow, SocketId,
        State::{Close, Established, FinWait1, Listen, SynRecv, SynSent},
    };

    /// The inode numbers of the sample's namespaces.
    pub const NETNS: [u32; 2] = [4_026_532_001, 4_026_532_002];
    const SYN_ACK: Flags = Flags::SYN.with(Flags::ACK);

    fn ends(side: Side) -> Endpoints {
        let [a, b] = ["10.13.14.1:1314", "10.13.14.2:1314"]
            .map(|text| text.parse::<std::net::SocketAddr>().expect("an address in a test").into());
        let from_a = Endpoints { local: a, remote: b };
        if side == Side::A { from_a } else { from_a.reversed() }
    }

    /// A packet that is sent at a microsecond and delivered 20 µs later, within 5 µs.
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

    fn change(side: Side, (old, new): (State, State), at: u64, cause: Cause) -> Transition {
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

    /// A simultaneous open, which B then resets, and what a wire saw of it. The kernel that sends is always
    /// a little ahead of the wire that reads.
    pub fn sample() -> (Vec<Packet>, Vec<Transition>) {
        let packets = vec![
            packet(0, Side::A, Flags::SYN, 10),
            packet(1, Side::B, Flags::SYN, 12),
            packet(2, Side::B, SYN_ACK, 34),
            packet(3, Side::A, SYN_ACK, 36),
            packet(4, Side::B, Flags::RST.with(Flags::ACK), 105),
        ];
        let reset = change(Side::A, (Established, Close), 127, Cause::RstReceived(Errno::ECONNRESET));
        let transitions = vec![
            change(Side::A, (Close, SynSent), 8, Cause::Connect),
            change(Side::B, (Close, SynSent), 9, Cause::Connect),
            change(Side::B, (SynSent, SynRecv), 32, Cause::SynReceived),
            change(Side::A, (SynSent, SynRecv), 33, Cause::SynReceived),
            change(Side::A, (SynRecv, Established), 55, Cause::SynAckReceived),
            change(Side::B, (SynRecv, Established), 58, Cause::SynAckReceived),
            change(Side::B, (Established, Close), 100, Cause::Close(CloseCall::Close)),
            reset,
        ];
        (packets, transitions)
    }

    fn carrier_of(transition: &Transition) -> Option<(usize, Tie)> {
        let (packets, _) = sample();
        packet_correlation(side(NETNS, transition)?, &packets, transition)
    }

    #[test]
    fn each_change_of_a_simultaneous_open_has_its_packet() {
        let (_, transitions) = sample();
        let carriers: Vec<_> = transitions.iter().map(carrier_of).collect();
        let cause = |index| Some((index, Tie::Cause));
        assert_eq!(carriers, [0, 1, 0, 1, 2, 3, 4, 4].map(cause));
    }

    #[test]
    fn what_waited_in_the_backlog_came_with_the_last_packet() {
        let late = change(Side::A, (SynSent, SynRecv), 53, Cause::SynReceived);
        assert_eq!(carrier_of(&late), Some((1, Tie::Cause)));
        let later = change(Side::A, (SynRecv, Established), 60, Cause::SynAckReceived);
        assert_eq!(carrier_of(&later), Some((2, Tie::Cause)));
    }

    #[test]
    fn what_no_packet_shows_goes_to_the_nearest() {
        let mut listen = change(Side::B, (Close, Listen), 2, Cause::Listen);
        listen.ends.remote = Endpoint::new([0, 0, 0, 0].into(), 0);
        assert_eq!(carrier_of(&listen), Some((1, Tie::Near(us(12)))));
        let timeout = change(Side::A, (SynSent, Close), 80, Cause::SynTimeout);
        assert_eq!(carrier_of(&timeout), Some((2, Tie::Near(us(54)))));
        let given_up = change(Side::A, (SynSent, Close), 11, Cause::Close(CloseCall::Close));
        assert_eq!(carrier_of(&given_up), Some((0, Tie::Near(us(10)))));
        let unsent = change(Side::A, (Established, FinWait1), 70, Cause::Shutdown(ShutdownHow::Wr));
        assert_eq!(carrier_of(&unsent), Some((2, Tie::Near(us(54)))));
        let unknown = Transition { cause: None, ..sample().1.remove(6) };
        assert_eq!(carrier_of(&unknown), Some((4, Tie::Near(us(105)))));
    }

    #[test]
    fn an_icmp_message_carries_what_happens_while_it_is_delivered() {
        let mut icmp = packet(0, Side::B, Flags::default(), 10);
        icmp.segment = None;
        let refused = |at| change(Side::A, (SynSent, Close), at, Cause::IcmpError(Errno::EHOSTUNREACH));
        assert_eq!(packet_correlation(Side::A, &[icmp.clone()], &refused(32)), Some((0, Tie::Cause)));
        assert_eq!(packet_correlation(Side::A, &[icmp], &refused(40)), None);
    }

    #[test]
    fn what_never_used_the_wire_goes_with_nothing() {
        let elsewhere = Transition { netns: Some(1), ..sample().1.remove(0) };
        assert_eq!(side(NETNS, &elsewhere), None);
        let mut loopback = change(Side::A, (Close, SynSent), 8, Cause::Connect);
        loopback.ends.remote = Endpoint::new([127, 0, 0, 1].into(), 1314);
        assert_eq!(carrier_of(&loopback), None);
        let (mut packets, transitions) = sample();
        packets.iter_mut().for_each(|packet| packet.fate = Fate::Dropped);
        assert_eq!(packet_correlation(Side::B, &packets[..1], &transitions[2]), None);
    }
}
