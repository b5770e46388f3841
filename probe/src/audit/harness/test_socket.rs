//! Sockets by their labels, from their opening to their close.

use std::{
    net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr},
    sync::Arc,
};

use super::{Harness, SERVER, TestHost};
use crate::{
    model::{Endpoint, Endpoints, Family},
    net::{Tcp, socket},
    scenario::{Actor, Step, StepError},
};

/// The remote end of what is not connected.
const NOWHERE: Endpoint = Endpoint { addr: IpAddr::V4(Ipv4Addr::UNSPECIFIED), port: None };

/// A socket by its label. The harness holds it as well, so that it stays open to the end of the steps unless they
/// close it.
#[derive(Clone, Debug)]
pub struct TestSocket {
    pub(super) label: &'static str,
    /// Its place in the cast.
    pub(super) actor: usize,
    /// The socket itself.
    pub tcp: Arc<Tcp>,
}

/// A socket by its label, without a descriptor: one that was closed, or that nobody has accepted.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    pub(super) label: &'static str,
    /// Its place in the cast.
    pub(super) actor: usize,
}

impl From<&TestSocket> for Part {
    fn from(player: &TestSocket) -> Self {
        Self { label: player.label, actor: player.actor }
    }
}

impl Harness {
    /// A socket.
    ///
    /// # Errors
    /// The namespace cannot be entered, or no descriptor is left.
    pub fn socket(&mut self, place: &TestHost, label: &'static str) -> Result<TestSocket, StepError> {
        let tcp =
            place.namespace.enter(|| Tcp::new(Family::Ipv4))?.step(format!("{label}: opening a socket"))?;
        self.join(place.namespace.inode(), label, tcp, Endpoint::new(place.addr, 0), NOWHERE)
    }

    /// A socket that is made as said: of another family or protocol.
    ///
    /// # Errors
    /// As for [`socket`](Self::socket).
    pub fn made(
        &mut self,
        place: &TestHost,
        label: &'static str,
        make: impl FnOnce() -> socket::Result<Tcp> + Send,
    ) -> Result<TestSocket, StepError> {
        let tcp = place.namespace.enter(make)?.step(format!("{label}: opening a socket"))?;
        self.join(place.namespace.inode(), label, tcp, Endpoint::new(place.addr, 0), NOWHERE)
    }

    /// Binds, and returns what bind(2) says.
    ///
    /// # Errors
    /// bind(2)'s.
    pub fn bind(&mut self, player: &TestSocket, local: SocketAddr) -> socket::Result<()> {
        player.tcp.bind(local)?;
        self.cast[player.actor].ends.local = local.into();
        Ok(())
    }

    /// A socket that is bound to a port.
    ///
    /// # Errors
    /// bind(2)'s, which no behaviour that uses this expects.
    pub fn bound(
        &mut self,
        place: &TestHost,
        label: &'static str,
        port: u16,
    ) -> Result<TestSocket, StepError> {
        let player = self.socket(place, label)?;
        self.bind(&player, place.port(port)).step(format!("{label}: binding to port {port}"))?;
        Ok(player)
    }

    /// A socket that listens at [`SERVER`].
    ///
    /// # Errors
    /// As for [`bound`](Self::bound).
    pub fn listener(&mut self, place: &TestHost, label: &'static str) -> Result<TestSocket, StepError> {
        let player = self.bound(place, label, SERVER)?;
        player.tcp.listen(16).step(format!("{label}: listening"))?;
        Ok(player)
    }

    /// Accepts the next connection.
    ///
    /// # Errors
    /// None comes.
    pub fn accept(&mut self, listener: &TestSocket, label: &'static str) -> Result<TestSocket, StepError> {
        let tcp = listener.tcp.accept(self.deadline).step(format!("{label}: accepting"))?;
        let ends = tcp.local().and_then(|local| Ok((local, tcp.remote()?)));
        let (local, remote) = ends.step(format!("{label}: asking for its ends"))?;
        self.join(self.cast[listener.actor].netns, label, tcp, local.into(), remote.into())
    }

    /// A client, its listener and the child that was accepted for it, connected.
    ///
    /// # Errors
    /// A step failed.
    pub fn connected(&mut self, client: &TestHost, server: &TestHost) -> Result<[TestSocket; 3], StepError> {
        let listener = self.listener(server, "listener")?;
        let client = self.socket(client, "client")?;
        self.connect(&client, server.port(SERVER)).step("client: connecting")?;
        let server = self.accept(&listener, "server")?;
        Ok([listener, client, server])
    }

    /// Connects, and waits for the outcome.
    ///
    /// # Errors
    /// connect(2)'s.
    pub fn connect(&mut self, player: &TestSocket, remote: SocketAddr) -> socket::Result<()> {
        self.begin_connect(player, remote)?;
        player.tcp.outcome(self.deadline)
    }

    /// Begins to connect.
    ///
    /// # Errors
    /// connect(2)'s, other than EINPROGRESS.
    pub fn begin_connect(&mut self, player: &TestSocket, remote: SocketAddr) -> socket::Result<()> {
        self.aims(player, remote);
        player.tcp.begin_connect(remote)
    }

    /// Notes where a socket is about to connect to, for a call that the steps make themselves: a kernel without
    /// cookies tells sockets apart by their ends.
    pub fn aims(&mut self, player: &TestSocket, remote: SocketAddr) {
        self.cast[player.actor].ends.remote = remote.into();
    }

    /// Closes the socket: this was its only descriptor. What is left of it is still waited for.
    pub fn close(&mut self, player: TestSocket) -> Part {
        self.open.retain(|open| open.actor != player.actor);
        Part::from(&player)
    }

    /// Reads what comes next: nothing at the end of the stream.
    ///
    /// # Errors
    /// recv(2)'s, or the deadline.
    pub fn read(&self, player: &TestSocket) -> socket::Result<Vec<u8>> {
        let mut bytes = vec![0; 4096];
        let length = player.tcp.read(&mut bytes, self.deadline)?;
        bytes.truncate(length);
        Ok(bytes)
    }

    /// Writes.
    ///
    /// # Errors
    /// send(2)'s, or the deadline.
    pub fn write(&self, player: &TestSocket, bytes: &[u8]) -> socket::Result<()> {
        player.tcp.write_all(bytes, self.deadline)
    }

    /// HostPair this direction of the stream: shutdown(2) with SHUT_WR.
    ///
    /// # Errors
    /// ENOTCONN.
    pub fn finish(&self, player: &TestSocket) -> Result<(), StepError> {
        player.tcp.shutdown(Shutdown::Write).step(format!("{}: shutting down", player.label))
    }

    fn join(
        &mut self,
        netns: u32,
        label: &'static str,
        tcp: Tcp,
        local: Endpoint,
        remote: Endpoint,
    ) -> Result<TestSocket, StepError> {
        let cookie = tcp.cookie().step(format!("{label}: reading SO_COOKIE"))?;
        let actor = self.cast.len();
        self.cast.push(Actor { label: label.to_owned(), cookie, netns, ends: Endpoints { local, remote } });
        let player = TestSocket { label, actor, tcp: Arc::new(tcp) };
        self.open.push(player.clone());
        Ok(player)
    }
}
