//! The emulated link, with real kernels' stacks at both ends of it.

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

/// Two hosts with a wire between them.
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

    /// A socket of `side`'s, bound to its address and [`PORT`].
    fn socket(&self, side: Side) -> Tcp {
        let namespace = if side == Side::A { &self.a } else { &self.b };
        namespace.enter(|| Tcp::bound(self.link.at(side, PORT))).unwrap().unwrap()
    }

    /// A listener at B.
    fn listener(&self) -> Tcp {
        let listener = self.socket(Side::B);
        listener.listen(8).unwrap();
        listener
    }

    /// A socket of `side`'s that has begun to connect to its peer.
    fn connecting(&self, side: Side) -> Tcp {
        let socket = self.socket(side);
        socket.begin_connect(self.link.at(side.peer(), PORT)).unwrap();
        socket
    }

    /// A connection from A to a listener at B.
    fn connection(&self) -> (Tcp, Tcp) {
        let listener = self.listener();
        let client = self.connecting(Side::A);
        client.outcome(soon()).unwrap();
        (client, listener.accept(soon()).unwrap())
    }

    /// Waits until that many packets are as `what` asks, and returns the first of them.
    fn wait(&self, count: usize, what: impl Fn(&Packet, &Segment) -> bool) -> Packet {
        let fits = |packet: &&Packet| packet.segment.as_ref().is_some_and(|segment| what(packet, segment));
        let packets = self.wire.wait_for(soon(), |packets| packets.iter().filter(fits).count() >= count);
        packets.unwrap().iter().find(fits).unwrap().clone()
    }
}

