//! A host under test, and connections whose peers are emulated: the test builds every segment that the peer sends, so
//! that each state can be reached and left without a second TCP.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    ops::Range,
    sync::atomic::{AtomicU16, Ordering},
    time::Instant,
};

use probe::{
    model::{Endpoints, Family, Fate, Flags, Origin, Packet, Segment, Side, State},
    net::{Namespace, Tcp, destroy::destroy},
    wire::{Link, Rule, Wire},
};

use crate::{
    kernel_trace::{Change, Trace},
    support::PATIENCE,
    traced_link::set_sysctl,
};

/// The port of every emulated peer.
const PEER_PORT: u16 = 7;

/// The local ports: below the range from which the kernel picks.
pub const PORTS: Range<u16> = 2000..32_000;

/// The peer's initial sequence number.
const PEER_ISN: u32 = 1_000_000;

/// A network namespace with an IPv4 and an IPv6 link to a peer that is silent: what it sends is injected.
pub struct Host {
    pub inside: Namespace,
    _peer: Namespace,
    wires: [(Link, Wire); 2],
    /// What happens to the sockets on each local port.
    labels: RefCell<BTreeMap<u16, String>>,
}

/// What an ICMP message says is unreachable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable {
    Network,
    Host,
    Port,
}

impl Unreachable {
    pub const ALL: [Self; 3] = [Self::Network, Self::Host, Self::Port];

    /// Its code: RFC 792, or RFC 4443 (no route, address, port).
    fn code(self, family: Family) -> u8 {
        match (self, family) {
            (Self::Network, _) => 0,
            (Self::Host, Family::Ipv4) => 1,
            (Self::Host, Family::Ipv6) | (Self::Port, Family::Ipv4) => 3,
            (Self::Port, Family::Ipv6) => 4,
        }
    }
}

/// When a wait of the test ends.
pub fn deadline() -> Instant {
    Instant::now() + PATIENCE
}

impl Host {
    /// A new host.
    pub fn new() -> Self {
        let [inside, peer] = [(); 2].map(|()| Namespace::private().unwrap());
        let wires = [Family::Ipv4, Family::Ipv6].map(|family| {
            let link = Link::new(family);
            let wire = Wire::between(&inside, &peer, link).unwrap();
            wire.add_rule(Rule::drop(|_| true).sent_by(Side::A));
            (link, wire)
        });
        let host = Self { inside, _peer: peer, wires, labels: RefCell::default() };
        for (name, value) in [
            ("ipv4/tcp_syn_retries", 1),
            ("ipv4/tcp_synack_retries", 1),
            ("ipv4/tcp_orphan_retries", 1),
            // Clients and servers, without cookies.
            ("ipv4/tcp_fastopen", 0x207),
        ] {
            set_sysctl(&host.inside, name, value);
        }
        host
    }

    /// What happens on each local port.
    pub fn labels(&self) -> BTreeMap<u16, String> {
        self.labels.borrow().clone()
    }

    /// A local port that nothing uses, for what the label says.
    pub fn take_port(&self, label: &str) -> u16 {
        /// Unique on all hosts of this process, since the kernel's trace does not record namespaces.
        static PORT: AtomicU16 = AtomicU16::new(PORTS.start);
        let port = PORT.fetch_add(1, Ordering::Relaxed);
        assert!(PORTS.contains(&port), "the ports are used up");
        self.labels.borrow_mut().insert(port, label.to_owned());
        port
    }

    fn link(&self, family: Family) -> &(Link, Wire) {
        &self.wires[usize::from(family == Family::Ipv6)]
    }

    /// A connection that is not open yet.
    pub fn connection(&self, family: Family, label: &str) -> Connection<'_> {
        let (link, _) = self.link(family);
        self.existing(family, link.endpoint(Side::A, self.take_port(label)))
    }

    /// One with this local endpoint.
    pub fn existing(&self, family: Family, local: SocketAddr) -> Connection<'_> {
        let (link, _) = self.link(family);
        Connection {
            host: self,
            family,
            local,
            remote: link.endpoint(Side::B, PEER_PORT),
            socket: None,
            listener: None,
            next: PEER_ISN,
            acknowledged: 0,
            window: u16::MAX,
        }
    }
}

/// A connection of the host with an emulated peer.
pub struct Connection<'a> {
    pub host: &'a Host,
    pub family: Family,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    /// The host's socket, unless it is closed or has not been accepted.
    pub socket: Option<Tcp>,
    /// Where the host accepted it.
    pub listener: Option<Tcp>,
    /// SND.NXT of the peer.
    pub next: u32,
    /// RCV.NXT of the peer: what its segments acknowledge.
    pub acknowledged: u32,
    /// The window that its segments announce.
    pub window: u16,
}

