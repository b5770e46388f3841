//! `simultaneous-open`: both ends connect, nobody listens, and their SYNs cross (RFC 9293 §3.5).
//!
//! - `crossing`: the real thing, over a wire on which packets take their time
//! - `refused`: one end too early, the other too late
//! - `asymmetric`: one end opens simultaneously, and to the other it was an ordinary connect
//! - `loopback`: without a wire, as a `race` between two threads

mod asymmetric;
mod crossing;
mod loopback;
mod race;
mod refused;

use std::net::{Shutdown, SocketAddr};

use super::{ActorId, Netns, PAYLOAD, Scenario, Stage, Step, StepError, WireKind, pair::Pair, stage};
use crate::{
    model::{Fate, Packet, Segment, Side},
    net::{Namespace, Tcp},
};

/// The port of both ends.
const PORT: u16 = 1314;

/// Both ends connect to each other at the same time.
pub struct SimultaneousOpen;

impl Scenario for SimultaneousOpen {
    fn name(&self) -> &'static str {
        "simultaneous-open"
    }

    fn summary(&self) -> &'static str {
        "two sockets connect to each other at the same time, and nobody listens"
    }

    fn drive(&self, stage: &mut Stage) -> Result<(), StepError> {
        stage.crossing_is_allowed()?;
        if stage.options().wire == WireKind::Loopback {
            return loopback::play(stage);
        }
        if stage.options().netns == Netns::Host {
            stage.story().note("a wire joins two namespaces of its own, so --netns host does not touch it");
        }
        crossing::play(stage)?;
        refused::play(stage)?;
        asymmetric::play(stage)
    }
}

/// A socket at one end of what may become a connection, and its part in the story.
struct End {
    label: String,
    socket: Tcp,
    actor: ActorId,
    peer: SocketAddr,
}

impl End {
    /// A socket on [`PORT`] at a side of the wire, which is to connect to the same port on the other.
    fn at(side: Side, pair: &Pair, label: &str, stage: &mut Stage) -> Result<Self, StepError> {
        let [local, peer] = [side, side.peer()].map(|side| pair.link.at(side, PORT));
        Self::bound(&pair.namespaces[side as usize], local, peer, label, stage)
    }

    fn bound(
        namespace: &Namespace,
        local: SocketAddr,
        peer: SocketAddr,
        label: &str,
        stage: &mut Stage,
    ) -> Result<Self, StepError> {
        let socket = stage.bound(namespace, local, |_| Ok(()))?;
        let actor = stage.join(label, &socket, namespace, stage::ends(local, peer))?;
        Ok(Self { label: label.to_owned(), socket, actor, peer })
    }

    fn begin_connect(&self) -> Result<(), StepError> {
        self.socket.begin_connect(self.peer).step(format!("{}: connecting", self.label))
    }

    /// Expects the connection to be made, and cannot go on without.
    fn connects(&self, stage: &mut Stage) -> Result<(), StepError> {
        let outcome = self.socket.outcome(stage.deadline());
        stage.returns(format!("{} connects", self.label), Ok(()), &outcome);
        outcome.step(format!("{}: connecting", self.label))
    }
}

/// Both ends write the payload, and read the other's.
fn converse(stage: &mut Stage, ends: [&End; 2]) -> Result<(), StepError> {
    let deadline = stage.deadline();
    for end in ends {
        end.socket.write_all(PAYLOAD.as_bytes(), deadline).step(format!("{}: writing", end.label))?;
    }
    for end in ends {
        let heard = end.socket.read_exact(PAYLOAD.len(), deadline);
        stage.reads(format!("{} reads", end.label), PAYLOAD, &heard);
    }
    Ok(())
}

/// The first end closes, and the other when it has read that.
fn close(stage: &Stage, first: End, second: End) -> Result<(), StepError> {
    first.socket.shutdown(Shutdown::Write).step(format!("{}: closing", first.label))?;
    second.socket.read_to_end(stage.deadline()).step(format!("{}: closing", second.label))?;
    drop(second);
    first.socket.read_to_end(stage.deadline()).step(format!("{}: closing", first.label))?;
    Ok(())
}

/// Waits until the last ACK has arrived: that of the FIN of the end that closed second.
fn wait_for_last_ack(stage: &Stage, pair: &Pair, second: Side) -> Result<(), StepError> {
    let arrived = |packets: &[Packet]| {
        let sends = |side: Side, packet: &&Packet, what: fn(&Segment) -> bool| {
            packet.from == side && packet.segment.as_ref().is_some_and(what)
        };
        let after_fin = packets.iter().skip_while(|packet| !sends(second, packet, Segment::is_fin));
        let mut acks = after_fin.filter(|packet| sends(second.peer(), packet, Segment::is_bare_ack));
        acks.any(|packet| matches!(packet.fate, Fate::Delivered { .. }))
    };
    pair.wire.wait_for(stage.deadline(), arrived).step("waiting for the last ACK").map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::Family,
        scenario::{Options, play, testing::plays},
    };

    #[test]
    #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
    fn the_calls_return_what_they_must() {
        for family in [Family::Ipv4, Family::Ipv6] {
            let story = plays(&SimultaneousOpen, &Options { family, ..Options::default() });
            assert_eq!(story.captures().len(), 3);
        }
    }

    #[test]
    #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
    fn a_race_is_won_or_said_to_be_lost() {
        let options = Options { wire: WireKind::Loopback, ..Options::default() };
        let story = play(&SimultaneousOpen, &options);
        // On one CPU, or on a machine that is busy, the SYNs may never cross.
        if let Some(trouble) = story.trouble() {
            assert!(matches!(trouble, StepError::Unsupported(_)), "{trouble}");
            return;
        }
        assert!(story.notes()[0].starts_with("the SYNs crossed"), "{:?}", story.notes());
        assert!(story.outcomes().iter().all(|check| check.pass), "{:?}", story.outcomes());
    }
}
