//! One SYN is lost, so that the ends tell different stories of the same connection.
//!
//! B is in SYN_SENT when A's SYN arrives, takes it for a simultaneous open and answers with a SYN+ACK.
//! A has sent a SYN and gets a SYN+ACK: to A this was an ordinary connect.

use super::{End, close, converse, wait_for_last_ack};
use crate::{
    model::{Fate, Packet, Segment, Side, State},
    scenario::{ActorId, Span, Stage, Step, StepError, pair::handshake},
    wire::Rule,
};

pub(super) fn play(stage: &mut Stage) -> Result<(), StepError> {
    let pair = stage.pair()?;
    // All of B's, for it would send one again if A's took a second.
    pair.wire.add(Rule::drop(Segment::is_syn).sent_by(Side::B));
    let b = End::at(Side::B, &pair, "b (SYN lost)", stage)?;
    b.begin_connect()?;
    let lost = |packets: &[Packet]| packets.iter().any(|packet| packet.fate == Fate::Dropped);
    pair.wire.wait_for(stage.deadline(), lost).step("waiting for a SYN to be lost")?;
    let a = End::at(Side::A, &pair, "a (SYN alone)", stage)?;
    expect_openings(stage, a.actor, b.actor);
    a.begin_connect()?;
    a.connects(stage)?;
    b.connects(stage)?;
    stage.done("one SYN on the wire", "SYN (lost), SYN, SYN+ACK", handshake(&pair.wire.packets()));

    converse(stage, [&a, &b])?;
    close(stage, a, b)?;
    wait_for_last_ack(stage, &pair, Side::B)
}

fn expect_openings(stage: &mut Stage, a: ActorId, b: ActorId) {
    use State::{Close, Established, SynRecv, SynSent};

    stage.path("to a, an ordinary open", &[a], Span::Opening, &[Close, SynSent, Established]);
    stage.path("to b, a simultaneous open", &[b], Span::Opening, &[Close, SynSent, SynRecv, Established]);
    stage.together("still one connection", &[a, b]);
}
