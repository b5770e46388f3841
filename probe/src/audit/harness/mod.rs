//! What the steps of a behaviour use: network namespaces, a wire, labelled sockets, and the facts that they
//! observe.
//!
//! - [`Harness`]: one run of a behaviour
//! - [`TestHost`]: a network namespace, its sysctls and counters
//! - [`HostPair`]: two of them with a wire between them
//! - [`TestSocket`], [`SocketRef`]: a labelled socket, with and without its descriptor

mod host_pair;
mod test_host;
mod test_socket;

use std::{
    fmt::Display,
    net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

pub use self::{
    host_pair::HostPair,
    test_host::TestHost,
    test_socket::{SocketRef, TestSocket},
};
use super::{
    observer::{Observed, Observer},
    requirement::{self, Requirement},
};
use crate::{
    model::{Endpoint, Endpoints, Errno, Family, Mono, Packet, Side, State},
    net::{Namespace, Tcp, counters::Counters, destroy::destroy, sock_diag::DiagSocket, socket},
    os::clock,
    scenario::{LabelledSocket, Step as _, StepError, resolve},
    wire::{Link, Wire},
};

/// How long the steps of a behaviour may take. The longest timers of the catalogue take a third of it.
const TIME_LIMIT: Duration = Duration::from_secs(12);

/// The time between two polls of a condition that the kernel does not report.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// The remote endpoint of a socket that is not connected.
const NOT_CONNECTED: Endpoint = Endpoint { addr: IpAddr::V4(Ipv4Addr::UNSPECIFIED), port: None };

/// The port that servers listen on.
pub const SERVER_PORT: u16 = 1314;

/// One run of a behaviour.
pub struct Harness {
    observed: Observed,
    needs: &'static [Requirement],
    deadline: Instant,
    hosts: Vec<TestHost>,
    wires: Vec<Arc<Wire>>,
    sockets: Vec<LabelledSocket>,
    /// The sockets that the steps have not closed.
    open: Vec<TestSocket>,
    facts: Vec<(String, String)>,
}

/// The result of a behaviour's steps.
pub struct RunResult {
    /// The error that stopped the steps, if any.
    pub error: Option<StepError>,
    /// Whether the time limit had passed when the steps stopped with an error.
    pub timed_out: bool,
    /// The labelled sockets, in the order in which the steps opened them.
    pub sockets: Vec<LabelledSocket>,
    /// The observed facts, by name.
    pub facts: Vec<(String, String)>,
    /// The transitions in the network namespaces.
    pub observed: Observed,
    /// Keeps the namespaces alive until all reports have been taken: the kernel gives the inode number of a
    /// namespace that is gone to a new one.
    pub hosts: Vec<TestHost>,
    /// The packets that the wires carried.
    pub packets: Vec<Packet>,
    /// When the steps returned. Later transitions are clean-up.
    pub ended: Mono,
}

impl Harness {
    pub(super) fn new(observer: Arc<Observer>, needs: &'static [Requirement]) -> Self {
        Self {
            observed: Observed::new(observer),
            needs,
            deadline: Instant::now() + TIME_LIMIT,
            hosts: Vec::new(),
            wires: Vec::new(),
            sockets: Vec::new(),
            open: Vec::new(),
            facts: Vec::new(),
        }
    }

    /// Completes the run with the result of the steps.
    pub(super) fn finish(self, result: Result<(), StepError>) -> RunResult {
        RunResult {
            timed_out: matches!(result, Err(StepError::Failed { .. })) && Instant::now() >= self.deadline,
            error: result.err(),
            ended: clock::now(),
            observed: self.observed,
            packets: self.wires.iter().flat_map(|wire| wire.packets()).collect(),
            sockets: self.sockets,
            facts: self.facts,
            hosts: self.hosts,
        }
    }

    /// The deadline of every wait.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    // Hosts

    /// A new network namespace with the loopback address 127.0.0.1.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn host(&mut self) -> Result<TestHost, StepError> {
        self.add_host(Ipv4Addr::LOCALHOST.into())
    }

    /// Two new network namespaces with a wire between them.
    ///
    /// # Errors
    /// They cannot be created, or the entry does not declare the wire among its `needs`.
    pub fn host_pair(&mut self) -> Result<HostPair, StepError> {
        requirement::declared(self.needs, Requirement::Wire)?;
        let link = Link::new(Family::Ipv4).delay(Duration::from_millis(2));
        let [a, b] = Side::BOTH.map(|side| self.add_host(link.address(side)));
        let (a, b) = (a?, b?);
        let wire = Wire::between(&a.namespace, &b.namespace, link)
            .map_err(|error| StepError::Unsupported(error.to_string()))?;
        let wire = Arc::new(wire);
        self.wires.push(Arc::clone(&wire));
        Ok(HostPair::new(a, b, wire, self.deadline))
    }

    fn add_host(&mut self, addr: IpAddr) -> Result<TestHost, StepError> {
        let namespace = Namespace::private()?;
        self.observed.add(namespace.inode()).step("subscribing to the reports of a namespace")?;
        let host = TestHost::new(namespace, addr, self.needs);
        self.hosts.push(host.clone());
        Ok(host)
    }

    // Sockets

    /// An IPv4 TCP socket.
    ///
    /// # Errors
    /// The namespace cannot be entered, or the process has no descriptor left.
    pub fn socket(&mut self, host: &TestHost, label: &'static str) -> Result<TestSocket, StepError> {
        self.socket_with(host, label, || Tcp::new(Family::Ipv4))
    }

    /// The socket that `create` returns, of another family or protocol.
    ///
    /// # Errors
    /// As for [`socket`](Self::socket).
    pub fn socket_with(
        &mut self,
        host: &TestHost,
        label: &'static str,
        create: impl FnOnce() -> socket::Result<Tcp> + Send,
    ) -> Result<TestSocket, StepError> {
        let tcp = host.namespace.enter(create)?.step(format!("{label}: opening a socket"))?;
        self.add_socket(host.namespace.inode(), label, tcp, Endpoint::new(host.addr, 0), NOT_CONNECTED)
    }

    /// A socket bound to a port of the host.
    ///
    /// # Errors
    /// bind(2) failed, which behaviours that use this do not expect.
    pub fn bound_socket(
        &mut self,
        host: &TestHost,
        label: &'static str,
        port: u16,
    ) -> Result<TestSocket, StepError> {
        let socket = self.socket(host, label)?;
        self.bind(&socket, host.endpoint(port)).step(format!("{label}: binding to port {port}"))?;
        Ok(socket)
    }

    /// A socket that listens on [`SERVER_PORT`].
    ///
    /// # Errors
    /// As for [`bound_socket`](Self::bound_socket).
    pub fn listener(&mut self, host: &TestHost, label: &'static str) -> Result<TestSocket, StepError> {
        let socket = self.bound_socket(host, label, SERVER_PORT)?;
        socket.tcp.listen(16).step(format!("{label}: listening"))?;
        Ok(socket)
    }

    /// An established connection: the listener, the client and the server's accepted socket.
    ///
    /// # Errors
    /// A step failed.
    pub fn connection(&mut self, client: &TestHost, server: &TestHost) -> Result<[TestSocket; 3], StepError> {
        let listener = self.listener(server, "listener")?;
        let client = self.socket(client, "client")?;
        self.connect(&client, server.endpoint(SERVER_PORT)).step("client: connecting")?;
        let server = self.accept(&listener, "server")?;
        Ok([listener, client, server])
    }

    /// The child in the accept queue that belongs to this client, which no process has accepted.
    ///
    /// # Errors
    /// There is none by the deadline, or the kernel does not support sock_diag.
    pub fn queued_child(
        &mut self,
        host: &TestHost,
        label: &'static str,
        client: &TestSocket,
    ) -> Result<SocketRef, StepError> {
        let remote = local_endpoint(client)?;
        let mut found = None;
        self.poll_until(|| {
            let sockets = host.sockets()?;
            found = sockets.into_iter().find(|socket| {
                socket.state == State::Established && socket.endpoints.remote == remote.into()
            });
            Ok(found.is_some())
        })?;
        let Some(DiagSocket { cookie, endpoints, .. }) = found else {
            return Err(StepError::Failed {
                step: format!("waiting for {label}"),
                cause: format!("the kernel did not list it within {}s", TIME_LIMIT.as_secs()),
            });
        };
        let index = self.sockets.len();
        let netns = host.namespace.inode();
        self.sockets.push(LabelledSocket { label: label.to_owned(), cookie, netns, endpoints });
        Ok(SocketRef { label, index })
    }

    fn add_socket(
        &mut self,
        netns: u32,
        label: &'static str,
        tcp: Tcp,
        local: Endpoint,
        remote: Endpoint,
    ) -> Result<TestSocket, StepError> {
        let cookie = tcp.cookie().step(format!("{label}: reading SO_COOKIE"))?;
        let index = self.sockets.len();
        let endpoints = Endpoints { local, remote };
        self.sockets.push(LabelledSocket { label: label.to_owned(), cookie, netns, endpoints });
        let socket = TestSocket { label, index, tcp: Arc::new(tcp) };
        self.open.push(socket.clone());
        Ok(socket)
    }

    // Calls

    /// Calls bind(2).
    ///
    /// # Errors
    /// Those of bind(2).
    pub fn bind(&mut self, socket: &TestSocket, local: SocketAddr) -> socket::Result<()> {
        socket.tcp.bind(local)?;
        self.sockets[socket.index].endpoints.local = local.into();
        Ok(())
    }

    /// Connects, and waits for the outcome.
    ///
    /// # Errors
    /// Those of connect(2).
    pub fn connect(&mut self, socket: &TestSocket, remote: SocketAddr) -> socket::Result<()> {
        self.begin_connect(socket, remote)?;
        socket.tcp.outcome(self.deadline)
    }

    /// Starts to connect, and does not wait for the outcome.
    ///
    /// # Errors
    /// Those of connect(2), except EINPROGRESS.
    pub fn begin_connect(&mut self, socket: &TestSocket, remote: SocketAddr) -> socket::Result<()> {
        self.set_remote(socket, remote);
        socket.tcp.begin_connect(remote)
    }

    /// Notes the remote endpoint of a connect that the steps make themselves: without cookies, transitions
    /// are matched to sockets by their endpoints.
    pub fn set_remote(&mut self, socket: &TestSocket, remote: SocketAddr) {
        self.sockets[socket.index].endpoints.remote = remote.into();
    }

    /// Accepts the next connection.
    ///
    /// # Errors
    /// None arrived by the deadline.
    pub fn accept(&mut self, listener: &TestSocket, label: &'static str) -> Result<TestSocket, StepError> {
        let tcp = listener.tcp.accept(self.deadline).step(format!("{label}: accepting"))?;
        let endpoints = tcp.local().and_then(|local| Ok((local, tcp.remote()?)));
        let (local, remote) = endpoints.step(format!("{label}: reading its endpoints"))?;
        self.add_socket(self.sockets[listener.index].netns, label, tcp, local.into(), remote.into())
    }

    /// Reads the next bytes; empty after a FIN.
    ///
    /// # Errors
    /// Those of recv(2), or the deadline passed.
    pub fn read(&self, socket: &TestSocket) -> socket::Result<Vec<u8>> {
        let mut bytes = vec![0; 4096];
        let length = socket.tcp.read(&mut bytes, self.deadline)?;
        bytes.truncate(length);
        Ok(bytes)
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// Those of send(2), or the deadline passed.
    pub fn write(&self, socket: &TestSocket, bytes: &[u8]) -> socket::Result<()> {
        socket.tcp.write_all(bytes, self.deadline)
    }

    /// Sends a FIN: shutdown(2) with SHUT_WR.
    ///
    /// # Errors
    /// ENOTCONN.
    pub fn shutdown_write(&self, socket: &TestSocket) -> Result<(), StepError> {
        socket.tcp.shutdown(Shutdown::Write).step(format!("{}: shutting down", socket.label))
    }

    /// Closes the only descriptor of the socket. The kernel's reports about it can still be waited for.
    pub fn close(&mut self, socket: TestSocket) -> SocketRef {
        self.open.retain(|open| open.index != socket.index);
        SocketRef::from(&socket)
    }

    /// Destroys a socket with SOCK_DESTROY, as `ss -K` does.
    ///
    /// # Errors
    /// This kernel does not support it, or there is no such socket.
    pub fn destroy(&self, host: &TestHost, socket: &TestSocket) -> Result<(), StepError> {
        let mut endpoints = self.sockets[socket.index].endpoints;
        endpoints.local = local_endpoint(socket)?.into();
        let destroyed = host.namespace.enter(|| destroy(Family::Ipv4, endpoints))?;
        destroyed.map_err(|error| match Errno::of(&error) {
            Some(Errno::EOPNOTSUPP) => {
                StepError::Unsupported("this kernel was built without CONFIG_INET_DIAG_DESTROY".to_owned())
            }
            _ => StepError::Failed {
                step: format!("{}: destroying it", socket.label),
                cause: error.to_string(),
            },
        })
    }

    // Waiting

    /// Waits until the kernel has reported that the socket entered this state.
    ///
    /// # Errors
    /// It has not by the deadline. The observation has the states that the socket went through.
    pub fn wait_for_state(&self, socket: impl Into<SocketRef>, state: State) -> Result<(), StepError> {
        self.wait_for_nth_entry(socket, 1, state)
    }

    /// Waits until the kernel has reported that the socket entered this state `count` times.
    ///
    /// # Errors
    /// As for [`wait_for_state`](Self::wait_for_state).
    pub fn wait_for_nth_entry(
        &self,
        socket: impl Into<SocketRef>,
        count: usize,
        state: State,
    ) -> Result<(), StepError> {
        let SocketRef { label, index } = socket.into();
        let reported = self.observed.wait(self.deadline, |transitions| {
            let histories = resolve::histories(&self.sockets, transitions);
            histories[index].iter().filter(|transition| transition.new == state).count() >= count
        });
        if reported {
            return Ok(());
        }
        Err(StepError::Failed {
            step: format!("waiting until {label} enters {state}"),
            cause: format!("not reported within {}s", TIME_LIMIT.as_secs()),
        })
    }

    /// Polls until `condition` holds, for what the kernel does not report. Returns `false` at the deadline.
    ///
    /// # Errors
    /// Those of `condition`.
    pub fn poll_until(
        &self,
        mut condition: impl FnMut() -> Result<bool, StepError>,
    ) -> Result<bool, StepError> {
        loop {
            if condition()? {
                return Ok(true);
            }
            if Instant::now() >= self.deadline {
                return Ok(false);
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    // Observed facts

    /// Adds a fact.
    pub fn observe(&mut self, name: impl Into<String>, value: impl Display) {
        self.facts.push((name.into(), value.to_string()));
    }

    /// Adds the result of a call: `success`, or the name of the error.
    pub fn observe_result<T>(&mut self, name: impl Into<String>, result: &socket::Result<T>) {
        match result {
            Ok(_) => self.observe(name, "success"),
            Err(error) => self.observe(name, error),
        }
    }

    /// Adds the socket's state according to TCP_INFO, under the socket's label.
    pub fn observe_state(&mut self, socket: &TestSocket) {
        match socket.tcp.state() {
            Ok(state) => self.observe(socket.label, state),
            Err(error) => self.observe(socket.label, error),
        }
    }

    /// Adds the local port that the kernel reported when the socket left CLOSE: `none` if it had not chosen
    /// one yet.
    ///
    /// # Errors
    /// The kernel has not reported it by the deadline.
    pub fn observe_port_leaving_close(&mut self, socket: impl Into<SocketRef>) -> Result<(), StepError> {
        let SocketRef { label, index } = socket.into();
        let mut port = None;
        self.observed.wait(self.deadline, |transitions| {
            let histories = resolve::histories(&self.sockets, transitions);
            port = histories[index].first().map(|transition| transition.identity.endpoints.local.port);
            port.is_some()
        });
        let port = port.ok_or_else(|| format!("not reported within {}s", TIME_LIMIT.as_secs()));
        let name = "local port on leaving CLOSE";
        match port.step(format!("waiting until {label} leaves CLOSE"))? {
            Some(port) => self.observe(name, port),
            None => self.observe(name, "none"),
        }
        Ok(())
    }

    /// Adds by how much these counters have risen since `before`.
    ///
    /// # Errors
    /// /proc cannot be read.
    pub fn observe_counters(
        &mut self,
        host: &TestHost,
        before: &Counters,
        names: &[&str],
    ) -> Result<(), StepError> {
        let now = host.counters()?;
        for name in names {
            match now.since(before, name) {
                Some(rise) => self.observe(*name, rise),
                None => self.observe(*name, "not counted"),
            }
        }
        Ok(())
    }

    /// Waits until a counter has risen since `before`, and adds whether it has: `rises`, `stays` or `not
    /// counted`. The amount is not observed, because it depends on how often a loaded machine retransmits.
    ///
    /// # Errors
    /// /proc cannot be read.
    pub fn observe_counter_rise(
        &mut self,
        host: &TestHost,
        before: &Counters,
        name: &'static str,
    ) -> Result<(), StepError> {
        let mut counted = true;
        let risen = self.poll_until(|| {
            let rise = host.counters()?.since(before, name);
            counted = rise.is_some();
            Ok(rise != Some(0))
        })?;
        self.observe(
            name,
            if !counted {
                "not counted"
            } else if risen {
                "rises"
            } else {
                "stays"
            },
        );
        Ok(())
    }

    /// The mini-socket (`struct inet_timewait_sock`) that the connection has left: its state is TIME_WAIT, or
    /// FIN_WAIT2 if it waits for the peer's FIN.
    ///
    /// # Errors
    /// The kernel does not support sock_diag.
    pub fn mini_socket(
        &self,
        host: &TestHost,
        socket: impl Into<SocketRef>,
    ) -> Result<Option<State>, StepError> {
        Ok(self.mini_socket_and_timer(host, socket.into())?.map(|(state, _)| state))
    }

    /// Adds the state of the mini-socket that the connection has left: `TIME_WAIT`, `FIN_WAIT2` or `none`.
    ///
    /// # Errors
    /// The kernel does not support sock_diag.
    pub fn observe_mini_socket(
        &mut self,
        host: &TestHost,
        socket: impl Into<SocketRef>,
    ) -> Result<(), StepError> {
        let socket = socket.into();
        self.observe_mini_socket_as(format!("mini-socket of {}", socket.label), host, socket)
    }

    /// As [`observe_mini_socket`](Self::observe_mini_socket), with the fact's name.
    ///
    /// # Errors
    /// The kernel does not support sock_diag.
    pub fn observe_mini_socket_as(
        &mut self,
        name: impl Into<String>,
        host: &TestHost,
        socket: impl Into<SocketRef>,
    ) -> Result<(), StepError> {
        let state = self.mini_socket(host, socket)?;
        self.observe(name, state.map_or("none", State::name));
        Ok(())
    }

    /// Adds when the mini-socket that the connection has left expires, to the nearest ten seconds: the steps
    /// have taken the rest.
    ///
    /// # Errors
    /// The kernel does not support sock_diag.
    pub fn observe_expiry(&mut self, host: &TestHost, socket: impl Into<SocketRef>) -> Result<(), StepError> {
        let mini_socket = self.mini_socket_and_timer(host, socket.into())?;
        let expires = mini_socket.map_or(Duration::ZERO, |(_, expires)| expires);
        self.observe("expires in", format!("{}s", (expires.as_secs() + 5) / 10 * 10));
        Ok(())
    }

    fn mini_socket_and_timer(
        &self,
        host: &TestHost,
        socket: SocketRef,
    ) -> Result<Option<(State, Duration)>, StepError> {
        let cookie = self.sockets[socket.index].cookie;
        let mini_socket =
            |listed: DiagSocket| Some((listed.state, listed.expires?)).filter(|_| listed.cookie == cookie);
        Ok(host.sockets()?.into_iter().find_map(mini_socket))
    }
}

fn local_endpoint(socket: &TestSocket) -> Result<SocketAddr, StepError> {
    socket.tcp.local().step(format!("{}: reading its local endpoint", socket.label))
}
