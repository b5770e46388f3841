//! The emulated link between two network namespaces with the kernel's TCP in both.

use std::{
    net::Shutdown,
    time::{Duration, Instant},
};

use probe::{
    model::{Errno, Family, Fate, Flags, Mono, Origin, Packet, Segment, Side},
    net::{Namespace, SocketError, Tcp},
    wire::{Link, Rule, Wire, WireError},
};

const DELAY: Duration = Duration::from_millis(20);
const PORT: u16 = 1314;

/// Two network namespaces with a wire between them.
struct Hosts {
    link: Link,
    wire: Wire,
    a: Namespace,
    b: Namespace,
}

impl Hosts {
    fn new(family: Family, delay: Duration) -> Self {
        let [a, b] = [(); 2].map(|()| Namespace::private().unwrap());
        let link = Link::new(family).delay(delay);
        Self { wire: Wire::between(&a, &b, link).unwrap(), link, a, b }
    }

    /// A socket bound to [`PORT`] at the address of `side`.
    fn socket(&self, side: Side) -> Tcp {
        let namespace = if side == Side::A { &self.a } else { &self.b };
        namespace.enter(|| Tcp::bound(self.link.endpoint(side, PORT))).unwrap().unwrap()
    }

    /// A listener on side B.
    fn listener(&self) -> Tcp {
        let listener = self.socket(Side::B);
        listener.listen(8).unwrap();
        listener
    }

    /// A socket of `side` that has started to connect to the other side.
    fn connecting(&self, side: Side) -> Tcp {
        let socket = self.socket(side);
        socket.begin_connect(self.link.endpoint(side.peer(), PORT)).unwrap();
        socket
    }

    /// A connection from side A to a listener on side B.
    fn connection(&self) -> (Tcp, Tcp) {
        let listener = self.listener();
        let client = self.connecting(Side::A);
        client.outcome(deadline()).unwrap();
        (client, listener.accept(deadline()).unwrap())
    }

