//! What happened at both ends of a wire, in rows: every moment at which something happened is one, however long it
//! was until the next.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use crate::{
    model::{BehaviourResult, Fate, Mono, Packet, Side, State, Transition},
    render::table::words,
};

/// From here on, the time in which nothing happened is told.
const LONG: Duration = Duration::from_millis(100);

/// So many packets are drawn; a drawing with more has nothing to read in it.
const MOST: usize = 60;

/// The whole drawing.
pub struct SequenceLayout<'a> {
    /// The ends' addresses.
    pub names: [String; 2],
    pub crossings: Vec<PacketArrow<'a>>,
    pub moments: Vec<StateMark<'a>>,
    /// Where nothing happened for long.
    pub pauses: Vec<Pause>,
    /// How many rows there are, pauses included.
    pub height: usize,
    /// How many packets are not drawn.
    pub left_out: usize,
}

/// A time in which nothing happened: a row of its own.
pub struct Pause {
    pub row: usize,
    /// How long it was.
    pub time: String,
}

/// A packet, from row to row.
pub struct PacketArrow<'a> {
    pub packet: &'a Packet,
    pub sent: usize,
    /// Where its line ends: just below, where it never came to the other end.
    pub ended: usize,
    pub has_arrived: bool,
}

/// A state that was entered.
pub struct StateMark<'a> {
    pub side: Side,
    pub row: usize,
    pub label: &'a str,
    pub old: State,
    pub new: State,
    pub cause: String,
    /// Since the first of all, in milliseconds.
    pub time: String,
}

impl<'a> SequenceLayout<'a> {
    /// Lays out what is known.
    pub fn of(result: &'a BehaviourResult) -> Self {
        let packets = &result.packets[..result.packets.len().min(MOST)];
        let sides = Sides::of(result);
        let transitions: Vec<(Side, &str, &Transition)> = result
            .transitions
            .iter()
            .filter_map(|(label, transition)| {
                Some((sides.side(transition)?, label.as_deref().unwrap_or_default(), transition))
            })
            .collect();
        let rows = Rows::of(packets, transitions.iter().map(|(_, _, transition)| transition.at));
        let crossings = packets
            .iter()
            .map(|packet| PacketArrow {
                packet,
                sent: rows.at(packet.sent),
                ended: rows.at(end(packet)),
                has_arrived: arrival(packet).is_some(),
            })
            .collect();
        let first = rows.0.first().copied().unwrap_or_default();
        let moments = transitions
            .into_iter()
            .map(|(side, label, transition)| StateMark {
                side,
                row: rows.at(transition.at),
                label,
                old: transition.old,
                new: transition.new,
                cause: words::cause(transition.cause).1,
                time: words::milliseconds(first, transition.at),
            })
            .collect();
        Self {
            names: sides.names,
            crossings,
            moments,
            pauses: rows.pauses().collect(),
            height: rows.at(Mono(u64::MAX)),
            left_out: result.packets.len() - packets.len(),
        }
    }
}

/// When a packet came to the other end.
fn arrival(packet: &Packet) -> Option<Mono> {
    match packet.fate {
        Fate::Delivered { before, .. } => Some(before),
        // It got there, and was turned away.
        Fate::Refused(_) => Some(packet.sent),
        Fate::Travelling | Fate::Held | Fate::Dropped => None,
    }
}

/// When its line ends. What gets lost does so at a moment of its own, so that nothing is drawn over it.
fn end(packet: &Packet) -> Mono {
    arrival(packet).unwrap_or_else(|| packet.sent.after(Duration::from_nanos(1)))
}

/// Every moment, once, in order.
struct Rows(Vec<Mono>);

impl Rows {
    fn of(packets: &[Packet], others: impl Iterator<Item = Mono>) -> Self {
        let sent = packets.iter().map(|packet| packet.sent);
        let mut rows: Vec<Mono> = sent.chain(packets.iter().map(end)).chain(others).collect();
        rows.sort_unstable();
        rows.dedup();
        Self(rows)
    }

    /// Its row: one for each moment before it, and one for each pause.
    fn at(&self, moment: Mono) -> usize {
        let place = self.0.partition_point(|row| *row < moment);
        place + self.0[..self.0.len().min(place + 1)].windows(2).filter(|pair| is_pause(pair)).count()
    }

