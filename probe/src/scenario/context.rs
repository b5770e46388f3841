//! What a driver uses: namespaces, wires, deadlines, sockets and expectations.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    expectation::Expectation,
    labelled_socket::{LabelledSocket, SocketIndex},
    namespace_pair::NamespacePair,
    options::{Netns, Options},
    path::Span,
    port_holder::port_holder,
    scenario_run::ScenarioRun,
    step_error::{Step, StepError},
};
use crate::{
    model::{Endpoints, Errno, Family, Owner, SocketRow, State},
    net::{Namespace, SocketError, Tcp, link::Device, sock_diag, socket, sysctl},
    wire::Link,
};

/// How long a step may take on a busy host, in addition to the wire's delay.
const STEP_TIMEOUT: Duration = Duration::from_secs(4);

/// What a driver uses, and the run that it builds.
pub struct Context {
    options: Options,
    run: ScenarioRun,
    /// Kept for their captures.
    pairs: Vec<Arc<NamespacePair>>,
}

impl Context {
    pub(super) fn new(scenario: &'static str, options: Options) -> Self {
        Self { options, run: ScenarioRun::new(scenario), pairs: Vec::new() }
    }

    /// Completes the run with the driver's result.
    pub(super) fn finish(mut self, result: Result<(), StepError>) -> ScenarioRun {
        self.run.set_captures(self.pairs.iter().map(|pair| pair.capture()).collect());
        if let Err(error) = result {
            self.run.set_error(error);
        }
        if self.options.inject_failure {
            self.run.corrupt_expectation();
        }
        self.run
    }

    /// How the scenario runs.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Adds a note for the reader of the report.
    pub fn note(&mut self, text: impl Into<String>) {
        self.run.note(text);
    }

