//! The cable itself: which packet is where, and which is due when. It does no I/O and reads no clock;
//! the pump tells it what it read when, and asks what to write.

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc, time::Duration};

use super::{
    rule::{Action, Rule},
    segment,
};
use crate::model::{Errno, Fate, Mono, Origin, Packet, Side};

/// A rule that is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleId(usize);

/// A packet that is to be handed over now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) number: usize,
    pub(super) to: Side,
    pub(super) bytes: Arc<[u8]>,
}

#[derive(Debug)]
pub(super) struct Cable {
    /// The time that a packet takes from each side.
    delay: [Duration; 2],
    /// Every packet that ever was on it, by number.
    packets: Vec<Packet>,
    /// By id; `None` once lifted.
    rules: Vec<Option<Rule>>,
    /// Packets that travel: when each is due, and its number, which decides between equal times.
    due: BinaryHeap<Reverse<(Mono, usize)>>,
    /// Packets that are held: by which rule, and when they are due if it is lifted in time.
    held: Vec<(RuleId, Mono, usize)>,
}

impl Cable {
    pub(super) fn new(delay: [Duration; 2]) -> Self {
        Self { delay, packets: Vec::new(), rules: Vec::new(), due: BinaryHeap::new(), held: Vec::new() }
    }

    pub(super) fn packets(&self) -> &[Packet] {
        &self.packets
    }

    pub(super) fn add(&mut self, rule: Rule) -> RuleId {
        self.rules.push(Some(rule));
        RuleId(self.rules.len() - 1)
    }

    /// Lifts a rule: what it holds goes on, in the order in which it came.
    pub(super) fn lift(&mut self, id: RuleId, now: Mono) {
        self.rules[id.0] = None;
        for (_, due, number) in self.held.extract_if(.., |(rule, ..)| *rule == id) {
            self.packets[number].fate = Fate::Travelling;
            // While it was held it went on travelling, and waits at the far end of the cable.
            self.due.push(Reverse((due.max(now), number)));
        }
    }

    /// Takes a packet that a side has sent.
    pub(super) fn take(&mut self, from: Side, bytes: &[u8], now: Mono) {
        if segment::is_multicast(bytes) {
            return;
        }
        let number = self.record(from, Origin::Sent, bytes.into(), now);
        let due = self.due_time(from, now);
        match self.decide(number) {
            None => self.due.push(Reverse((due, number))),
            Some((_, Action::Drop)) => self.packets[number].fate = Fate::Dropped,
            Some((id, Action::Hold)) => {
                self.packets[number].fate = Fate::Held;
                self.held.push((id, due, number));
            }
            Some((_, Action::Duplicate)) => {
                let bytes = Arc::clone(&self.packets[number].bytes);
                let copy = self.record(from, Origin::Copy(number), bytes, now);
                self.due.extend([number, copy].map(|number| Reverse((due, number))));
            }
        }
    }

    /// Puts a packet on the cable as if `from` had sent it. No rule is asked.
    pub(super) fn inject(&mut self, from: Side, bytes: &[u8], now: Mono) {
        let number = self.record(from, Origin::Injected, bytes.into(), now);
        let due = self.due_time(from, now);
        self.due.push(Reverse((due, number)));
    }

    /// When the next packet is due, if one travels.
    pub(super) fn next_due(&self) -> Option<Mono> {
        self.due.peek().map(|Reverse((due, _))| *due)
    }

    /// The next packet that has arrived by now. The pump hands it over and says how that went.
    pub(super) fn arrival(&mut self, now: Mono) -> Option<Arrival> {
        let Reverse((due, number)) = *self.due.peek()?;
        if due > now {
            return None;
        }
        self.due.pop();
        let packet = &self.packets[number];
        Some(Arrival { number, to: packet.from.peer(), bytes: Arc::clone(&packet.bytes) })
    }

    /// A packet was handed over between these two moments.
    pub(super) fn delivered(&mut self, number: usize, before: Mono, after: Mono) {
        self.packets[number].fate = Fate::Delivered { before, after };
    }

    /// A packet was not taken.
    pub(super) fn refused(&mut self, number: usize, errno: Errno) {
        self.packets[number].fate = Fate::Refused(errno);
    }

    fn record(&mut self, from: Side, origin: Origin, bytes: Arc<[u8]>, sent: Mono) -> usize {
        let number = self.packets.len();
        let segment = segment::parse(&bytes);
        self.packets.push(Packet { number, from, origin, sent, fate: Fate::Travelling, segment, bytes });
        number
    }

    fn due_time(&self, from: Side, now: Mono) -> Mono {
        let delay = self.delay[from as usize].as_nanos();
        Mono(now.0.saturating_add(u64::try_from(delay).unwrap_or(u64::MAX)))
    }

    /// The first rule that fits decides. Only TCP is subject to rules.
    fn decide(&mut self, number: usize) -> Option<(RuleId, Action)> {
        let Packet { from, segment, .. } = self.packets[number];
        let segment = segment?;
        let rules = self.rules.iter_mut().enumerate();
        rules.filter_map(|(id, rule)| Some((RuleId(id), rule.as_mut()?.decide(from, &segment)?))).next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Flags, Segment};

    const MS: u64 = 1_000_000;

