//! The state of the emulated link: which packets it carries, which it holds and when each is due. It does no I/O
//! and reads no clock: the forwarder passes in the packets that it read, and takes out those that are due.

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc, time::Duration};

use super::{
    rule::{Action, Rule},
    segment,
};
use crate::model::{Errno, Fate, Mono, Origin, Packet, Side};

/// Identifies a rule of a [`Wire`](super::Wire), to remove it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleId(usize);

/// A packet whose delay has passed: the forwarder writes it to the device of side `to`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DuePacket {
    pub(super) number: usize,
    pub(super) to: Side,
    pub(super) bytes: Arc<[u8]>,
}

#[derive(Debug)]
pub(super) struct Emulator {
    /// The one-way delay of packets sent by each side.
    delay: [Duration; 2],
    /// Every packet that the link has carried, indexed by number.
    packets: Vec<Packet>,
    /// Indexed by [`RuleId`]; `None` once removed.
    rules: Vec<Option<Rule>>,
    /// Packets in flight: the time each is due, then its number, which keeps the order of equal times.
    due: BinaryHeap<Reverse<(Mono, usize)>>,
    /// Packets held: the rule that holds each, the time it would be due, and its number.
    held: Vec<(RuleId, Mono, usize)>,
}

impl Emulator {
    pub(super) fn new(delay: [Duration; 2]) -> Self {
        Self { delay, packets: Vec::new(), rules: Vec::new(), due: BinaryHeap::new(), held: Vec::new() }
    }

    pub(super) fn packets(&self) -> &[Packet] {
        &self.packets
    }

    pub(super) fn add_rule(&mut self, rule: Rule) -> RuleId {
        self.rules.push(Some(rule));
        RuleId(self.rules.len() - 1)
    }

    /// Removes a rule and releases the packets that it holds, in the order in which they were sent.
    pub(super) fn remove_rule(&mut self, id: RuleId, now: Mono) {
        self.rules[id.0] = None;
        for (_, due, number) in self.held.extract_if(.., |(rule, ..)| *rule == id) {
            self.packets[number].fate = Fate::Travelling;
            // The delay runs while a packet is held: one that is overdue is delivered at once.
            self.due.push(Reverse((due.max(now), number)));
        }
    }

