//! Where a behaviour is brought about: namespaces, a wire, labelled sockets, and what is stated of them.

use std::{
    fmt::Display,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use super::Witness;
use crate::{
    model::{Endpoint, Endpoints, Family, Mono, Packet, Side, State},
    net::{Namespace, Tcp, clock, socket},
    scenario::{Actor, Step, Trouble, resolve},
    wire::{Link, Wire},
};

/// How long a behaviour may take: by then it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// The remote end of what is not connected.
const NOWHERE: Endpoint = Endpoint { addr: IpAddr::V4(Ipv4Addr::UNSPECIFIED), port: None };

/// The port of servers.
pub const SERVER: u16 = 1314;

/// A namespace with an address in it.
#[derive(Clone, Debug)]
pub struct Place {
    /// The namespace.
    pub namespace: Namespace,
    addr: IpAddr,
}

impl Place {
    /// A port here.
    #[must_use]
    pub fn port(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.addr, port)
    }
}

/// Two places with a wire between them.
pub struct Ends {
    /// Side A.
    pub a: Place,
    /// Side B.
    pub b: Place,
    /// The wire.
    pub wire: Arc<Wire>,
}

/// A socket by its label. The bench holds it as well, so that it stays open to the end of the steps unless they
/// close it.
#[derive(Clone, Debug)]
pub struct Player {
    label: &'static str,
    /// Its place in the cast.
    actor: usize,
    /// The socket itself.
    pub tcp: Arc<Tcp>,
}

/// The stage of one behaviour, once.
pub struct Bench {
    witness: Arc<Witness>,
    deadline: Instant,
    places: Vec<Place>,
    wires: Vec<Arc<Wire>>,
    cast: Vec<Actor>,
    /// Those of the cast that are open.
    open: Vec<Player>,
    facts: Vec<(String, String)>,
}

/// What came of the steps.
pub struct Played {
    /// Why they did not get to their end.
    pub trouble: Option<Trouble>,
    /// The sockets.
    pub cast: Vec<Actor>,
    /// What was stated.
    pub facts: Vec<(String, String)>,
    /// The inode numbers of the namespaces.
    pub netns: Vec<u32>,
    /// What the wires have carried.
    pub packets: Vec<Packet>,
    /// When the steps had ended: what comes later is clearing up.
    pub until: Mono,
}

impl Bench {
    pub(super) fn new(witness: Arc<Witness>) -> Self {
        Self {
            witness,
            deadline: Instant::now() + PATIENCE,
            places: Vec::new(),
            wires: Vec::new(),
            cast: Vec::new(),
            open: Vec::new(),
            facts: Vec::new(),
        }
    }

    /// Ends with what the steps returned.
    pub(super) fn end(self, result: Result<(), Trouble>) -> Played {
        Played {
            trouble: result.err(),
            until: clock::now(),
            netns: self.netns(),
            packets: self.wires.iter().flat_map(|wire| wire.packets()).collect(),
            cast: self.cast,
            facts: self.facts,
        }
    }

    /// By when everything must have happened.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// A namespace of its own, and its loopback address.
    ///
    /// # Errors
    /// There is none to be had.
    pub fn here(&mut self) -> Result<Place, Trouble> {
        self.place(Ipv4Addr::LOCALHOST.into())
    }

    fn place(&mut self, addr: IpAddr) -> Result<Place, Trouble> {
        let namespace = Namespace::private()?;
        self.witness.watch(namespace.inode());
        let place = Place { namespace, addr };
        self.places.push(place.clone());
        Ok(place)
    }

    /// Two namespaces of their own with a wire between them.
    ///
    /// # Errors
    /// They are not to be had, or this host has no TUN.
    pub fn ends(&mut self) -> Result<Ends, Trouble> {
        let link = Link::new(Family::Ipv4).delay(Duration::from_millis(2));
        let [a, b] = Side::BOTH.map(|side| self.place(link.address(side)));
        let (a, b) = (a?, b?);
        let wire = Wire::between(&a.namespace, &b.namespace, link)
            .map_err(|error| Trouble::Unsupported(error.to_string()))?;
        let wire = Arc::new(wire);
        self.wires.push(Arc::clone(&wire));
        Ok(Ends { a, b, wire })
    }