impl Connection<'_> {
    fn wire(&self) -> &Wire {
        &self.host.link(self.family).1
    }

    /// The host's socket.
    pub fn socket(&self) -> &Tcp {
        self.socket.as_ref().expect("the socket is open")
    }

    /// A socket that is bound to its local endpoint.
    pub fn bind(&mut self, create: impl FnOnce(Family) -> Tcp + Send) {
        let (family, local) = (self.family, self.local);
        let bound = || {
            let socket = create(family);
            socket.reuse_address().unwrap();
            socket.bind(local).unwrap();
            socket
        };
        self.socket = Some(self.host.inside.enter(bound).unwrap());
    }

    /// Starts to connect: SYN_SENT.
    pub fn start(&mut self) {
        if self.socket.is_none() {
            self.bind(|family| Tcp::new(family).unwrap());
        }
        self.socket().begin_connect(self.remote).unwrap();
        let syn = self.sent("SYN", Segment::is_syn);
        self.acknowledged = syn.seq.wrapping_add(1);
    }

    /// Connects: ESTABLISHED.
    pub fn connect(&mut self) {
        self.start();
        self.receives(Flags::SYN.with(Flags::ACK), b"");
        self.socket().outcome(deadline()).unwrap();
    }

    /// Starts to listen.
    pub fn listen(&mut self, create: impl FnOnce(Family) -> Tcp + Send) {
        self.bind(create);
        let listener = self.socket.take().expect("it was bound");
        listener.listen(8).unwrap();
        self.listener = Some(listener);
    }

    /// The peer sends a SYN to the listener, which answers.
    pub fn receives_syn(&mut self) {
        self.receives(Flags::SYN, b"");
        let answer = self.sent("SYN+ACK", Segment::is_syn_ack);
        self.acknowledged = answer.seq.wrapping_add(1);
    }

    /// The peer connects to the listener; the child is in the accept queue.
    pub fn is_connected_to(&mut self) {
        self.receives_syn();
        self.receives(Flags::ACK, b"");
    }

    /// Accepts it.
    pub fn accept(&mut self) {
        let listener = self.listener.as_ref().expect("it listens");
        self.socket = Some(listener.accept(deadline()).unwrap());
    }

    /// Writes, and waits until the host has sent it; the peer does not acknowledge it.
    pub fn write(&self, bytes: &[u8]) -> Packet {
        self.socket().write_all(bytes, deadline()).unwrap();
        self.packet("data", Segment::has_data)
    }

    /// The first segment that the host sent on this connection and that matches.
    fn sent(&self, what: &str, matches: impl Fn(&Segment) -> bool) -> Segment {
        self.packet(what, matches).segment.expect("it matched")
    }

    /// The last one, as a packet.
    pub fn packet(&self, what: &str, matches: impl Fn(&Segment) -> bool) -> Packet {
        let is_match = |packet: &&Packet| {
            packet.origin == Origin::Sent
                && packet.segment.is_some_and(|segment| {
                    (segment.source, segment.destination) == (self.local, self.remote) && matches(&segment)
                })
        };
        let packets = self.wire().wait_for(deadline(), |packets| packets.iter().any(|one| is_match(&one)));
        let packets = packets.unwrap_or_else(|error| panic!("no {what} from {}: {error}", self.local));
        packets.iter().rfind(is_match).expect("it was found").clone()
    }

    /// The peer sends a segment; the host has processed it when this returns.
    pub fn receives(&mut self, flags: Flags, payload: &[u8]) {
        let segment = Segment {
            source: self.remote,
            destination: self.local,
            flags,
            seq: self.next,
            ack: if flags.contains(Flags::ACK) { self.acknowledged } else { 0 },
            window: self.window,
            payload: payload.len(),
        };
        self.next = self.next.wrapping_add(segment.length());
        self.wire().inject(Side::B, &segment, payload);
        self.wait_for_delivery();
    }

    /// An ICMP destination unreachable message about the packet arrives.
    pub fn receives_icmp(&self, about: &Packet, what: Unreachable) {
        self.wire().inject_unreachable(about, what.code(self.family));
        self.wait_for_delivery();
    }

    fn wait_for_delivery(&self) {
        let is_travelling =
            |packet: &Packet| packet.origin == Origin::Injected && packet.fate == Fate::Travelling;
        self.wire().wait_for(deadline(), |packets| !packets.iter().any(is_travelling)).unwrap();
    }

    /// The peer acknowledges this many bytes more: data, and one for a FIN.
    pub fn acknowledges(&mut self, bytes: u32) {
        self.acknowledged = self.acknowledged.wrapping_add(bytes);
        self.receives(Flags::ACK, b"");
    }

    /// An administrator destroys it (`ss -K`).
    pub fn destroy(&self, ends: Endpoints) {
        let family = self.family;
        self.host.inside.enter(|| destroy(family, ends)).unwrap().unwrap();
    }

    /// Its endpoints.
    pub fn ends(&self) -> Endpoints {
        Endpoints { local: self.local.into(), remote: self.remote.into() }
    }

    /// Where it is.
    pub fn place(&self) -> Place {
        Place { local: self.local, remote: self.remote }
    }
}

/// The endpoints of sockets that the test waits for.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    local: SocketAddr,
    remote: SocketAddr,
}

impl Place {
    /// Waits until every socket with these endpoints has reached CLOSE; `None` if changes were lost.
    pub fn wait_for_end(self, trace: &mut Trace) -> Option<()> {
        let Self { local, remote } = self;
        let ports = [local.port(), remote.port()];
        let is_ours = |change: &Change| change.ports == ports && change.addresses[0] == local.ip();
        trace.wait(&format!("end by a timer at {local}"), |changes| has_ended(changes, is_ours))
    }
}

/// Whether every socket that has such a change has reached CLOSE, and there is one.
pub fn has_ended(changes: &[Change], is_ours: impl Fn(&Change) -> bool) -> bool {
    let sockets: BTreeSet<u64> =
        changes.iter().filter(|change| is_ours(change)).map(|change| change.skaddr).collect();
    // Its last change may have no ports any more, and another socket may get its address.
    let is_closed = |skaddr: &u64| {
        let mut its =
            changes.iter().filter(|change| change.skaddr == *skaddr).skip_while(|change| !is_ours(change));
        its.any(|change| change.new == State::Close)
    };
    !sockets.is_empty() && sockets.iter().all(is_closed)
}
