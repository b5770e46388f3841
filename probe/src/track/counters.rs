//! The counters of a connection, from the kernel's.

use std::num::NonZeroU8;

use crate::model::{Counters, FinalFields, Open, Report, State};

/// What the connection's earlier reports showed.
#[derive(Clone, Copy, Debug)]
pub struct Earlier {
    /// How it opened.
    pub open: Open,
    /// Whether it was opened under TCP_REPAIR, so that no SYN was sent.
    pub in_repair: bool,
    /// The SYN+ACKs that it sent before ESTABLISHED.
    pub synacks: Option<NonZeroU8>,
}

/// The counters of the connection that ends with this report.
pub fn counters(end: &Report, earlier: Earlier) -> Option<Counters> {
    let counters = end.counters?;
    // The FIN is in the report's count.
    let fin = end.fin_received == Some(true);
    Some(Counters {
        bytes_sent: end
            .final_fields
            .and_then(|fields| accepted(end.old, &fields, earlier.open.is_outgoing() && !earlier.in_repair))
            .map_or(counters.bytes_sent, |accepted| accepted.min(counters.bytes_sent)),
        bytes_received: counters.bytes_received.saturating_sub(fin.into()),
        synacks: earlier.synacks.filter(|_| earlier.open == Open::Passive),
        ..counters
    })
}

/// The payload that is acknowledged or in flight: what the network has accepted. The kernel counts a segment as sent before
/// the device accepts it, and counts it again at the next attempt, but then advances `snd_nxt` only once.
///
/// `has_syn`: whether a SYN of this side was acknowledged. A child starts behind its SYN+ACK.
fn accepted(old: State, fields: &FinalFields, has_syn: bool) -> Option<u64> {
    use State::*;
    let numbers = fields.bytes_acked?.checked_add(fields.in_flight?.into())?;
    // The FIN is behind all data.
    let fin = match old {
        FinWait1 | Closing | LastAck => !fields.has_unsent?,
        FinWait2 => true,
        _ => false,
    };
    Some(numbers.saturating_sub(u64::from(has_syn) + u64::from(fin)))
}

#[cfg(test)]
mod tests {
    use super::{super::testing::report, *};

    const EARLIER: Earlier = Earlier { open: Open::Active, in_repair: false, synacks: None };

    /// A connection that ends in this state, with this many numbers acknowledged and in flight. The kernel has tried to send
    /// a thousand bytes.
    fn end(old: State, bytes_acked: u64, in_flight: u32) -> Report {
        let fields = FinalFields {
            error_soft: Some(None),
            in_flight: Some(in_flight),
            has_unsent: Some(false),
            linger2_is_negative: Some(false),
            bytes_acked: Some(bytes_acked),
        };
        let mut report = Report { final_fields: Some(fields), ..report(old, State::Close).counted(9, 9) };
        report.counters.as_mut().expect("it has counters").bytes_sent = 1000;
        report
    }

    fn sent(end: &Report, open: Open) -> u64 {
        counters(end, Earlier { open, ..EARLIER }).expect("it has counters").bytes_sent
    }

    #[test]
    fn what_is_acknowledged_or_in_flight_was_sent() {
        // The SYN and the FIN of this side have numbers, too.
        assert_eq!(sent(&end(State::FinWait2, 102, 0), Open::Active), 100);
        assert_eq!(sent(&end(State::LastAck, 101, 0), Open::Passive), 100);
        assert_eq!(sent(&end(State::FinWait1, 71, 31), Open::Active), 100);
        assert_eq!(sent(&end(State::Established, 71, 30), Open::Active), 100);
        assert_eq!(sent(&end(State::CloseWait, 70, 30), Open::Passive), 100);
        assert_eq!(sent(&end(State::SynSent, 0, 1), Open::Active), 0);
        assert_eq!(sent(&end(State::SynSent, 0, 0), Open::Active), 0);
        let repaired = Earlier { in_repair: true, ..EARLIER };
        assert_eq!(
            counters(&end(State::Established, 70, 30), repaired).expect("it has counters").bytes_sent,
            100
        );
    }

    #[test]
    fn a_fin_that_was_never_sent_has_no_number_yet() {
        let mut end = end(State::FinWait1, 71, 30);
        end.final_fields.as_mut().expect("it has them").has_unsent = Some(true);
        assert_eq!(sent(&end, Open::Active), 100);
    }

    #[test]
    fn the_kernels_count_is_the_most_that_was_sent() {
        assert_eq!(sent(&end(State::Established, 1001, 0), Open::Preexisting), 1000);
        let unknown = Report { final_fields: None, ..end(State::Established, 5, 5) };
        assert_eq!(sent(&unknown, Open::Active), 1000);
    }

    #[test]
    fn the_peers_fin_is_no_payload() {
        let received = |fin_received| {
            let end = Report { fin_received, ..end(State::LastAck, 1, 0) };
            counters(&end, EARLIER).expect("it has counters").bytes_received
        };
        assert_eq!([Some(false), None, Some(true)].map(received), [2, 2, 1]);
    }

    #[test]
    fn only_a_passive_connection_has_syn_acks() {
        let synacks = |open| {
            let earlier = Earlier { open, synacks: NonZeroU8::new(3), ..EARLIER };
            counters(&end(State::LastAck, 1, 0), earlier).expect("it has counters").synacks
        };
        assert_eq!(synacks(Open::Passive), NonZeroU8::new(3));
        // Of a simultaneous open, the retransmissions may be SYNs.
        assert_eq!(synacks(Open::Simultaneous), None);
    }
}
