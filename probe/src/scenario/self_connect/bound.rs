//! A socket that is bound to a port and connects to that port.

use super::{PORT, close};
use crate::{
    model::State,
    scenario::{PAYLOAD, Span, Stage, Step, StepError, stage},
};

pub(super) fn play(stage: &mut Stage) -> Result<(), StepError> {
    use State::{Close, Closing, Established, FinWait1, SynRecv, SynSent};

    let namespace = stage.namespace()?;
    let here = stage.loopback(PORT);
    let socket = stage.bound(&namespace, here, |_| Ok(()))?;
    let actor = stage.join("bound", &socket, &namespace, stage::ends(here, here))?;
    let deadline = stage.deadline();
    let connected = stage.connect(actor, &socket, here);
    stage.returns("bound: connects", Ok(()), &connected);
    connected.step(format!("connecting {here} to itself"))?;

    let sent = socket.write_all(PAYLOAD.as_bytes(), deadline);
    let heard = sent.and_then(|()| socket.read_exact(PAYLOAD.len(), deadline));
    stage.reads("bound: reads", PAYLOAD, &heard);
    stage.list(&namespace)?;
    close(socket, stage)?;

    stage.path("bound: opens", &[actor], Span::Opening, &[Close, SynSent, SynRecv, Established]);
    stage.path("bound: closes", &[actor], Span::Closing, &[Established, FinWait1, Closing, Close]);
    Ok(())
}
