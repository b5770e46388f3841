//! `shared-port`: a connection is identified by its 4-tuple, so several connections can share a local port.

use std::{
    net::{Shutdown, SocketAddr},
    time::Instant,
};

use super::{
    Context, Expectation, Netns, PAYLOAD, Scenario, SocketIndex, Span, Step, StepError,
    labelled_socket::{endpoints, listener_endpoints},
};
use crate::{
    model::{Errno, State},
    net::{Namespace, Tcp, socket, sysctl},
};

/// The local port that two clients share.
const SHARED: u16 = 12345;
/// The local port of a third client, so that one listener has two connections.
const THIRD: u16 = 12346;
/// The port of the first listener.
const FIRST_LISTENER: u16 = 80;
/// The port of the second listener.
const SECOND_LISTENER: u16 = 4321;
/// Replaces [`FIRST_LISTENER`] with `--netns host`: the host's own servers may hold its well-known ports.
const FIRST_LISTENER_ON_HOST: u16 = 8080;

/// Two sockets with SO_REUSEPORT, bound to the same address and port, connect to two destinations.
pub struct SharedPort;

impl Scenario for SharedPort {
    fn name(&self) -> &'static str {
        "shared-port"
    }

    fn summary(&self) -> &'static str {
        "clients bound to one local port are connected to two destinations at the same time"
    }

    fn drive(&self, context: &mut Context) -> Result<(), StepError> {
        let host = context.options().netns == Netns::Host;
        let [shared, third, second_listener] =
            [SHARED, THIRD, SECOND_LISTENER].map(|port| context.loopback(port));
        let first_listener = context.loopback(if host { FIRST_LISTENER_ON_HOST } else { FIRST_LISTENER });
        let namespace = context.namespace()?;
        if !host {
            // Not required with CAP_NET_BIND_SERVICE. Without it, a failure here shows in the error of bind.
            let _ = namespace.enter(|| sysctl::IP_UNPRIVILEGED_PORT_START.write(&0))?;
        }
        let mut driver = Driver { context, namespace };

        let listeners = [driver.listen(first_listener)?, driver.listen(second_listener)?];
        let first = driver.connect(1, shared, &listeners[0])?;
        let second = driver.connect(2, shared, &listeners[1])?;
        let third = driver.connect(3, third, &listeners[0])?;
        driver.expect_paths([&first, &second, &third], &listeners);
        driver.expect_shared_local_port(&first, &second);
        driver.expect_shared_listener_port(&first, &third);
        driver.expect_refusals(&first, &second)?;
        driver.context.list_sockets(&driver.namespace)?;
        driver.close([first, second, third], listeners)
    }
}

struct Listener {
    socket: Tcp,
    local: SocketAddr,
    index: SocketIndex,
}

/// A client and the server's accepted socket.
struct Connection {
    client: Tcp,
    server: Tcp,
    from: SocketAddr,
    to: SocketAddr,
    client_index: SocketIndex,
    server_index: SocketIndex,
}

struct Driver<'a> {
    context: &'a mut Context,
    namespace: Namespace,
}