    /// The deadline of a step that starts now. It allows for several round trips on the wire.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        Instant::now() + STEP_TIMEOUT + self.options.delay * 8
    }

    /// The namespace to create sockets in: a new one for each call, or the host's.
    ///
    /// # Errors
    /// It cannot be created or entered, or the address family is disabled there.
    pub fn namespace(&self) -> Result<Namespace, StepError> {
        self.check_namespace(match self.options.netns {
            Netns::Private => Namespace::private()?,
            Netns::Host => Namespace::host()?,
        })
    }

    /// Two new namespaces with a wire between them, regardless of [`Options::netns`].
    ///
    /// # Errors
    /// They cannot be created, or the address family is disabled there.
    pub fn pair(&mut self) -> Result<Arc<NamespacePair>, StepError> {
        let link = Link::new(self.options.family).delay(self.options.delay);
        let namespaces =
            [self.check_namespace(Namespace::private()?)?, self.check_namespace(Namespace::private()?)?];
        let pair = Arc::new(NamespacePair::connect(namespaces, link)?);
        self.pairs.push(Arc::clone(&pair));
        Ok(pair)
    }

    /// Checks that the loopback device is up in the namespace, and that the address family is enabled.
    fn check_namespace(&self, namespace: Namespace) -> Result<Namespace, StepError> {
        let (family, address) = (self.options.family, self.loopback(0));
        // Binding to its address succeeds while the device is down; connecting fails.
        let up = namespace.enter(|| Device::named("lo")?.is_up()).map_err(StepError::from)?;
        if !up.map_err(|error| StepError::Unsupported(error.to_string()))? {
            return Err(StepError::Unsupported(
                "the device lo is down in this network namespace: run `ip link set lo up`".to_owned(),
            ));
        }
        let bound = namespace.enter(|| Tcp::new(family).and_then(|socket| socket.bind(address)))?;
        match bound {
            Err(error) if family == Family::Ipv6 => Err(StepError::Unsupported(format!(
                "IPv6 is disabled here (binding to ::1: {error}): boot without ipv6.disable=1, set \
                 net.ipv6.conf.default.disable_ipv6=0, or omit --ipv6"
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

    /// Creates a socket in `namespace`, sets its options with `prepare` and binds it to `local`.
    ///
    /// # Errors
    /// The namespace cannot be entered, or a call failed. With [`Netns::Host`], a port that is in use is
    /// [`StepError::Unsupported`].
    pub fn bound_socket(
        &self,
        namespace: &Namespace,
        local: SocketAddr,
        prepare: fn(&Tcp) -> socket::Result<()>,
    ) -> Result<Tcp, StepError> {
        let socket = self.socket(namespace)?;
        match prepare(&socket).and_then(|()| socket.bind(local)) {
            Err(SocketError::Errno(Errno::EADDRINUSE)) if self.options.netns == Netns::Host => {
                let holder = namespace.enter(|| port_holder(local))?;
                Err(StepError::Unsupported(format!(
                    "binding to {local}: EADDRINUSE{holder}: wait until the port is free, or omit --netns host"
                )))
            }
            Err(SocketError::Errno(Errno::EACCES)) => Err(StepError::Unsupported(format!(
                "binding to {local}: EACCES; a port below {first} requires CAP_NET_BIND_SERVICE: grant it, or lower \
                 that sysctl",
                first = sysctl::IP_UNPRIVILEGED_PORT_START
            ))),
            bound => bound.step(format!("binding to {local}")).map(|()| socket),
        }
    }

    /// Creates a socket in `namespace`.
    ///
    /// # Errors
    /// The namespace cannot be entered, or the process has no descriptor left.
    pub fn socket(&self, namespace: &Namespace) -> Result<Tcp, StepError> {
        let family = self.options.family;
        namespace.enter(|| Tcp::new(family))?.step("opening a socket")
    }

    /// Registers a socket under a label. Call it right before the call that makes the socket leave CLOSE.
    ///
    /// # Errors
    /// The kernel does not support SO_COOKIE.
    pub fn register(
        &mut self,
        label: impl Into<String>,
        socket: &Tcp,
        namespace: &Namespace,
        endpoints: Endpoints,
    ) -> Result<SocketIndex, StepError> {
        let cookie = socket.cookie().map_err(|error| {
            StepError::Unsupported(format!("reading SO_COOKIE: {error}; it requires Linux 4.12 or later"))
        })?;
        let label = label.into();
        Ok(self.run.add_socket(LabelledSocket { label, cookie, netns: namespace.inode(), endpoints }))
    }

    /// Connects, and waits for the outcome.
    ///
    /// # Errors
    /// Those of [`Tcp::connect`].
    pub fn connect(&mut self, index: SocketIndex, socket: &Tcp, remote: SocketAddr) -> socket::Result<()> {
        let deadline = self.deadline();
        self.connect_until(index, socket, remote, deadline)
    }

    /// Connects, and waits for the outcome until `deadline`.
    ///
    /// # Errors
    /// Those of [`Tcp::connect`].
    pub fn connect_until(
        &mut self,
        index: SocketIndex,
        socket: &Tcp,
        remote: SocketAddr,
        deadline: Instant,
    ) -> socket::Result<()> {
        let begun = socket.begin_connect(remote);
        match &begun {
            Ok(()) => {}
            // tcp_v4_connect looks up the route before SYN_SENT, and chooses the port in SYN_SENT.
            Err(SocketError::Errno(Errno::EADDRNOTAVAIL)) => {}
            Err(_) => self.run.mark_never_opened(index),
        }
        begun.and_then(|()| socket.outcome(deadline))
    }

    /// Adds an expectation.
    pub fn expect(&mut self, name: impl Into<String>, expectation: Expectation) {
        self.run.expect(name, expectation);
    }

    /// Expects each of the sockets to go through these states.
    pub fn expect_path(&mut self, name: &str, sockets: &[SocketIndex], span: Span, states: &[State]) {
        let path = Expectation::Path { sockets: sockets.to_vec(), span, states: states.to_vec() };
        self.expect(name, path);
    }

    /// Expects all of the sockets to be ESTABLISHED at the same time.
    pub fn expect_all_established(&mut self, name: &str, sockets: &[SocketIndex]) {
        let overlap = Expectation::Overlap { sockets: sockets.to_vec(), state: State::Established };
        self.expect(name, overlap);
    }

    /// Expects the socket to connect, by a simultaneous open or not.
    pub fn expect_connected(&mut self, name: &str, socket: SocketIndex) {
        self.expect(name, Expectation::Connected { socket });
    }

    /// Expects a call to return `expected`.
    pub fn expect_result(
        &mut self,
        name: impl Into<String>,
        expected: Result<(), Errno>,
        observed: &socket::Result<()>,
    ) {
        let expected = expected.map_err(SocketError::Errno);
        self.expect_equal(name, result_text(&expected), result_text(observed));
    }

    /// Expects a socket to have read `expected`.
    pub fn expect_data(
        &mut self,
        name: impl Into<String>,
        expected: &str,
        observed: &socket::Result<Vec<u8>>,
    ) {
        let observed = match observed {
            Ok(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Err(error) => error.to_string(),
        };
        self.expect_equal(name, expected, observed);
    }

    /// Expects `observed`, which is already known, to equal `expected`.
    pub fn expect_equal(
        &mut self,
        name: impl Into<String>,
        expected: impl Into<String>,
        observed: impl Into<String>,
    ) {
        let (expected, observed) = (expected.into(), observed.into());
        let pass = expected == observed;
        self.expect_outcome(name, expected, observed, pass);
    }

    /// Adds a check whose result is already known. `pass` says whether `observed` meets `expected`.
    pub fn expect_outcome(
        &mut self,
        name: impl Into<String>,
        expected: impl Into<String>,
        observed: impl Into<String>,
        pass: bool,
    ) {
        let (expected, observed) = (expected.into(), observed.into());
        self.expect(name, Expectation::Outcome { expected, observed, pass });
    }

    /// Adds the registered sockets of the namespace to the listing, as `ss` would list them now.
    ///
    /// # Errors
    /// The kernel does not support sock_diag.
    pub fn list_sockets(&mut self, namespace: &Namespace) -> Result<(), StepError> {
        let listed = namespace
            .enter(sock_diag::tcp_sockets)?
            .map_err(|error| StepError::Unsupported(error.to_string()))?;
        let registered = self.run.sockets().iter().filter(|socket| socket.netns == namespace.inode());
        let rows = registered.filter_map(|socket| {
            let found = listed.iter().find(|found| found.cookie == socket.cookie)?;
            Some(SocketRow {
                label: socket.label.clone(),
                state: found.state,
                endpoints: found.endpoints,
                // The reports have the owner: see `ScenarioRun::listing_with_owners`.
                owner: Owner::UNKNOWN,
                cookie: found.cookie,
            })
        });
        let rows = rows.collect();
        self.run.add_listing(rows);
        Ok(())
    }
}

/// Checks that a SYN in SYN_SENT may open the connection.
///
/// # Errors
/// This kernel (linux-hardened) is configured to refuse it, or the sysctl cannot be read.
pub(crate) fn simultaneous_open_allowed() -> Result<(), StepError> {
    // The sysctl is global, and visible in the initial network namespace only.
    match sysctl::TCP_SIMULT_CONNECT.read().step("checking whether simultaneous open is allowed")? {
        Some(false) => Err(StepError::Unsupported(format!(
            "{name}=0: this hardened kernel drops a SYN in SYN_SENT; set it to 1 during the run",
            name = sysctl::TCP_SIMULT_CONNECT
        ))),
        Some(true) | None => Ok(()),
    }
}

fn result_text(result: &socket::Result<()>) -> String {
    match result {
        Ok(()) => "success".to_owned(),
        Err(error) => error.to_string(),
    }
}
