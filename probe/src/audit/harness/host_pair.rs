//! Two hosts with a wire between them.

use std::{sync::Arc, time::Instant};

use super::test_host::TestHost;
use crate::{
    model::{Flags, Origin, Packet, Segment, Side},
    scenario::{Step, StepError},
    wire::Wire,
};

/// Two hosts with a wire between them.
pub struct HostPair {
    /// The host on side A of the wire.
    pub a: TestHost,
    /// The host on side B of the wire.
    pub b: TestHost,
    /// The wire.
    pub wire: Arc<Wire>,
    deadline: Instant,
}

impl HostPair {
    pub(super) fn new(a: TestHost, b: TestHost, wire: Arc<Wire>, deadline: Instant) -> Self {
        Self { a, b, wire, deadline }
    }

    /// Waits until `side` has sent a matching segment, and returns the first one.
    ///
    /// # Errors
    /// The deadline passed.
    pub fn wait_for_segment(
        &self,
        side: Side,
        matches: impl Fn(&Segment) -> bool,
    ) -> Result<Segment, StepError> {
        Ok(self.wait_for_nth_segment(side, 1, matches)?.segment.expect("only segments match"))
    }

    /// Waits until both sides have sent a matching segment.
    ///
    /// # Errors
    /// The deadline passed.
    pub fn wait_for_both(&self, matches: impl Fn(&Segment) -> bool) -> Result<(), StepError> {
        Side::BOTH.into_iter().try_for_each(|side| self.wait_for_segment(side, &matches).map(drop))
    }

    /// Waits until the kernel of `side` has sent `count` matching segments, and returns the packet of the last one.
    ///
    /// # Errors
    /// The deadline passed.
    pub fn wait_for_nth_segment(
        &self,
        side: Side,
        count: usize,
        matches: impl Fn(&Segment) -> bool,
    ) -> Result<Packet, StepError> {
        let is_match =
            |packet: &&Packet| is_sent_by(packet, side) && packet.segment.is_some_and(|s| matches(&s));
        let packets = self
            .wire
            .wait_for(self.deadline, |packets| packets.iter().filter(is_match).count() >= count)
            .step(format!("waiting for a segment from side {side}"))?;
        let found = packets.iter().filter(is_match).nth(count - 1);
        Ok(found.expect("wait_for has counted it").clone())
    }

    /// The number of matching segments that the kernel of `side` has sent.
    #[must_use]
    pub fn count_sent(&self, side: Side, matches: impl Fn(&Segment) -> bool) -> usize {
        let packets = self.wire.packets();
        let sent = packets.iter().filter(|packet| is_sent_by(packet, side));
        sent.filter(|packet| packet.segment.is_some_and(|segment| matches(&segment))).count()
    }

    /// The segments that the kernel of `side` has sent, such as `SYN, data, FIN+ACK`; `nothing` if there are
    /// none. A retransmitted segment is listed once. Bare ACKs are omitted, because their number depends on
    /// timing.
    #[must_use]
    pub fn sent_segments(&self, side: Side) -> String {
        let mut seen = Vec::new();
        let mut descriptions = Vec::new();
        for packet in self.wire.packets() {
            let Some(segment) = packet.segment else { continue };
            let key = (segment.endpoints(), segment.flags, segment.seq, segment.payload);
            if !is_sent_by(&packet, side) || segment.is_bare_ack() || seen.contains(&key) {
                continue;
            }
            seen.push(key);
            descriptions.push(describe(&segment));
        }
        if descriptions.is_empty() { "nothing".to_owned() } else { descriptions.join(", ") }
    }
}

/// Whether the kernel of `side` sent the packet, rather than the steps or the wire.
fn is_sent_by(packet: &Packet, side: Side) -> bool {
    (packet.from, packet.origin) == (side, Origin::Sent)
}

/// `SYN+ACK`, `SYN with data`, `data`
fn describe(segment: &Segment) -> String {
    let is_control =
        [Flags::SYN, Flags::FIN, Flags::RST].into_iter().any(|flag| segment.flags.contains(flag));
    match (is_control, segment.has_data()) {
        (false, _) => "data".to_owned(),
        (true, false) => segment.flags.to_string(),
        (true, true) => format!("{} with data", segment.flags),
    }
}