    fn cable() -> Cable {
        Cable::new([Duration::from_millis(20), Duration::from_millis(30)])
    }

    fn packet(flags: Flags, payload: &[u8]) -> Vec<u8> {
        let [source, destination] = ["10.0.0.1:5", "10.0.0.2:6"].map(|text| text.parse().unwrap());
        let segment = Segment { source, destination, flags, seq: 1, ack: 2, window: 3, payload: 0 };
        segment::build(&segment, payload)
    }

    fn at(ms: u64) -> Mono {
        Mono(ms * MS)
    }

    /// Hands over everything that has arrived, and says which numbers those were.
    fn arrivals(cable: &mut Cable, now: Mono) -> Vec<usize> {
        let arrived: Vec<_> =
            std::iter::from_fn(|| cable.arrival(now)).map(|arrival| arrival.number).collect();
        arrived.iter().for_each(|number| cable.delivered(*number, now, now));
        arrived
    }

    #[test]
    fn a_packet_takes_its_directions_delay() {
        let mut cable = cable();
        cable.take(Side::A, &packet(Flags::SYN, b""), at(0));
        cable.take(Side::B, &packet(Flags::SYN, b""), at(5));
        assert_eq!(cable.next_due(), Some(at(20)));
        assert!(arrivals(&mut cable, Mono(20 * MS - 1)).is_empty());
        let arrival = cable.arrival(at(20)).unwrap();
        assert_eq!((arrival.number, arrival.to), (0, Side::B));
        assert_eq!(cable.next_due(), Some(at(35)));
        let arrival = cable.arrival(at(40)).unwrap();
        assert_eq!((arrival.number, arrival.to), (1, Side::A));
        assert_eq!(cable.next_due(), None);
    }

    #[test]
    fn what_is_sent_at_once_arrives_in_order() {
        let mut cable = cable();
        for _ in 0..5 {
            cable.take(Side::A, &packet(Flags::ACK, b"x"), at(0));
        }
        assert_eq!(arrivals(&mut cable, at(20)), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_held_packet_goes_on_travelling() {
        let mut cable = cable();
        let rule = cable.add(Rule::hold(Segment::is_syn));
        cable.take(Side::A, &packet(Flags::SYN, b""), at(0));
        cable.take(Side::A, &packet(Flags::ACK, b""), at(1));
        assert_eq!(cable.packets()[0].fate, Fate::Held);
        assert_eq!(arrivals(&mut cable, at(100)), [1]);
        cable.take(Side::A, &packet(Flags::SYN, b""), at(95));
        cable.lift(rule, at(100));
        assert_eq!(cable.packets()[0].fate, Fate::Travelling);
        assert_eq!(arrivals(&mut cable, at(100)), [0]);
        assert_eq!(arrivals(&mut cable, at(115)), [2]);
        cable.take(Side::A, &packet(Flags::SYN, b""), at(120));
        assert_eq!(cable.packets()[3].fate, Fate::Travelling);
    }

    #[test]
    fn a_rule_ends_with_its_count_and_keeps_to_its_side() {
        let mut cable = cable();
        cable.add(Rule::drop(Segment::is_syn).sent_by(Side::A).once());
        cable.take(Side::B, &packet(Flags::SYN, b""), at(0));
        for _ in 0..2 {
            cable.take(Side::A, &packet(Flags::SYN, b""), at(0));
        }
        let fates: Vec<_> = cable.packets().iter().map(|packet| packet.fate).collect();
        assert_eq!(fates, [Fate::Travelling, Fate::Dropped, Fate::Travelling]);
        assert_eq!(arrivals(&mut cable, at(100)), [2, 0]);
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let mut cable = cable();
        let hold = cable.add(Rule::hold(Segment::is_syn));
        cable.add(Rule::drop(|_| true));
        cable.take(Side::A, &packet(Flags::SYN, b""), at(0));
        cable.take(Side::A, &packet(Flags::ACK, b""), at(0));
        cable.lift(hold, at(0));
        cable.take(Side::A, &packet(Flags::SYN, b""), at(0));
        let fates: Vec<_> = cable.packets().iter().map(|packet| packet.fate).collect();
        assert_eq!(fates, [Fate::Travelling, Fate::Dropped, Fate::Dropped]);
    }

    #[test]
    fn a_copy_follows_its_original() {
        let mut cable = cable();
        cable.add(Rule::duplicate(Segment::has_data));
        cable.take(Side::A, &packet(Flags::ACK, b"x"), at(0));
        let [original, copy] = cable.packets() else { panic!("two packets") };
        assert_eq!(copy.origin, Origin::Copy(original.number));
        assert_eq!(copy.bytes, original.bytes);
        assert_eq!(arrivals(&mut cable, at(20)), [0, 1]);
    }

    #[test]
    fn injected_packets_travel_and_obey_no_rule() {
        let mut cable = cable();
        cable.add(Rule::drop(|_| true));
        cable.inject(Side::B, &packet(Flags::RST, b""), at(0));
        assert_eq!(cable.packets()[0].origin, Origin::Injected);
        assert_eq!(cable.next_due(), Some(at(30)));
        assert_eq!(arrivals(&mut cable, at(30)), [0]);
        assert_eq!(cable.packets()[0].fate, Fate::Delivered { before: at(30), after: at(30) });
    }
}
