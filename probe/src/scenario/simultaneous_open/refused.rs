//! Ends that miss each other: a SYN that meets no socket is answered with a reset.

use super::End;
use crate::{
    model::{Errno, Fate, Packet, Side, State},
    scenario::{Span, Stage, Step, StepError},
};

pub(super) fn play(stage: &mut Stage) -> Result<(), StepError> {
    let pair = stage.pair()?;
    let mut actors = Vec::new();
    // When the early one's SYN arrives, the other is not there yet; when the late one's does, the first
    // has been refused and is gone.
    for (label, side) in [("too early", Side::A), ("too late", Side::B)] {
        let end = End::at(side, &pair, label, stage)?;
        end.begin_connect()?;
        let outcome = end.socket.outcome(stage.deadline());
        stage.returns(label, Err(Errno::ECONNREFUSED), &outcome);
        actors.push(end.actor);
        // Where the wire is slow, the early one has sent a second SYN. The late one must not meet it.
        pair.wire.wait_for(stage.deadline(), nothing_travels).step("waiting for the wire to be empty")?;
    }
    let refused = [State::Close, State::SynSent, State::Close];
    stage.path("both refused", &actors, Span::Life, &refused);
    Ok(())
}

fn nothing_travels(packets: &[Packet]) -> bool {
    packets.iter().all(|packet| packet.fate != Fate::Travelling)
}