    /// Waits until `count` packets match, and returns the first of them.
    fn wait(&self, count: usize, matches: impl Fn(&Packet, &Segment) -> bool) -> Packet {
        let is_match =
            |packet: &&Packet| packet.segment.as_ref().is_some_and(|segment| matches(packet, segment));
        let packets =
            self.wire.wait_for(deadline(), |packets| packets.iter().filter(is_match).count() >= count);
        packets.unwrap().iter().find(is_match).unwrap().clone()
    }
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

fn flags(packets: &[Packet]) -> Vec<String> {
    packets.iter().map(|packet| packet.segment.unwrap().flags.to_string()).collect()
}

fn delivered(packet: &Packet) -> Option<(Mono, Mono)> {
    match packet.fate {
        Fate::Delivered { before, after } => Some((before, after)),
        _ => None,
    }
}

fn a_connection_opens_over_the_wire(family: Family) {
    let hosts = Hosts::new(family, DELAY);
    let start = Instant::now();
    let (client, server) = hosts.connection();
    assert!(start.elapsed() >= 2 * DELAY, "a handshake takes a round trip");
    for (from, to) in [(&client, &server), (&server, &client)] {
        let start = Instant::now();
        from.write_all(b"I love you.", deadline()).unwrap();
        assert_eq!(to.read_exact(11, deadline()).unwrap(), b"I love you.");
        assert!(start.elapsed() >= DELAY);
    }
    let packets = hosts.wire.packets();
    assert_eq!(flags(&packets)[..3], ["SYN", "SYN+ACK", "ACK"]);
    for packet in packets.iter().filter(|packet| delivered(packet).is_some()) {
        let (before, after) = delivered(packet).unwrap();
        assert!(before.since(packet.sent) >= DELAY && after > before, "{packet}");
    }
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn an_ipv4_connection_opens_over_the_wire() {
    a_connection_opens_over_the_wire(Family::Ipv4);
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn an_ipv6_connection_opens_over_the_wire() {
    a_connection_opens_over_the_wire(Family::Ipv6);
}

fn crossing_syns_open_a_connection(family: Family) {
    let hosts = Hosts::new(family, Duration::ZERO);
    let syns = hosts.wire.add_rule(Rule::hold(Segment::is_syn));
    let [a, b] = Side::BOTH.map(|side| hosts.connecting(side));
    hosts.wait(2, |packet, _| packet.fate == Fate::Held);
    hosts.wire.remove_rule(syns);
    for socket in [&a, &b] {
        socket.outcome(deadline()).unwrap();
        socket.write_all(b"I love you.", deadline()).unwrap();
    }
    for socket in [&a, &b] {
        assert_eq!(socket.read_exact(11, deadline()).unwrap(), b"I love you.");
    }
    let packets = hosts.wire.packets();
    assert_eq!(flags(&packets)[..4], ["SYN", "SYN", "SYN+ACK", "SYN+ACK"]);
    for pair in [&packets[0..2], &packets[2..4]] {
        assert_ne!(pair[0].from, pair[1].from);
    }
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn crossing_ipv4_syns_open_a_connection() {
    crossing_syns_open_a_connection(Family::Ipv4);
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn crossing_ipv6_syns_open_a_connection() {
    crossing_syns_open_a_connection(Family::Ipv6);
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_dropped_syn_is_retransmitted() {
    let hosts = Hosts::new(Family::Ipv4, Duration::ZERO);
    hosts.wire.add_rule(Rule::drop(Segment::is_syn).once());
    hosts.connection();
    let packets = hosts.wire.packets();
    assert_eq!(flags(&packets)[..4], ["SYN", "SYN", "SYN+ACK", "ACK"]);
    assert_eq!(packets[0].fate, Fate::Dropped);
    assert_eq!(packets[0].segment.unwrap().seq, packets[1].segment.unwrap().seq);
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn data_completes_a_handshake_whose_third_ack_was_dropped() {
    let hosts = Hosts::new(Family::Ipv4, Duration::ZERO);
    let listener = hosts.listener();
    hosts.wire.add_rule(Rule::drop(Segment::is_bare_ack).sent_by(Side::A).once());
    let client = hosts.connecting(Side::A);
    client.outcome(deadline()).unwrap();
    let lost = hosts.wait(1, |packet, _| packet.fate == Fate::Dropped);
    assert_eq!(lost.number, 2);
    client.write_all(b"here", deadline()).unwrap();
    assert_eq!(listener.accept(deadline()).unwrap().read_exact(4, deadline()).unwrap(), b"here");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn an_injected_rst_refuses_or_resets() {
    let hosts = Hosts::new(Family::Ipv4, Duration::ZERO);
    let hold = hosts.wire.add_rule(Rule::hold(Segment::is_syn).once());
    let client = hosts.connecting(Side::A);
    let syn = hosts.wait(1, |packet, _| packet.fate == Fate::Held).segment.unwrap();
    hosts.wire.inject(Side::B, &syn.refusal(), b"");
    assert_eq!(client.outcome(deadline()), Err(SocketError::Errno(Errno::ECONNREFUSED)));
    let reset = hosts.wait(1, |packet, _| packet.origin == Origin::Injected);
    assert_eq!(reset.segment.unwrap().flags, Flags::RST.with(Flags::ACK));
    hosts.wire.remove_rule(hold);
    drop(client);

    let hosts = Hosts::new(Family::Ipv6, Duration::ZERO);
    let (client, _server) = hosts.connection();
    let ack = hosts.wait(1, |_, segment| segment.is_bare_ack()).segment.unwrap();
    hosts.wire.inject(Side::B, &ack.refusal(), b"");
    assert_eq!(client.read_exact(1, deadline()), Err(SocketError::Errno(Errno::ECONNRESET)));
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn duplicated_data_is_read_once() {
    let hosts = Hosts::new(Family::Ipv4, Duration::ZERO);
    let (client, server) = hosts.connection();
    hosts.wire.add_rule(Rule::duplicate(Segment::has_data).once());
    client.write_all(b"once", deadline()).unwrap();
    let copy = hosts.wait(1, |packet, _| matches!(packet.origin, Origin::Copy(_)));
    hosts.wait(1, |packet, _| packet.number == copy.number && delivered(packet).is_some());
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(server.read_to_end(deadline()).unwrap(), b"once");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn held_data_is_read_before_the_fin_that_overtook_it() {
    let hosts = Hosts::new(Family::Ipv4, Duration::ZERO);
    let (client, server) = hosts.connection();
    let data = hosts.wire.add_rule(Rule::hold(|segment| segment.has_data() && !segment.is_fin()));
    client.write_all(b"late", deadline()).unwrap();
    hosts.wait(1, |packet, _| packet.fate == Fate::Held);
    client.shutdown(Shutdown::Write).unwrap();
    hosts.wait(1, |packet, segment| segment.is_fin() && delivered(packet).is_some());
    let early = server.read_exact(1, Instant::now());
    assert!(matches!(early, Err(SocketError::Deadline(_))), "{early:?}");
    hosts.wire.remove_rule(data);
    assert_eq!(server.read_to_end(deadline()).unwrap(), b"late");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn the_error_of_a_wait_lists_the_packets() {
    let hosts = Hosts::new(Family::Ipv4, Duration::ZERO);
    hosts.wire.add_rule(Rule::drop(Segment::is_syn));
    let _client = hosts.connecting(Side::A);
    hosts.wait(1, |packet, _| packet.fate == Fate::Dropped);
    let error = hosts.wire.wait_for(Instant::now(), |_| false).unwrap_err();
    assert!(matches!(error, WireError::Deadline(_)));
    let text = error.to_string();
    assert!(
        text.contains("1 packet, most recently a: 10.13.14.1:1314 > 10.13.14.2:1314 SYN, dropped"),
        "{text}"
    );
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_dropped_wire_leaves_no_namespace() {
    let destruction = destruction::watch();
    let hosts = Hosts::new(Family::Ipv4, Duration::ZERO);
    destruction.expect(&[&hosts.a, &hosts.b]);
    let (client, server) = hosts.connection();
    // An orphan whose FIN is not acknowledged would keep its namespace alive.
    client.reset_on_close().unwrap();
    server.reset_on_close().unwrap();
    drop(hosts);
    drop((client, server));
    destruction.wait();
}

/// Waiting until network namespaces are destroyed: the kernel notifies a namespace that has assigned an id to
/// another one (RTM_NEWNSID) when that one is destroyed (RTM_DELNSID).
mod destruction {
    use std::{
        cell::Cell,
        os::fd::{AsFd, AsRawFd, OwnedFd},
    };

    use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
    use netlink_packet_route::{
        RouteNetlinkMessage,
        nsid::{NsidAttribute, NsidMessage},
    };
    use nix::sys::{
        socket::{
            AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
            setsockopt, socket, sockopt::ReceiveTimeout,
        },
        time::TimeVal,
    };
    use probe::net::Namespace;

    /// `RTNLGRP_NSID` (28) as a bit.
    const NSID_GROUP: u32 = 1 << 27;

    /// A netlink socket in a namespace of its own, and how many namespaces it waits for.
    pub struct Watch {
        socket: OwnedFd,
        expected: Cell<usize>,
    }

    /// Subscribes to the notifications in a new namespace.
    pub fn watch() -> Watch {
        let open = || {
            let protocol = SockProtocol::NetlinkRoute;
            let socket =
                socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol).unwrap();
            bind(socket.as_raw_fd(), &NetlinkAddr::new(0, NSID_GROUP)).unwrap();
            setsockopt(&socket, ReceiveTimeout, &TimeVal::new(10, 0)).unwrap();
            socket
        };
        Watch { socket: Namespace::private().unwrap().enter(open).unwrap(), expected: Cell::new(0) }
    }

    impl Watch {
        /// Assigns ids to these namespaces, so that the kernel reports their destruction.
        pub fn expect(&self, namespaces: &[&Namespace]) {
            for namespace in namespaces {
                let mut message = NsidMessage::default();
                let descriptor = u32::try_from(namespace.as_fd().as_raw_fd()).unwrap();
                // -1: the kernel chooses an id.
                message.attributes = vec![NsidAttribute::Fd(descriptor), NsidAttribute::Id(-1)];
                let mut header = NetlinkHeader::default();
                header.flags = NLM_F_REQUEST;
                let mut request = NetlinkMessage::new(header, RouteNetlinkMessage::NewNsId(message).into());
                request.finalize();
                let mut bytes = vec![0; request.buffer_len()];
                request.serialize(&mut bytes);
                send(self.socket.as_raw_fd(), &bytes, MsgFlags::empty()).unwrap();
                self.next(|message| matches!(message, RouteNetlinkMessage::NewNsId(_)));
            }
            self.expected.set(self.expected.get() + namespaces.len());
        }

        /// Waits until all of them are destroyed.
        pub fn wait(self) {
            for _ in 0..self.expected.get() {
                self.next(|message| matches!(message, RouteNetlinkMessage::DelNsId(_)));
            }
        }

        fn next(&self, matches: impl Fn(&RouteNetlinkMessage) -> bool) {
            let mut buffer = [0; 4096];
            loop {
                let length = recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty())
                    .expect("the kernel sends it within the socket's timeout");
                let message = NetlinkMessage::deserialize(&buffer[..length]).unwrap();
                match message.payload {
                    NetlinkPayload::InnerMessage(message) if matches(&message) => return,
                    NetlinkPayload::Error(error) => panic!("assigning an id to the namespace: {error}"),
                    _ => {}
                }
            }
        }
    }
}
