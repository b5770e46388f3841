//! The counters of a connection, from the kernel's.

use std::num::NonZeroU8;

use crate::model::{Counters, FinalFields, Open, Report, State};

/// What the connection's earlier reports showed.
#[derive(Clone, Copy, Debug)]
pub struct Earlier {
    /// How it opened.
    pub open: Open,
    /// The SYN+ACKs that it sent before ESTABLISHED.
    pub synacks: Option<NonZeroU8>,
    /// Whether the peer's FIN came with its SYN (SYN_RECV→CLOSE_WAIT).
    pub fin_with_syn: bool,
}

/// The counters of the connection that ends with this report.
pub fn counters(end: &Report, earlier: Earlier) -> Option<Counters> {
    let counters = end.counters?;
    // `bytes_received` follows `rcv_nxt`, and a FIN takes a sequence number (tcp_rcv_nxt_update), unless it comes with the
    // SYN (tcp_fastopen_add_skb).
    let fin = end.fin_received == Some(true) && !earlier.fin_with_syn;
    Some(Counters {
        bytes_sent: end
            .final_fields
            .and_then(|fields| accepted(end.old, &fields, earlier.open))
            .map_or(counters.bytes_sent, |accepted| accepted.min(counters.bytes_sent)),
        bytes_received: counters.bytes_received.saturating_sub(fin.into()),
        synacks: earlier.synacks.filter(|_| earlier.open == Open::Passive),
        ..counters
    })
}

/// The payload that is acknowledged or in flight: what the network has accepted. The kernel counts a segment as sent before
/// the device accepts it, and counts it again at the next attempt, but then advances `snd_nxt` only once.
fn accepted(old: State, fields: &FinalFields, open: Open) -> Option<u64> {
    use State::*;
    let numbers = fields.bytes_acked?.checked_add(fields.in_flight?.into())?;
    // A child starts behind its SYN+ACK. Where it is not known who opened the connection, one byte too many is possible.
    let syn = open.is_outgoing();
    // The FIN is behind all data.
    let fin = match old {
        FinWait1 | Closing | LastAck => !fields.has_unsent?,
        FinWait2 => true,
        _ => false,
    };
    Some(numbers.saturating_sub(u64::from(syn) + u64::from(fin)))
}

#[cfg(test)]
mod tests {
    use super::{super::testing::report, *};

    const EARLIER: Earlier = Earlier { open: Open::Active, synacks: None, fin_with_syn: false };

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
        let received = |fin_received, fin_with_syn| {
            let end = Report { fin_received, ..end(State::LastAck, 1, 0) };
            counters(&end, Earlier { fin_with_syn, ..EARLIER }).expect("it has counters").bytes_received
        };
        assert_eq!(received(Some(false), false), 2);
        assert_eq!(received(None, false), 2);
        assert_eq!(received(Some(true), false), 1);
        assert_eq!(received(Some(true), true), 2);
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
