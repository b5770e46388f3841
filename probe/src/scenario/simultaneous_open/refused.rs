//! Two sockets whose connects do not overlap: a SYN for which there is no socket is answered with an RST.

use super::peer::Peer;
use crate::{
    model::{Errno, Fate, Packet, Side, State},
    scenario::{Context, Span, Step, StepError},
};

pub(super) fn run(context: &mut Context) -> Result<(), StepError> {
    let pair = context.pair()?;
    let mut sockets = Vec::new();
    // When the first SYN arrives, the second socket does not exist yet; when the second one arrives, the
    // first socket has been refused and closed.
    for (label, side) in [("too early", Side::A), ("too late", Side::B)] {
        let peer = Peer::on_side(side, &pair, label, context)?;
        peer.begin_connect()?;
        let outcome = peer.socket.outcome(context.deadline());
        context.expect_result(label, Err(Errno::ECONNREFUSED), &outcome);
        sockets.push(peer.index);
        // On a slow wire the first socket has retransmitted its SYN, which must not reach the second one.
        pair.wire
            .wait_for(context.deadline(), none_in_flight)
            .step("waiting until no packet is in flight")?;
    }
    let refused = [State::Close, State::SynSent, State::Close];
    context.expect_path("both refused", &sockets, Span::Whole, &refused);
    Ok(())
}

fn none_in_flight(packets: &[Packet]) -> bool {
    packets.iter().all(|packet| packet.fate != Fate::Travelling)
}
