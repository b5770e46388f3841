//! Where a driver plays: namespaces, deadlines, and sockets that join the story.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Actor, ActorId, Expectation, Netns, Options, Span, Step, StepError, Story, occupant::occupant, pair::Pair,
};
use crate::{
    model::{Endpoint, Endpoints, Errno, Family, Owner, SocketRow, State},
    net::{Namespace, SocketError, Tcp, link::Device, sock_diag, socket, sysctl},
    wire::Link,
};

/// How long a step may take on a host that is busy with other things. Packets' travel comes on top.
const PATIENCE: Duration = Duration::from_secs(4);

/// Where a driver plays, and the story that it tells.
pub struct Stage {
    options: Options,
    story: Story,
    /// For what they have carried in the end.
    pairs: Vec<Arc<Pair>>,
}

impl Stage {
    pub(super) fn new(scenario: &'static str, options: Options) -> Self {
        Self { options, story: Story::of(scenario), pairs: Vec::new() }
    }

    /// Ends the story with what the driver returned.
    pub(super) fn end(mut self, result: Result<(), StepError>) -> Story {
        self.story.carried(self.pairs.iter().map(|pair| pair.capture()).collect());
        if let Err(trouble) = result {
            self.story.broke_off(trouble);
        }
        if self.options.sabotage {
            self.story.spoil();
        }
        self.story
    }

    /// How the scenario is to be played.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The story so far.
    pub fn story(&mut self) -> &mut Story {
        &mut self.story
    }

