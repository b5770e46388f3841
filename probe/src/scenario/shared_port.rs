//! `shared-port`: a connection is its two ends, so one local port serves several of them.

use std::{
    net::{Shutdown, SocketAddr},
    time::Instant,
};

use super::{ActorId, Expectation, Netns, PAYLOAD, Scenario, Span, Stage, Step, StepError, stage};
use crate::{
    model::{Errno, State},
    net::{Namespace, Tcp, socket, sysctl},
};

/// What two clients share.
const SHARED: u16 = 12345;
/// Where one more client sits, so that one listener has two connections.
const NEIGHBOUR: u16 = 12346;
/// The two destinations.
const WEB: u16 = 80;
const FAR: u16 = 4321;
/// Instead of [`WEB`] on a host, whose well-known ports are its own.
const WEB_ON_HOST: u16 = 8080;

/// Two sockets with SO_REUSEPORT on one address and port connect to two destinations.
pub struct SharedPort;

impl Scenario for SharedPort {
    fn name(&self) -> &'static str {
        "shared-port"
    }

    fn summary(&self) -> &'static str {
        "two sockets on one local address and port are connected to two destinations at once"
    }

    fn drive(&self, stage: &mut Stage) -> Result<(), StepError> {
        let host = stage.options().netns == Netns::Host;
        let [shared, neighbour, far] = [SHARED, NEIGHBOUR, FAR].map(|port| stage.loopback(port));
        let web = stage.loopback(if host { WEB_ON_HOST } else { WEB });
        let namespace = stage.namespace()?;
        if !host {
            // Not needed with CAP_NET_BIND_SERVICE; without, the bind says what is.
            let _ = namespace.enter(|| sysctl::IP_UNPRIVILEGED_PORT_START.write(&0))?;
        }
        let mut play = Play { stage, namespace };

        let at_web = play.listen(web)?;
        let at_far = play.listen(far)?;
        let first = play.connect(1, shared, &at_web)?;
        let second = play.connect(2, shared, &at_far)?;
        let third = play.connect(3, neighbour, &at_web)?;
        play.expect_lives([&first, &second, &third], [&at_web, &at_far]);
        play.expect_sharing(&first, &second);
        play.expect_one_port_accepts(&first, &third);
        play.try_what_is_refused(&first, &second)?;
        play.stage.list(&play.namespace)?;
        play.close([first, second, third], [at_web, at_far])
    }
}

struct Listener {
    socket: Tcp,
    local: SocketAddr,
    actor: ActorId,
}

/// A client, and the socket that was accepted for it.
struct Connection {
    client: Tcp,
    server: Tcp,
    from: SocketAddr,
    to: SocketAddr,
    client_actor: ActorId,
    server_actor: ActorId,
}

struct Play<'a> {
    stage: &'a mut Stage,
    namespace: Namespace,
}

