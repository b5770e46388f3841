//! One of the two sockets that connect to each other, and what both do once they are connected.

use std::net::{Shutdown, SocketAddr};

use crate::{
    model::{Fate, Packet, Segment, Side},
    net::{Namespace, Tcp},
    scenario::{Context, NamespacePair, PAYLOAD, SocketIndex, Step, StepError, labelled_socket::endpoints},
};

/// The port of both endpoints.
pub(super) const PORT: u16 = 1314;

/// One of the two sockets that connect to each other.
pub(super) struct Peer {
    label: String,
    pub(super) socket: Tcp,
    pub(super) index: SocketIndex,
    remote: SocketAddr,
}

impl Peer {
    /// A socket bound to [`PORT`] on one side of the wire, to be connected to the same port on the other side.
    pub(super) fn on_side(
        side: Side,
        pair: &NamespacePair,
        label: &str,
        context: &mut Context,
    ) -> Result<Self, StepError> {
        let [local, remote] = [side, side.peer()].map(|side| pair.link.endpoint(side, PORT));
        Self::bound(&pair.namespaces[side as usize], local, remote, label, context)
    }

    /// A socket bound to `local`, to be connected to `remote`.
    pub(super) fn bound(
        namespace: &Namespace,
        local: SocketAddr,
        remote: SocketAddr,
        label: &str,
        context: &mut Context,
    ) -> Result<Self, StepError> {
        let socket = context.bound_socket(namespace, local, |_| Ok(()))?;
        let index = context.register(label, &socket, namespace, endpoints(local, remote))?;
        Ok(Self { label: label.to_owned(), socket, index, remote })
    }

    /// Sends the SYN.
    pub(super) fn begin_connect(&self) -> Result<(), StepError> {
        self.socket.begin_connect(self.remote).step(format!("{}: connecting", self.label))
    }

    /// Expects the connect to succeed. The driver cannot continue if it does not.
    pub(super) fn expect_connected(&self, context: &mut Context) -> Result<(), StepError> {
        let outcome = self.socket.outcome(context.deadline());
        context.expect_result(format!("{} connects", self.label), Ok(()), &outcome);
        outcome.step(format!("{}: connecting", self.label))
    }
}

/// Both peers write the payload and read the other's.
pub(super) fn exchange_payloads(context: &mut Context, peers: [&Peer; 2]) -> Result<(), StepError> {
    let deadline = context.deadline();
    for peer in peers {
        peer.socket.write_all(PAYLOAD.as_bytes(), deadline).step(format!("{}: writing", peer.label))?;
    }
    for peer in peers {
        let received = peer.socket.read_exact(PAYLOAD.len(), deadline);
        context.expect_data(format!("{} reads", peer.label), PAYLOAD, &received);
    }
    Ok(())
}

/// The first peer closes; the second closes when it has read the FIN.
pub(super) fn close(context: &Context, first: Peer, second: Peer) -> Result<(), StepError> {
    first.socket.shutdown(Shutdown::Write).step(format!("{}: closing", first.label))?;
    second.socket.read_to_end(context.deadline()).step(format!("{}: closing", second.label))?;
    drop(second);
    first.socket.read_to_end(context.deadline()).step(format!("{}: closing", first.label))?;
    Ok(())
}

/// Waits until the last ACK has arrived: the ACK of the FIN of the peer that closed second.
pub(super) fn wait_for_last_ack(
    context: &Context,
    pair: &NamespacePair,
    second: Side,
) -> Result<(), StepError> {
    let arrived = |packets: &[Packet]| {
        let is_sent_by = |side: Side, packet: &&Packet, kind: fn(&Segment) -> bool| {
            packet.from == side && packet.segment.as_ref().is_some_and(kind)
        };
        let from_fin = packets.iter().skip_while(|packet| !is_sent_by(second, packet, Segment::is_fin));
        let mut acks = from_fin.filter(|packet| is_sent_by(second.peer(), packet, Segment::is_bare_ack));
        acks.any(|packet| matches!(packet.fate, Fate::Delivered { .. }))
    };
    pair.wire.wait_for(context.deadline(), arrived).step("waiting for the last ACK").map(drop)
}