impl Driver<'_> {
    fn listen(&mut self, local: SocketAddr) -> Result<Listener, StepError> {
        let socket = self.context.bound_socket(&self.namespace, local, Tcp::reuse_address)?;
        let label = format!("listener :{}", local.port());
        let index = self.context.register(label, &socket, &self.namespace, listener_endpoints(local))?;
        socket.listen(8).step(format!("listening on {local}"))?;
        Ok(Listener { socket, local, index })
    }

    /// Connects from a port that other sockets may share, and has the server echo the payload.
    fn connect(
        &mut self,
        number: u8,
        from: SocketAddr,
        listener: &Listener,
    ) -> Result<Connection, StepError> {
        let to = listener.local;
        let client = self.reuse_port_socket(from)?;
        let endpoints = endpoints(from, to);
        let label = format!("client {number}");
        let client_index = self.context.register(label, &client, &self.namespace, endpoints)?;
        let deadline = self.context.deadline();
        self.context.connect(client_index, &client, to).step(format!("connecting {from} to {to}"))?;
        let server = listener.socket.accept(deadline).step(format!("accepting {from} on {to}"))?;
        let label = format!("server {number}");
        let server_index = self.context.register(label, &server, &self.namespace, endpoints.reversed())?;
        self.context.expect_data(
            format!("client {number} reads"),
            PAYLOAD,
            &echo(&client, &server, deadline),
        );
        Ok(Connection { client, server, from, to, client_index, server_index })
    }

    /// A socket bound to `local` with SO_REUSEPORT and without SO_REUSEADDR.
    fn reuse_port_socket(&self, local: SocketAddr) -> Result<Tcp, StepError> {
        self.context.bound_socket(&self.namespace, local, Tcp::reuse_port)
    }

    fn expect_paths(&mut self, connections: [&Connection; 3], listeners: &[Listener; 2]) {
        use State::{Close, CloseWait, Established, FinWait1, FinWait2, LastAck, Listen, SynRecv, SynSent};

        let clients = connections.map(|connection| connection.client_index);
        let servers = connections.map(|connection| connection.server_index);
        let listeners = listeners.each_ref().map(|listener| listener.index);
        self.context.expect_path("3 clients open", &clients, Span::Opening, &[Close, SynSent, Established]);
        self.context.expect_path("3 servers open", &servers, Span::Opening, &[Listen, SynRecv, Established]);
        let servers_close = [Established, FinWait1, FinWait2, Close];
        self.context.expect_path("3 servers close", &servers, Span::Closing, &servers_close);
        let clients_close = [Established, CloseWait, LastAck, Close];
        self.context.expect_path("3 clients close", &clients, Span::Closing, &clients_close);
        self.context.expect_path("2 listeners", &listeners, Span::Whole, &[Close, Listen, Close]);
    }

    fn expect_shared_local_port(&mut self, first: &Connection, second: &Connection) {
        self.context.expect_all_established(
            "one local port, two destinations",
            &[first.client_index, second.client_index],
        );
    }

    /// The converse, as on every server: accepted sockets share the listener's port.
    fn expect_shared_listener_port(&mut self, one: &Connection, other: &Connection) {
        let sockets = vec![one.server_index, other.server_index];
        let local = one.to.into();
        self.context.expect("both accepted on", Expectation::SameLocalEndpoint { sockets, local });
        self.context.expect_all_established("both servers open", &[one.server_index, other.server_index]);
    }

    fn expect_refusals(&mut self, first: &Connection, second: &Connection) -> Result<(), StepError> {
        let again = first.client.begin_connect(second.to);
        self.context.expect_result("second connect", Err(Errno::EISCONN), &again);

        let duplicate = self.reuse_port_socket(first.from)?;
        let endpoints = endpoints(first.from, first.to);
        let index = self.context.register("duplicate", &duplicate, &self.namespace, endpoints)?;
        let connected = duplicate.begin_connect(first.to);
        self.context.expect_result("duplicate 4-tuple", Err(Errno::EADDRNOTAVAIL), &connected);
        let refused = [State::Close, State::SynSent, State::Close];
        self.context.expect_path("duplicate's states", &[index], Span::Whole, &refused);
        self.context.expect("duplicate sent", Expectation::NoSegmentSent { socket: index });
        drop(duplicate);

        let bound = self.context.socket(&self.namespace)?.bind(first.from);
        self.context.expect_result("bind without SO_REUSEPORT", Err(Errno::EADDRINUSE), &bound);
        Ok(())
    }

    /// The servers close first, so that the TIME_WAIT is on their side. On the clients' side it would hold
    /// the ports that the next run with `--netns host` binds.
    fn close(&self, connections: [Connection; 3], listeners: [Listener; 2]) -> Result<(), StepError> {
        for Connection { client, server, from, to, .. } in connections {
            let step = || format!("closing {to} to {from}");
            server.shutdown(Shutdown::Write).step(step())?;
            client.read_to_end(self.context.deadline()).step(step())?;
            drop(client);
            server.read_to_end(self.context.deadline()).step(step())?;
        }
        drop(listeners);
        Ok(())
    }
}

/// Sends the payload to the server, which echoes it, and returns what the client reads.
fn echo(client: &Tcp, server: &Tcp, deadline: Instant) -> socket::Result<Vec<u8>> {
    client.write_all(PAYLOAD.as_bytes(), deadline)?;
    let received = server.read_exact(PAYLOAD.len(), deadline)?;
    server.write_all(&received, deadline)?;
    client.read_exact(PAYLOAD.len(), deadline)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::Family,
        scenario::{Options, testing::run_successfully},
    };

    #[test]
    #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
    fn every_call_returns_what_is_expected() {
        for family in [Family::Ipv4, Family::Ipv6] {
            run_successfully(&SharedPort, &Options { family, ..Options::default() });
        }
    }
}