fn soon() -> Instant {
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

fn a_connection_crosses_the_wire(family: Family) {
    let hosts = Hosts::new(family, DELAY);
    let start = Instant::now();
    let (client, server) = hosts.connection();
    assert!(start.elapsed() >= 2 * DELAY, "a handshake takes a round trip");
    for (from, to) in [(&client, &server), (&server, &client)] {
        let start = Instant::now();
        from.write_all(b"I love you.", soon()).unwrap();
        assert_eq!(to.read_exact(11, soon()).unwrap(), b"I love you.");
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
fn an_ipv4_connection_crosses_the_wire() {
    a_connection_crosses_the_wire(Family::Ipv4);
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn an_ipv6_connection_crosses_the_wire() {
    a_connection_crosses_the_wire(Family::Ipv6);
}

fn syns_that_cross_open_at_both_ends(family: Family) {
    let hosts = Hosts::new(family, Duration::ZERO);
    let syns = hosts.wire.add(Rule::hold(Segment::is_syn));
    let [a, b] = Side::BOTH.map(|side| hosts.connecting(side));
    hosts.wait(2, |packet, _| packet.fate == Fate::Held);
    hosts.wire.lift(syns);
    for socket in [&a, &b] {
        socket.outcome(soon()).unwrap();
        socket.write_all(b"I love you.", soon()).unwrap();
    }
    for socket in [&a, &b] {
        assert_eq!(socket.read_exact(11, soon()).unwrap(), b"I love you.");
    }
    let packets = hosts.wire.packets();
    assert_eq!(flags(&packets)[..4], ["SYN", "SYN", "SYN+ACK", "SYN+ACK"]);
    for pair in [&packets[0..2], &packets[2..4]] {
        assert_ne!(pair[0].from, pair[1].from);
    }
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn ipv4_syns_that_cross_open_at_both_ends() {
    syns_that_cross_open_at_both_ends(Family::Ipv4);
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn ipv6_syns_that_cross_open_at_both_ends() {
    syns_that_cross_open_at_both_ends(Family::Ipv6);
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_lost_syn_is_sent_again() {
    let hosts = Hosts::new(Family::Ipv4, Duration::ZERO);
    hosts.wire.add(Rule::drop(Segment::is_syn).once());
    hosts.connection();
    let packets = hosts.wire.packets();
    assert_eq!(flags(&packets)[..4], ["SYN", "SYN", "SYN+ACK", "ACK"]);
    assert_eq!(packets[0].fate, Fate::Dropped);
    assert_eq!(packets[0].segment.unwrap().seq, packets[1].segment.unwrap().seq);
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_lost_third_ack_is_made_good_by_data() {
    let hosts = Hosts::new(Family::Ipv4, Duration::ZERO);
    let listener = hosts.listener();
    hosts.wire.add(Rule::drop(Segment::is_bare_ack).sent_by(Side::A).once());
    let client = hosts.connecting(Side::A);
    client.outcome(soon()).unwrap();
    let lost = hosts.wait(1, |packet, _| packet.fate == Fate::Dropped);
    assert_eq!(lost.number, 2);
    client.write_all(b"here", soon()).unwrap();
    assert_eq!(listener.accept(soon()).unwrap().read_exact(4, soon()).unwrap(), b"here");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_reset_from_nowhere_refuses_and_resets() {
    let hosts = Hosts::new(Family::Ipv4, Duration::ZERO);
    let hold = hosts.wire.add(Rule::hold(Segment::is_syn).once());
    let client = hosts.connecting(Side::A);
    let syn = hosts.wait(1, |packet, _| packet.fate == Fate::Held).segment.unwrap();
    hosts.wire.inject(Side::B, &syn.refusal(), b"");
    assert_eq!(client.outcome(soon()), Err(SocketError::Errno(Errno::ECONNREFUSED)));
    let reset = hosts.wait(1, |packet, _| packet.origin == Origin::Injected);
    assert_eq!(reset.segment.unwrap().flags, Flags::RST.with(Flags::ACK));
    hosts.wire.lift(hold);
    drop(client);

    let hosts = Hosts::new(Family::Ipv6, Duration::ZERO);
    let (client, _server) = hosts.connection();
    let ack = hosts.wait(1, |_, segment| segment.is_bare_ack()).segment.unwrap();
    hosts.wire.inject(Side::B, &ack.refusal(), b"");
    assert_eq!(client.read_exact(1, soon()), Err(SocketError::Errno(Errno::ECONNRESET)));
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn what_comes_twice_is_read_once() {
    let hosts = Hosts::new(Family::Ipv4, Duration::ZERO);
    let (client, server) = hosts.connection();
    hosts.wire.add(Rule::duplicate(Segment::has_data).once());
    client.write_all(b"once", soon()).unwrap();
    let copy = hosts.wait(1, |packet, _| matches!(packet.origin, Origin::Copy(_)));
    hosts.wait(1, |packet, _| packet.number == copy.number && delivered(packet).is_some());
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(server.read_to_end(soon()).unwrap(), b"once");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_fin_can_overtake_the_data_before_it() {
    let hosts = Hosts::new(Family::Ipv4, Duration::ZERO);
    let (client, server) = hosts.connection();
    let data = hosts.wire.add(Rule::hold(|segment| segment.has_data() && !segment.is_fin()));
    client.write_all(b"late", soon()).unwrap();
    hosts.wait(1, |packet, _| packet.fate == Fate::Held);
    client.shutdown(Shutdown::Write).unwrap();
    hosts.wait(1, |packet, segment| segment.is_fin() && delivered(packet).is_some());
    let early = server.read_exact(1, Instant::now());
    assert!(matches!(early, Err(SocketError::Deadline(_))), "{early:?}");
    hosts.wire.lift(data);
    assert_eq!(server.read_to_end(soon()).unwrap(), b"late");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_wait_in_vain_tells_what_was_carried() {
    let hosts = Hosts::new(Family::Ipv4, Duration::ZERO);
    hosts.wire.add(Rule::drop(Segment::is_syn));
    let _client = hosts.connecting(Side::A);
    hosts.wait(1, |packet, _| packet.fate == Fate::Dropped);
    let error = hosts.wire.wait_for(Instant::now(), |_| false).unwrap_err();
    assert!(matches!(error, WireError::Deadline(_)));
    let text = error.to_string();
    assert!(text.contains("1 packet, at last: a: 10.13.14.1:1314 > 10.13.14.2:1314 SYN, dropped"), "{text}");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn nothing_is_left_of_a_wire_and_its_namespaces() {
    let deaths = deaths::watch();
    let hosts = Hosts::new(Family::Ipv4, Duration::ZERO);
    deaths.expect(&[&hosts.a, &hosts.b]);
    let (client, server) = hosts.connection();
    // An orphan that waits for the answer to its FIN is a user of its namespace as well.
    client.reset_on_close().unwrap();
    server.reset_on_close().unwrap();
    drop(hosts);
    drop((client, server));
    deaths.wait();
}

/// Network namespaces' deaths, as the kernel announces them: a namespace that has given another one an
/// id (RTM_NEWNSID) is told when that one is gone (RTM_DELNSID).
mod deaths {
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

    /// An observer's netlink socket, and how many deaths it waits for.
    pub struct Deaths {
        socket: OwnedFd,
        expected: Cell<usize>,
    }

    /// An observer in a namespace of its own.
    pub fn watch() -> Deaths {
        let open = || {
            let protocol = SockProtocol::NetlinkRoute;
            let socket =
                socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol).unwrap();
            bind(socket.as_raw_fd(), &NetlinkAddr::new(0, NSID_GROUP)).unwrap();
            setsockopt(&socket, ReceiveTimeout, &TimeVal::new(10, 0)).unwrap();
            socket
        };
        Deaths { socket: Namespace::private().unwrap().enter(open).unwrap(), expected: Cell::new(0) }
    }

    impl Deaths {
        /// Gives these namespaces ids, so that their deaths will be announced.
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

        /// Waits until all of them are gone.
        pub fn wait(self) {
            for _ in 0..self.expected.get() {
                self.next(|message| matches!(message, RouteNetlinkMessage::DelNsId(_)));
            }
        }

        fn next(&self, what: impl Fn(&RouteNetlinkMessage) -> bool) {
            let mut buffer = [0; 4096];
            loop {
                let length = recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty())
                    .expect("the kernel announces it within the socket's timeout");
                let message = NetlinkMessage::deserialize(&buffer[..length]).unwrap();
                match message.payload {
                    NetlinkPayload::InnerMessage(message) if what(&message) => return,
                    NetlinkPayload::Error(error) => panic!("the kernel gives the namespace no id: {error}"),
                    _ => {}
                }
            }
        }
    }
}
