//! Two SYNs cross, and each moves the socket that it reaches from SYN_SENT to SYN_RECV.

use super::peer::{Peer, close, exchange_payloads, wait_for_last_ack};
use crate::{
    model::{Fate, Packet, Segment, Side, State},
    scenario::{Context, SocketIndex, Span, Step, StepError, namespace_pair::handshake},
    wire::Rule,
};

/// The path of both sockets.
pub(super) const SIMULTANEOUS: [State; 4] =
    [State::Close, State::SynSent, State::SynRecv, State::Established];

pub(super) fn run(context: &mut Context) -> Result<(), StepError> {
    let pair = context.pair()?;
    let a = Peer::on_side(Side::A, &pair, "a", context)?;
    let b = Peer::on_side(Side::B, &pair, "b", context)?;
    expect_paths(context, a.index, b.index);

    // The delay alone makes the SYNs cross, unless it is shorter than the time between the two calls. So the
    // wire holds each SYN until both have been sent.
    let syns = pair.wire.add_rule(Rule::hold(Segment::is_syn));
    for peer in [&a, &b] {
        peer.begin_connect()?;
    }
    pair.wire.wait_for(context.deadline(), both_held).step("waiting for two SYNs in flight")?;
    pair.wire.remove_rule(syns);
    a.expect_connected(context)?;
    b.expect_connected(context)?;
    context.expect_equal("on the wire", "SYN, SYN, SYN+ACK, SYN+ACK", handshake(&pair.wire.packets()));

    exchange_payloads(context, [&a, &b])?;
    for namespace in &pair.namespaces {
        context.list_sockets(namespace)?;
    }
    close(context, a, b)?;
    wait_for_last_ack(context, &pair, Side::B)
}

fn expect_paths(context: &mut Context, a: SocketIndex, b: SocketIndex) {
    use State::{Close, CloseWait, Established, FinWait1, FinWait2, LastAck};

    context.expect_path("both open", &[a, b], Span::Opening, &SIMULTANEOUS);
    context.expect_all_established("one connection", &[a, b]);
    context.expect_path("a closes", &[a], Span::Closing, &[Established, FinWait1, FinWait2, Close]);
    context.expect_path("b closes", &[b], Span::Closing, &[Established, CloseWait, LastAck, Close]);
}

fn both_held(packets: &[Packet]) -> bool {
    Side::BOTH
        .into_iter()
        .all(|side| packets.iter().any(|packet| packet.from == side && packet.fate == Fate::Held))
}