impl Play<'_> {
    fn listen(&mut self, local: SocketAddr) -> Result<Listener, StepError> {
        let socket = self.stage.bound(&self.namespace, local, Tcp::reuse_address)?;
        let label = format!("listener :{}", local.port());
        let actor = self.stage.join(label, &socket, &self.namespace, stage::listening(local))?;
        socket.listen(8).step(format!("listening on {local}"))?;
        Ok(Listener { socket, local, actor })
    }

    /// Connects from a port that others may share, and sends the payload there and back.
    fn connect(
        &mut self,
        number: u8,
        from: SocketAddr,
        listener: &Listener,
    ) -> Result<Connection, StepError> {
        let to = listener.local;
        let client = self.sharing(from)?;
        let ends = stage::ends(from, to);
        let client_actor = self.stage.join(format!("client {number}"), &client, &self.namespace, ends)?;
        let deadline = self.stage.deadline();
        self.stage.connect(client_actor, &client, to).step(format!("connecting {from} to {to}"))?;
        let server = listener.socket.accept(deadline).step(format!("accepting {from} on {to}"))?;
        let label = format!("server {number}");
        let server_actor = self.stage.join(label, &server, &self.namespace, ends.reversed())?;
        self.stage.reads(format!("client {number} hears"), PAYLOAD, &echo(&client, &server, deadline));
        Ok(Connection { client, server, from, to, client_actor, server_actor })
    }

    /// A socket on `local` with SO_REUSEPORT, and nothing else that would let it share.
    fn sharing(&self, local: SocketAddr) -> Result<Tcp, StepError> {
        self.stage.bound(&self.namespace, local, Tcp::reuse_port)
    }

    fn expect_lives(&mut self, connections: [&Connection; 3], listeners: [&Listener; 2]) {
        use State::{Close, CloseWait, Established, FinWait1, FinWait2, LastAck, Listen, SynRecv, SynSent};

        let clients = connections.map(|connection| connection.client_actor);
        let servers = connections.map(|connection| connection.server_actor);
        let listeners = listeners.map(|listener| listener.actor);
        self.stage.path("3 clients open", &clients, Span::Opening, &[Close, SynSent, Established]);
        self.stage.path("3 servers open", &servers, Span::Opening, &[Listen, SynRecv, Established]);
        let server_closes = [Established, FinWait1, FinWait2, Close];
        self.stage.path("3 servers close", &servers, Span::Closing, &server_closes);
        let client_follows = [Established, CloseWait, LastAck, Close];
        self.stage.path("3 clients follow", &clients, Span::Closing, &client_follows);
        self.stage.path("2 listeners", &listeners, Span::Life, &[Close, Listen, Close]);
    }

    fn expect_sharing(&mut self, first: &Connection, second: &Connection) {
        self.stage.together("one port, two destinations", &[first.client_actor, second.client_actor]);
    }

    /// The other side of the same coin, and what every server does.
    fn expect_one_port_accepts(&mut self, one: &Connection, other: &Connection) {
        let actors = vec![one.server_actor, other.server_actor];
        let local = one.to.into();
        self.stage.story().expect("two accepted on", Expectation::OneEnd { actors, local });
        self.stage.together("both accepted", &[one.server_actor, other.server_actor]);
    }

    fn try_what_is_refused(&mut self, first: &Connection, second: &Connection) -> Result<(), StepError> {
        let again = first.client.begin_connect(second.to);
        self.stage.returns("second connect", Err(Errno::EISCONN), &again);

        let twin = self.sharing(first.from)?;
        let ends = stage::ends(first.from, first.to);
        let actor = self.stage.join("twin", &twin, &self.namespace, ends)?;
        let same = twin.begin_connect(first.to);
        self.stage.returns("twin connects", Err(Errno::EADDRNOTAVAIL), &same);
        let refused = [State::Close, State::SynSent, State::Close];
        self.stage.path("twin's states", &[actor], Span::Life, &refused);
        self.stage.story().expect("twin sent", Expectation::NoSegment { actor });
        drop(twin);

        let alone = self.stage.socket(&self.namespace)?.bind(first.from);
        self.stage.returns("bind without REUSEPORT", Err(Errno::EADDRINUSE), &alone);
        Ok(())
    }

    /// Closes from the servers' side, so that their ports keep the TIME_WAIT: a client's would refuse
    /// the next run on a host.
    fn close(&self, connections: [Connection; 3], listeners: [Listener; 2]) -> Result<(), StepError> {
        for Connection { client, server, from, to, .. } in connections {
            let step = || format!("closing {to} to {from}");
            server.shutdown(Shutdown::Write).step(step())?;
            client.read_to_end(self.stage.deadline()).step(step())?;
            drop(client);
            server.read_to_end(self.stage.deadline()).step(step())?;
        }
        drop(listeners);
        Ok(())
    }
}

/// Sends the payload to the server, which sends back what it reads; what comes of it.
fn echo(client: &Tcp, server: &Tcp, deadline: Instant) -> socket::Result<Vec<u8>> {
    client.write_all(PAYLOAD.as_bytes(), deadline)?;
    let heard = server.read_exact(PAYLOAD.len(), deadline)?;
    server.write_all(&heard, deadline)?;
    client.read_exact(PAYLOAD.len(), deadline)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::Family,
        scenario::{Options, testing::plays},
    };

    #[test]
    #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
    fn the_calls_return_what_they_must() {
        for family in [Family::Ipv4, Family::Ipv6] {
            plays(&SharedPort, &Options { family, ..Options::default() });
        }
    }
}