    /// By when a step that begins now must have ended: some packets travel meanwhile.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        Instant::now() + PATIENCE + self.options.delay * 8
    }

    /// The namespace to play in: a new one each time, or always the host's.
    ///
    /// # Errors
    /// There is none to be had, or it lacks the address family.
    pub fn namespace(&self) -> Result<Namespace, StepError> {
        self.checked(match self.options.netns {
            Netns::Private => Namespace::private()?,
            Netns::Host => Namespace::host()?,
        })
    }

    /// Two new namespaces with a wire between them, whatever [`Options::netns`] says.
    ///
    /// # Errors
    /// They are not to be had, or lack the address family.
    pub fn pair(&mut self) -> Result<Arc<Pair>, StepError> {
        let link = Link::new(self.options.family).delay(self.options.delay);
        let namespaces = [self.checked(Namespace::private()?)?, self.checked(Namespace::private()?)?];
        let pair = Arc::new(Pair::between(namespaces, link)?);
        self.pairs.push(Arc::clone(&pair));
        Ok(pair)
    }

    /// Makes sure that a namespace has a loopback device that works, and the address family.
    fn checked(&self, namespace: Namespace) -> Result<Namespace, StepError> {
        let (family, address) = (self.options.family, self.loopback(0));
        // Binding to its address works while it is down; connecting is what does not.
        let up = namespace.enter(|| Device::named("lo")?.is_up()).map_err(StepError::from)?;
        if !up.map_err(|error| StepError::Unsupported(error.to_string()))? {
            return Err(StepError::Unsupported(
                "the device lo is down in this network namespace: ip link set lo up".to_owned(),
            ));
        }
        let bound = namespace.enter(|| Tcp::new(family).and_then(|socket| socket.bind(address)))?;
        match bound {
            Err(error) if family == Family::Ipv6 => Err(StepError::Unsupported(format!(
                "IPv6 is turned off here (binding to ::1: {error}): boot without ipv6.disable=1, set \
                 net.ipv6.conf.default.disable_ipv6=0, or leave out --ipv6"
            ))),
            bound => bound.step(format!("binding to {address}")).map(|()| namespace),
        }
    }

    /// The loopback address with this port.
    #[must_use]
    pub fn loopback(&self, port: u16) -> SocketAddr {
        let address = match self.options.family {
            Family::Ipv4 => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Family::Ipv6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
        };
        SocketAddr::new(address, port)
    }

    /// Makes a socket inside `namespace`, binds it to `local`, and lets `prepare` set its options first.
    ///
    /// # Errors
    /// The namespace cannot be entered, or a call failed. A port that the host uses already is
    /// [`StepError::Unsupported`].
    pub fn bound(
        &self,
        namespace: &Namespace,
        local: SocketAddr,
        prepare: fn(&Tcp) -> socket::Result<()>,
    ) -> Result<Tcp, StepError> {
        let made = self.socket(namespace)?;
        match prepare(&made).and_then(|()| made.bind(local)) {
            Err(SocketError::Errno(Errno::EADDRINUSE)) if self.options.netns == Netns::Host => {
                let by = namespace.enter(|| occupant(local))?;
                Err(StepError::Unsupported(format!(
                    "binding to {local}: EADDRINUSE{by}: wait for its end, or leave out --netns host"
                )))
            }
            Err(SocketError::Errno(Errno::EACCES)) => Err(StepError::Unsupported(format!(
                "binding to {local}: EACCES; a port below {first} needs CAP_NET_BIND_SERVICE: run with it, or lower \
                 that sysctl",
                first = sysctl::IP_UNPRIVILEGED_PORT_START
            ))),
            bound => bound.step(format!("binding to {local}")).map(|()| made),
        }
    }

    /// Makes a socket inside `namespace`.
    ///
    /// # Errors
    /// The namespace cannot be entered, or no descriptor is left.
    pub fn socket(&self, namespace: &Namespace) -> Result<Tcp, StepError> {
        let family = self.options.family;
        namespace.enter(|| Tcp::new(family))?.step("opening a socket")
    }

    /// Takes a socket into the story; call it just before what opens the socket.
    ///
    /// # Errors
    /// The kernel gives no cookie.
    pub fn join(
        &mut self,
        label: impl Into<String>,
        socket: &Tcp,
        namespace: &Namespace,
        ends: Endpoints,
    ) -> Result<ActorId, StepError> {
        let cookie = socket.cookie().map_err(|error| {
            StepError::Unsupported(format!("reading SO_COOKIE: {error}; this needs Linux 4.12 or later"))
        })?;
        Ok(self.story.add(Actor { label: label.into(), cookie, netns: namespace.inode(), ends }))
    }

    /// Connects, and waits for the outcome.
    ///
    /// # Errors
    /// Those of [`Tcp::connect`].
    pub fn connect(&mut self, actor: ActorId, socket: &Tcp, remote: SocketAddr) -> socket::Result<()> {
        let deadline = self.deadline();
        self.connect_by(actor, socket, remote, deadline)
    }

    /// The same with a deadline of the caller's.
    ///
    /// # Errors
    /// Those of [`Tcp::connect`].
    pub fn connect_by(
        &mut self,
        actor: ActorId,
        socket: &Tcp,
        remote: SocketAddr,
        deadline: Instant,
    ) -> socket::Result<()> {
        let begun = socket.begin_connect(remote);
        match &begun {
            Ok(()) => {}
            // Ports are looked for in SYN_SENT, routes before it (tcp_v4_connect).
            Err(SocketError::Errno(Errno::EADDRNOTAVAIL)) => {}
            Err(_) => self.story.never_opened(actor),
        }
        begun.and_then(|()| socket.outcome(deadline))
    }

    /// Expects each of the sockets to go through these states.
    pub fn path(&mut self, name: &str, actors: &[ActorId], span: Span, states: &[State]) {
        let path = Expectation::Path { actors: actors.to_vec(), span, states: states.to_vec() };
        self.story.expect(name, path);
    }

    /// Expects that all of the sockets are ESTABLISHED at some moment.
    pub fn together(&mut self, name: &str, actors: &[ActorId]) {
        let together = Expectation::Together { actors: actors.to_vec(), state: State::Established };
        self.story.expect(name, together);
    }

    /// Expects a call to return this.
    pub fn returns(
        &mut self,
        name: impl Into<String>,
        expected: Result<(), Errno>,
        observed: &socket::Result<()>,
    ) {
        let expected = expected.map_err(SocketError::Errno);
        self.done(name, outcome(&expected), outcome(observed));
    }

    /// Expects a socket to have read this.
    pub fn reads(&mut self, name: impl Into<String>, expected: &str, observed: &socket::Result<Vec<u8>>) {
        let observed = match observed {
            Ok(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Err(error) => error.to_string(),
        };
        self.done(name, expected, observed);
    }

    /// Expects what is known already to be so.
    pub fn done(
        &mut self,
        name: impl Into<String>,
        expected: impl Into<String>,
        observed: impl Into<String>,
    ) {
        let (expected, observed) = (expected.into(), observed.into());
        let pass = expected == observed;
        self.judged(name, expected, observed, pass);
    }

    /// The same where equal is too much to ask: `pass` says whether what came will do.
    pub fn judged(
        &mut self,
        name: impl Into<String>,
        expected: impl Into<String>,
        observed: impl Into<String>,
        pass: bool,
    ) {
        let (expected, observed) = (expected.into(), observed.into());
        self.story.expect(name, Expectation::Done { expected, observed, pass });
    }

    /// Expects the socket to connect, simultaneously or not.
    pub fn opens(&mut self, name: &str, actor: ActorId) {
        self.story.expect(name, Expectation::Opened { actor });
    }

    /// Puts the namespace's sockets into the story as `ss` would list them now: those that take part.
    ///
    /// # Errors
    /// The kernel does not list them.
    pub fn list(&mut self, namespace: &Namespace) -> Result<(), StepError> {
        let sockets = namespace
            .enter(sock_diag::tcp_sockets)?
            .map_err(|error| StepError::Unsupported(error.to_string()))?;
        let rows =
            self.story.cast().iter().filter(|actor| actor.netns == namespace.inode()).filter_map(|actor| {
                let socket = sockets.iter().find(|socket| socket.cookie == actor.cookie)?;
                Some(SocketRow {
                    label: actor.label.clone(),
                    state: socket.state,
                    ends: socket.ends,
                    // The reports know: see `Story::listed`.
                    owner: Owner::UNKNOWN,
                    cookie: socket.cookie,
                })
            });
        let rows = rows.collect();
        self.story.list(rows);
        Ok(())
    }

    /// Makes sure that a SYN may open a connection that is in SYN_SENT.
    ///
    /// # Errors
    /// This kernel is told not to (linux-hardened), or does not say.
    pub fn crossing_is_allowed(&self) -> Result<(), StepError> {
        crossing_is_allowed()
    }
}

/// As for [`Stage::crossing_is_allowed`].
pub(crate) fn crossing_is_allowed() -> Result<(), StepError> {
    // It is one for the whole system, and shows in the first namespace only.
    match sysctl::TCP_SIMULT_CONNECT.read().step("asking whether SYNs may cross")? {
        Some(false) => Err(StepError::Unsupported(format!(
            "{name}=0: this hardened kernel refuses a SYN in SYN_SENT; set it to 1 for the time of the run",
            name = sysctl::TCP_SIMULT_CONNECT
        ))),
        Some(true) | None => Ok(()),
    }
}

/// The ends of a connection from here to there.
#[must_use]
pub fn ends(local: SocketAddr, remote: SocketAddr) -> Endpoints {
    Endpoints { local: local.into(), remote: remote.into() }
}

/// The ends of a listener: anyone may be at the other.
#[must_use]
pub fn listening(local: SocketAddr) -> Endpoints {
    let anyone = match local.ip() {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    Endpoints { local: local.into(), remote: Endpoint::new(anyone, 0) }
}

fn outcome(result: &socket::Result<()>) -> String {
    match result {
        Ok(()) => "success".to_owned(),
        Err(error) => error.to_string(),
    }
}