    /// Accepts a packet that `from` has sent, and applies the rules to it.
    pub(super) fn receive(&mut self, from: Side, bytes: &[u8], now: Mono) {
        if segment::is_multicast(bytes) {
            return;
        }
        let number = self.record(from, Origin::Sent, bytes.into(), now);
        let due = self.due_time(from, now);
        match self.matching_rule(number) {
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

    /// Adds a packet as if `from` had sent it. Rules do not apply to it.
    pub(super) fn inject(&mut self, from: Side, bytes: &[u8], now: Mono) {
        let number = self.record(from, Origin::Injected, bytes.into(), now);
        let due = self.due_time(from, now);
        self.due.push(Reverse((due, number)));
    }

    /// The time at which the next packet is due; `None` with no packet in flight.
    pub(super) fn next_due_time(&self) -> Option<Mono> {
        self.due.peek().map(|Reverse((due, _))| *due)
    }

    /// The next packet that is due by `now`. The forwarder writes it, then marks it delivered or refused.
    pub(super) fn next_due_packet(&mut self, now: Mono) -> Option<DuePacket> {
        let Reverse((due, number)) = *self.due.peek()?;
        if due > now {
            return None;
        }
        self.due.pop();
        let packet = &self.packets[number];
        Some(DuePacket { number, to: packet.from.peer(), bytes: Arc::clone(&packet.bytes) })
    }

    /// Records that the device took the packet between `before` and `after`.
    pub(super) fn mark_delivered(&mut self, number: usize, before: Mono, after: Mono) {
        self.packets[number].fate = Fate::Delivered { before, after };
    }

    /// Records that writing the packet to the device failed.
    pub(super) fn mark_refused(&mut self, number: usize, errno: Errno) {
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

    /// The first rule that matches the packet, and its action. Rules apply to TCP only.
    fn matching_rule(&mut self, number: usize) -> Option<(RuleId, Action)> {
        let Packet { from, segment, .. } = self.packets[number];
        let segment = segment?;
        let rules = self.rules.iter_mut().enumerate();
        rules.filter_map(|(id, rule)| Some((RuleId(id), rule.as_mut()?.action_for(from, &segment)?))).next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Flags, Segment};

    const MS: u64 = 1_000_000;

    fn emulator() -> Emulator {
        Emulator::new([Duration::from_millis(20), Duration::from_millis(30)])
    }

    fn packet(flags: Flags, payload: &[u8]) -> Vec<u8> {
        let [source, destination] = ["10.0.0.1:5", "10.0.0.2:6"].map(|text| text.parse().unwrap());
        let segment = Segment { source, destination, flags, seq: 1, ack: 2, window: 3, payload: 0 };
        segment::build(&segment, payload)
    }

    fn at(ms: u64) -> Mono {
        Mono(ms * MS)
    }

    /// Delivers every packet that is due, and returns their numbers.
    fn deliver_due(emulator: &mut Emulator, now: Mono) -> Vec<usize> {
        let due: Vec<_> =
            std::iter::from_fn(|| emulator.next_due_packet(now)).map(|packet| packet.number).collect();
        due.iter().for_each(|number| emulator.mark_delivered(*number, now, now));
        due
    }

    #[test]
    fn a_packet_is_due_after_the_delay_of_its_direction() {
        let mut emulator = emulator();
        emulator.receive(Side::A, &packet(Flags::SYN, b""), at(0));
        emulator.receive(Side::B, &packet(Flags::SYN, b""), at(5));
        assert_eq!(emulator.next_due_time(), Some(at(20)));
        assert!(deliver_due(&mut emulator, Mono(20 * MS - 1)).is_empty());
        let packet = emulator.next_due_packet(at(20)).unwrap();
        assert_eq!((packet.number, packet.to), (0, Side::B));
        assert_eq!(emulator.next_due_time(), Some(at(35)));
        let packet = emulator.next_due_packet(at(40)).unwrap();
        assert_eq!((packet.number, packet.to), (1, Side::A));
        assert_eq!(emulator.next_due_time(), None);
    }

    #[test]
    fn packets_sent_at_the_same_time_are_delivered_in_order() {
        let mut emulator = emulator();
        for _ in 0..5 {
            emulator.receive(Side::A, &packet(Flags::ACK, b"x"), at(0));
        }
        assert_eq!(deliver_due(&mut emulator, at(20)), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn the_delay_of_a_held_packet_keeps_running() {
        let mut emulator = emulator();
        let rule = emulator.add_rule(Rule::hold(Segment::is_syn));
        emulator.receive(Side::A, &packet(Flags::SYN, b""), at(0));
        emulator.receive(Side::A, &packet(Flags::ACK, b""), at(1));
        assert_eq!(emulator.packets()[0].fate, Fate::Held);
        assert_eq!(deliver_due(&mut emulator, at(100)), [1]);
        emulator.receive(Side::A, &packet(Flags::SYN, b""), at(95));
        emulator.remove_rule(rule, at(100));
        assert_eq!(emulator.packets()[0].fate, Fate::Travelling);
        assert_eq!(deliver_due(&mut emulator, at(100)), [0]);
        assert_eq!(deliver_due(&mut emulator, at(115)), [2]);
        emulator.receive(Side::A, &packet(Flags::SYN, b""), at(120));
        assert_eq!(emulator.packets()[3].fate, Fate::Travelling);
    }

    #[test]
    fn a_rule_applies_to_its_side_and_only_as_often_as_its_count() {
        let mut emulator = emulator();
        emulator.add_rule(Rule::drop(Segment::is_syn).sent_by(Side::A).once());
        emulator.receive(Side::B, &packet(Flags::SYN, b""), at(0));
        for _ in 0..2 {
            emulator.receive(Side::A, &packet(Flags::SYN, b""), at(0));
        }
        let fates: Vec<_> = emulator.packets().iter().map(|packet| packet.fate).collect();
        assert_eq!(fates, [Fate::Travelling, Fate::Dropped, Fate::Travelling]);
        assert_eq!(deliver_due(&mut emulator, at(100)), [2, 0]);
    }

    #[test]
    fn the_first_matching_rule_applies() {
        let mut emulator = emulator();
        let hold = emulator.add_rule(Rule::hold(Segment::is_syn));
        emulator.add_rule(Rule::drop(|_| true));
        emulator.receive(Side::A, &packet(Flags::SYN, b""), at(0));
        emulator.receive(Side::A, &packet(Flags::ACK, b""), at(0));
        emulator.remove_rule(hold, at(0));
        emulator.receive(Side::A, &packet(Flags::SYN, b""), at(0));
        let fates: Vec<_> = emulator.packets().iter().map(|packet| packet.fate).collect();
        assert_eq!(fates, [Fate::Travelling, Fate::Dropped, Fate::Dropped]);
    }

    #[test]
    fn a_duplicate_follows_its_original() {
        let mut emulator = emulator();
        emulator.add_rule(Rule::duplicate(Segment::has_data));
        emulator.receive(Side::A, &packet(Flags::ACK, b"x"), at(0));
        let [original, copy] = emulator.packets() else { panic!("two packets") };
        assert_eq!(copy.origin, Origin::Copy(original.number));
        assert_eq!(copy.bytes, original.bytes);
        assert_eq!(deliver_due(&mut emulator, at(20)), [0, 1]);
    }

    #[test]
    fn rules_do_not_apply_to_injected_packets() {
        let mut emulator = emulator();
        emulator.add_rule(Rule::drop(|_| true));
        emulator.inject(Side::B, &packet(Flags::RST, b""), at(0));
        assert_eq!(emulator.packets()[0].origin, Origin::Injected);
        assert_eq!(emulator.next_due_time(), Some(at(30)));
        assert_eq!(deliver_due(&mut emulator, at(30)), [0]);
        assert_eq!(emulator.packets()[0].fate, Fate::Delivered { before: at(30), after: at(30) });
    }
}
