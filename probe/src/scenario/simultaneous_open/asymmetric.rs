//! One SYN is lost, so that the two sides see the same connection open differently.
//!
//! B is in SYN_SENT when A's SYN arrives: B sees a simultaneous open and answers with a SYN+ACK. A has sent a
//! SYN and receives a SYN+ACK: A sees a three-way handshake.

use super::peer::{Peer, close, exchange_payloads, wait_for_last_ack};
use crate::{
    model::{Fate, Packet, Segment, Side, State},
    scenario::{Context, SocketIndex, Span, Step, StepError, namespace_pair::handshake},
    wire::Rule,
};

pub(super) fn run(context: &mut Context) -> Result<(), StepError> {
    let pair = context.pair()?;
    // Drop every SYN of B: if A's SYN took a second, B would retransmit its own.
    pair.wire.add_rule(Rule::drop(Segment::is_syn).sent_by(Side::B));
    let b = Peer::on_side(Side::B, &pair, "b (SYN lost)", context)?;
    b.begin_connect()?;
    let lost = |packets: &[Packet]| packets.iter().any(|packet| packet.fate == Fate::Dropped);
    pair.wire.wait_for(context.deadline(), lost).step("waiting for a SYN to be lost")?;
    let a = Peer::on_side(Side::A, &pair, "a (SYN delivered)", context)?;
    expect_opens(context, a.index, b.index);
    a.begin_connect()?;
    a.expect_connected(context)?;
    b.expect_connected(context)?;
    context.expect_equal("one SYN lost", "SYN (lost), SYN, SYN+ACK", handshake(&pair.wire.packets()));

    exchange_payloads(context, [&a, &b])?;
    close(context, a, b)?;
    wait_for_last_ack(context, &pair, Side::B)
}

fn expect_opens(context: &mut Context, a: SocketIndex, b: SocketIndex) {
    use State::{Close, Established, SynRecv, SynSent};

    context.expect_path("a sees an active open", &[a], Span::Opening, &[Close, SynSent, Established]);
    let simultaneous = [Close, SynSent, SynRecv, Established];
    context.expect_path("b sees a simultaneous open", &[b], Span::Opening, &simultaneous);
    context.expect_all_established("still one connection", &[a, b]);
}