    fn pauses(&self) -> impl Iterator<Item = Pause> {
        self.0
            .windows(2)
            .filter(|pair| is_pause(pair))
            .map(|pair| Pause { row: self.at(pair[1]) - 1, time: words::span(pair[1].since(pair[0])) })
    }
}

fn is_pause(pair: &[Mono]) -> bool {
    pair[1].since(pair[0]) >= LONG
}

/// Which end is which: by the addresses in the packets, and for sockets without one by the namespace.
struct Sides {
    names: [String; 2],
    by_addr: HashMap<IpAddr, Side>,
    by_netns: HashMap<u32, Side>,
}

impl Sides {
    fn of(result: &BehaviourResult) -> Self {
        let mut by_addr = HashMap::new();
        for packet in &result.packets {
            if let Some(segment) = &packet.segment {
                by_addr.entry(segment.source.ip().to_canonical()).or_insert(packet.from);
                by_addr.entry(segment.destination.ip().to_canonical()).or_insert(packet.from.peer());
            }
        }
        let mut by_netns = HashMap::new();
        for (_, transition) in &result.transitions {
            let side = by_addr.get(&transition.ends.local.addr.to_canonical());
            if let (Some(netns), Some(side)) = (transition.netns, side) {
                by_netns.entry(netns).or_insert(*side);
            }
        }
        let names = Side::BOTH.map(|side| {
            let mut addrs: Vec<_> =
                by_addr.iter().filter(|(_, of)| **of == side).map(|(addr, _)| addr.to_string()).collect();
            addrs.sort();
            if addrs.is_empty() { side.to_string() } else { addrs.join(", ") }
        });
        Self { names, by_addr, by_netns }
    }

    fn side(&self, transition: &Transition) -> Option<Side> {
        let by_netns = transition.netns.and_then(|netns| self.by_netns.get(&netns));
        by_netns.or_else(|| self.by_addr.get(&transition.ends.local.addr.to_canonical())).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing;

    #[test]
    fn what_happens_later_stands_lower() {
        let results = testing::results();
        let course = SequenceLayout::of(&results[0]);
        assert_eq!(course.names, ["10.13.14.1", "10.13.14.2"]);
        assert_eq!((course.crossings.len(), course.moments.len(), course.left_out), (6, 8, 0));
        assert!(course.moments.is_sorted_by_key(|moment| moment.row));
        let lost = &course.crossings[0];
        assert_eq!((lost.sent, lost.ended, lost.has_arrived), (1, 2, false));
        for crossing in &course.crossings[1..] {
            assert!(crossing.has_arrived && crossing.ended > crossing.sent);
        }
        // Nothing else happens where a packet is lost.
        assert!(course.moments.iter().all(|moment| moment.row != lost.ended));
    }

    #[test]
    fn a_socket_without_an_address_is_found_by_its_namespace() {
        let mut results = testing::results();
        results[0].transitions[0].1.ends.local.addr = IpAddr::from([0, 0, 0, 0]);
        assert_eq!(SequenceLayout::of(&results[0]).moments.len(), 8);
        results[0].transitions[0].1.netns = Some(1);
        assert_eq!(SequenceLayout::of(&results[0]).moments.len(), 7);
    }

    #[test]
    fn a_long_time_has_a_row_of_its_own() {
        let mut results = testing::results();
        let before = SequenceLayout::of(&results[0]);
        assert_eq!(before.pauses.len(), 0);
        let height = before.height;
        let last = results[0].transitions.last_mut().expect("there are some");
        last.1.at = last.1.at.after(LONG * 12);
        let course = SequenceLayout::of(&results[0]);
        let pause = &course.pauses[0];
        assert_eq!((course.pauses.len(), course.height, pause.time.as_str()), (1, height + 1, "1.20 s"));
        assert_eq!(course.moments.last().map(|moment| moment.row), Some(pause.row + 1));
    }

    #[test]
    fn a_flood_is_cut() {
        let mut results = testing::results();
        let packet = results[0].packets[1].clone();
        results[0].packets = vec![packet; MOST + 7];
        assert_eq!(SequenceLayout::of(&results[0]).left_out, 7);
    }
}
