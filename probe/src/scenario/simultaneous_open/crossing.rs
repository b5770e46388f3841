//! Two SYNs in flight at once, each of which opens the other end's connection.

use super::{End, close, converse, wait_for_last_ack};
use crate::{
    model::{Fate, Packet, Segment, Side, State},
    scenario::{ActorId, Span, Stage, Step, StepError, pair::handshake},
    wire::Rule,
};

/// What both ends go through.
pub(super) const CROSSED: [State; 4] = [State::Close, State::SynSent, State::SynRecv, State::Established];

pub(super) fn play(stage: &mut Stage) -> Result<(), StepError> {
    let pair = stage.pair()?;
    let a = End::at(Side::A, &pair, "a", stage)?;
    let b = End::at(Side::B, &pair, "b", stage)?;
    expect_lives(stage, a.actor, b.actor);

    // The delay alone makes the SYNs cross, except where it is shorter than what lies between the two
    // calls. So neither SYN arrives before both are on their way.
    let syns = pair.wire.add(Rule::hold(Segment::is_syn));
    for end in [&a, &b] {
        end.begin_connect()?;
    }
    pair.wire.wait_for(stage.deadline(), both_held).step("waiting for two SYNs in flight")?;
    pair.wire.lift(syns);
    a.connects(stage)?;
    b.connects(stage)?;
    stage.done("the wire carried", "SYN, SYN, SYN+ACK, SYN+ACK", handshake(&pair.wire.packets()));

    converse(stage, [&a, &b])?;
    for namespace in &pair.namespaces {
        stage.list(namespace)?;
    }
    close(stage, a, b)?;
    wait_for_last_ack(stage, &pair, Side::B)
}

fn expect_lives(stage: &mut Stage, a: ActorId, b: ActorId) {
    use State::{Close, CloseWait, Established, FinWait1, FinWait2, LastAck};

    stage.path("both open", &[a, b], Span::Opening, &CROSSED);
    stage.together("one connection", &[a, b]);
    stage.path("a closes", &[a], Span::Closing, &[Established, FinWait1, FinWait2, Close]);
    stage.path("b follows", &[b], Span::Closing, &[Established, CloseWait, LastAck, Close]);
}

fn both_held(packets: &[Packet]) -> bool {
    Side::BOTH
        .into_iter()
        .all(|side| packets.iter().any(|packet| packet.from == side && packet.fate == Fate::Held))
}