    /// A socket.
    ///
    /// # Errors
    /// The namespace cannot be entered, or no descriptor is left.
    pub fn socket(&mut self, place: &Place, label: &'static str) -> Result<Player, Trouble> {
        let tcp =
            place.namespace.enter(|| Tcp::new(Family::Ipv4))?.step(format!("{label}: opening a socket"))?;
        self.join(place.namespace.inode(), label, tcp, Endpoint::new(place.addr, 0), NOWHERE)
    }

    /// A socket that is bound to a port.
    ///
    /// # Errors
    /// bind(2)'s, which no behaviour that uses this expects.
    pub fn bound(&mut self, place: &Place, label: &'static str, port: u16) -> Result<Player, Trouble> {
        let player = self.socket(place, label)?;
        player.tcp.bind(place.port(port)).step(format!("{label}: binding to port {port}"))?;
        self.cast[player.actor].ends.local = place.port(port).into();
        Ok(player)
    }

    /// A socket that listens at [`SERVER`].
    ///
    /// # Errors
    /// As for [`bound`](Self::bound).
    pub fn listener(&mut self, place: &Place, label: &'static str) -> Result<Player, Trouble> {
        let player = self.bound(place, label, SERVER)?;
        player.tcp.listen(16).step(format!("{label}: listening"))?;
        Ok(player)
    }

    /// Accepts the next connection.
    ///
    /// # Errors
    /// None comes.
    pub fn accept(&mut self, listener: &Player, label: &'static str) -> Result<Player, Trouble> {
        let tcp = listener.tcp.accept(self.deadline).step(format!("{label}: accepting"))?;
        let ends = tcp.local().and_then(|local| Ok((local, tcp.remote()?)));
        let (local, remote) = ends.step(format!("{label}: asking for its ends"))?;
        self.join(self.cast[listener.actor].netns, label, tcp, local.into(), remote.into())
    }

    /// A client, its listener and the child that was accepted for it, connected.
    ///
    /// # Errors
    /// A step failed.
    pub fn connected(&mut self, client: &Place, server: &Place) -> Result<[Player; 3], Trouble> {
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
    pub fn connect(&mut self, player: &Player, remote: SocketAddr) -> socket::Result<()> {
        self.begin_connect(player, remote)?;
        player.tcp.outcome(self.deadline)
    }

    /// Begins to connect.
    ///
    /// # Errors
    /// connect(2)'s, other than EINPROGRESS.
    pub fn begin_connect(&mut self, player: &Player, remote: SocketAddr) -> socket::Result<()> {
        self.cast[player.actor].ends.remote = remote.into();
        player.tcp.begin_connect(remote)
    }

    /// Closes the socket: this was its only descriptor.
    pub fn close(&mut self, player: Player) {
        self.open.retain(|open| open.actor != player.actor);
    }

    fn join(
        &mut self,
        netns: u32,
        label: &'static str,
        tcp: Tcp,
        local: Endpoint,
        remote: Endpoint,
    ) -> Result<Player, Trouble> {
        let cookie = tcp.cookie().step(format!("{label}: reading SO_COOKIE"))?;
        let actor = self.cast.len();
        self.cast.push(Actor { label: label.to_owned(), cookie, netns, ends: Endpoints { local, remote } });
        let player = Player { label, actor, tcp: Arc::new(tcp) };
        self.open.push(player.clone());
        Ok(player)
    }

    /// States what is so.
    pub fn state(&mut self, name: impl Into<String>, value: impl Display) {
        self.facts.push((name.into(), value.to_string()));
    }

    /// States what a call came to: `success`, or its error's name.
    pub fn says<T>(&mut self, name: impl Into<String>, result: &socket::Result<T>) {
        match result {
            Ok(_) => self.state(name, "success"),
            Err(error) => self.state(name, error),
        }
    }

    /// Waits until the kernel has reported that the socket entered this state.
    ///
    /// # Errors
    /// It has not by the deadline: which states it went through is in the observation.
    pub fn until(&self, player: &Player, state: State) -> Result<(), Trouble> {
        let reported = self.witness.wait(&self.netns(), self.deadline, |transitions| {
            let lives = resolve::lives(&self.cast, transitions);
            lives[player.actor].iter().any(|transition| transition.new == state)
        });
        if reported {
            return Ok(());
        }
        Err(Trouble::Failed {
            step: format!("waiting for {} to be in {state}", player.label),
            cause: "not reported by the deadline".to_owned(),
        })
    }

    fn netns(&self) -> Vec<u32> {
        self.places.iter().map(|place| place.namespace.inode()).collect()
    }
}
