//! Lays out the events at both endpoints in rows: one for each time at which something happened, regardless of the time
//! between them.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use crate::{
    model::{BehaviourResult, Fate, Mono, Packet, Side, State, Transition},
    render::table::format,
};

/// The least time without events that is shown as a pause.
const MIN_PAUSE: Duration = Duration::from_millis(100);

/// The number of packets that are drawn. A diagram with more is unreadable.
const MAX_PACKETS: usize = 60;

/// The layout of a diagram.
pub struct SequenceLayout<'a> {
    /// The addresses of the endpoints.
    pub names: [String; 2],
    pub arrows: Vec<PacketArrow<'a>>,
    pub states: Vec<StateMark<'a>>,
    pub pauses: Vec<Pause>,
    /// The number of rows, including pauses.
    pub height: usize,
    /// The number of packets that are not drawn.
    pub omitted: usize,
}

/// A time without events, shown in a row of its own.
pub struct Pause {
    pub row: usize,
    /// Its duration.
    pub time: String,
}

/// A packet, from row to row.
pub struct PacketArrow<'a> {
    pub packet: &'a Packet,
    pub sent: usize,
    /// The row in which the arrow ends: the next one, if the packet did not arrive.
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
    /// The time since the first event, in milliseconds.
    pub time: String,
}

impl<'a> SequenceLayout<'a> {
    /// Lays out the packets and transitions of a behaviour.
    pub fn of(result: &'a BehaviourResult) -> Self {
        let packets = &result.packets[..result.packets.len().min(MAX_PACKETS)];
        let sides = Sides::of(result);
        let transitions: Vec<(Side, &str, &Transition)> = result
            .transitions
            .iter()
            .filter_map(|(label, transition)| {
                Some((sides.side(transition)?, label.as_deref().unwrap_or_default(), transition))
            })
            .collect();
        let rows = Rows::of(packets, transitions.iter().map(|(_, _, transition)| transition.at));
        let arrows = packets
            .iter()
            .map(|packet| PacketArrow {
                packet,
                sent: rows.at(packet.sent),
                ended: rows.at(end(packet)),
                has_arrived: arrival(packet).is_some(),
            })
            .collect();
        let first = rows.0.first().copied().unwrap_or_default();
        let states = transitions
            .into_iter()
            .map(|(side, label, transition)| StateMark {
                side,
                row: rows.at(transition.at),
                label,
                old: transition.old,
                new: transition.new,
                cause: format::cause(transition.cause).1,
                time: format::milliseconds(first, transition.at),
            })
            .collect();
        Self {
            names: sides.names,
            arrows,
            states,
            pauses: rows.pauses().collect(),
            height: rows.at(Mono(u64::MAX)),
            omitted: result.packets.len() - packets.len(),
        }
    }
}

/// When a packet arrived at the other endpoint.
fn arrival(packet: &Packet) -> Option<Mono> {
    match packet.fate {
        Fate::Delivered { before, .. } => Some(before),
        // It arrived, and the kernel rejected it.
        Fate::Refused(_) => Some(packet.sent),
        Fate::Travelling | Fate::Held | Fate::Dropped => None,
    }
}

/// When the arrow of a packet ends. A lost packet gets a row of its own, so that nothing is drawn over its end.
fn end(packet: &Packet) -> Mono {
    arrival(packet).unwrap_or_else(|| packet.sent.after(Duration::from_nanos(1)))
}

/// The distinct times of events, in order.
struct Rows(Vec<Mono>);

impl Rows {
    fn of(packets: &[Packet], others: impl Iterator<Item = Mono>) -> Self {
        let sent = packets.iter().map(|packet| packet.sent);
        let mut rows: Vec<Mono> = sent.chain(packets.iter().map(end)).chain(others).collect();
        rows.sort_unstable();
        rows.dedup();
        Self(rows)
    }

    /// The row of a time: the number of earlier times and pauses.
    fn at(&self, time: Mono) -> usize {
        let index = self.0.partition_point(|row| *row < time);
        index + self.0[..self.0.len().min(index + 1)].windows(2).filter(|pair| is_pause(pair)).count()
    }

    fn pauses(&self) -> impl Iterator<Item = Pause> {
        self.0
            .windows(2)
            .filter(|pair| is_pause(pair))
            .map(|pair| Pause { row: self.at(pair[1]) - 1, time: format::duration(pair[1].since(pair[0])) })
    }
}

fn is_pause(pair: &[Mono]) -> bool {
    pair[1].since(pair[0]) >= MIN_PAUSE
}

/// Maps sockets to endpoints: by the addresses in the packets, or by the namespace if the socket has no address.
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
            let side = by_addr.get(&transition.identity.endpoints.local.addr.to_canonical());
            if let (Some(netns), Some(side)) = (transition.identity.netns, side) {
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
        let by_netns = transition.identity.netns.and_then(|netns| self.by_netns.get(&netns));
        by_netns
            .or_else(|| self.by_addr.get(&transition.identity.endpoints.local.addr.to_canonical()))
            .copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing;

    #[test]
    fn later_events_are_in_lower_rows() {
        let results = testing::results();
        let layout = SequenceLayout::of(&results[0]);
        assert_eq!(layout.names, ["10.13.14.1", "10.13.14.2"]);
        assert_eq!((layout.arrows.len(), layout.states.len(), layout.omitted), (6, 8, 0));
        assert!(layout.states.is_sorted_by_key(|mark| mark.row));
        let lost = &layout.arrows[0];
        assert_eq!((lost.sent, lost.ended, lost.has_arrived), (1, 2, false));
        for arrow in &layout.arrows[1..] {
            assert!(arrow.has_arrived && arrow.ended > arrow.sent);
        }
        // Nothing else is in the row in which a packet is lost.
        assert!(layout.states.iter().all(|mark| mark.row != lost.ended));
    }

    #[test]
    fn a_socket_without_an_address_is_assigned_by_its_namespace() {
        let mut results = testing::results();
        results[0].transitions[0].1.identity.endpoints.local.addr = IpAddr::from([0, 0, 0, 0]);
        assert_eq!(SequenceLayout::of(&results[0]).states.len(), 8);
        results[0].transitions[0].1.identity.netns = Some(1);
        assert_eq!(SequenceLayout::of(&results[0]).states.len(), 7);
    }

    #[test]
    fn a_pause_has_a_row_of_its_own() {
        let mut results = testing::results();
        let before = SequenceLayout::of(&results[0]);
        assert_eq!(before.pauses.len(), 0);
        let height = before.height;
        let last = results[0].transitions.last_mut().expect("a transition");
        last.1.at = last.1.at.after(MIN_PAUSE * 12);
        let layout = SequenceLayout::of(&results[0]);
        let pause = &layout.pauses[0];
        assert_eq!((layout.pauses.len(), layout.height, pause.time.as_str()), (1, height + 1, "1.20 s"));
        assert_eq!(layout.states.last().map(|mark| mark.row), Some(pause.row + 1));
    }

    #[test]
    fn packets_beyond_the_limit_are_omitted() {
        let mut results = testing::results();
        let packet = results[0].packets[1].clone();
        results[0].packets = vec![packet; MAX_PACKETS + 7];
        assert_eq!(SequenceLayout::of(&results[0]).omitted, 7);
    }
}
