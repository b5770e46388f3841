//! The counters of connections, compared with TCP_INFO of the sockets and with the packets of the emulated link.

use std::{
    net::Shutdown,
    process::Command,
    time::{Duration, Instant},
};

use nix::sys::socket::{
    setsockopt,
    sockopt::{TcpFastOpenConnect, TcpRepair},
};
use probe::{
    model::{Family, Fate, Flags, Segment, Side, State},
    net::{SocketCounters, Tcp},
    wire::Rule,
};
use serde_json::Value;

use crate::{
    cause_truth::host::Host,
    objects::Objects,
    support::{Running, number},
    traced_link::{PORT, TracedLink, deadline},
    tracing::{BACKENDS, begin, end},
};

fn opened<'a>(objects: &'a Objects, open: &str) -> &'a Value {
    objects.of("connection").find(|connection| connection["open"] == open).expect("it has ended")
}

/// Waits until the socket is closed, and returns its last counters.
fn last_counters(socket: &Tcp) -> SocketCounters {
    let deadline = deadline();
    while socket.state().unwrap() != State::Close {
        assert!(Instant::now() < deadline, "the socket is in {:?}", socket.state());
        std::thread::yield_now();
    }
    socket.counters().unwrap()
}

/// Compares a connection with the counters of its socket. It sent and received this much payload.
#[track_caller]
fn check(connection: &Value, counters: SocketCounters, sent: u64, received: u64) {
    assert_eq!(number(&connection["segs_out"]), u64::from(counters.segs_out), "{connection}");
    assert_eq!(number(&connection["segs_in"]), u64::from(counters.segs_in), "{connection}");
    assert_eq!(number(&connection["retransmits"]), u64::from(counters.total_retrans), "{connection}");
    assert_eq!(number(&connection["bytes_sent"]), sent, "{connection}, {counters:?}");
    assert_eq!(number(&connection["bytes_received"]), received, "{connection}, {counters:?}");
}

fn a_lossy_link_changes_no_count(family: Family, flags: &str) {
    let traced = TracedLink::with(family, flags);
    traced.wire.add_rule(Rule::drop(Segment::is_syn_ack).once());
    let (client, server) = traced.connection();
    // Each loses, reorders and repeats data.
    for rule in [Rule::drop(Segment::has_data).times(2), Rule::duplicate(Segment::has_data).times(3)] {
        traced.wire.add_rule(rule);
    }
    let (request, response) = (vec![1; 70_000], vec![2; 30_000]);
    client.write_all(&request, deadline()).unwrap();
    assert_eq!(server.read_exact(request.len(), deadline()).unwrap(), request);
    let late = traced.wire.add_rule(Rule::hold(Segment::has_data).once());
    server.write_all(&response, deadline()).unwrap();
    traced
        .wire
        .wait_for(deadline(), |packets| packets.iter().any(|packet| packet.fate == Fate::Held))
        .unwrap();
    traced.wire.remove_rule(late);
    assert_eq!(client.read_exact(response.len(), deadline()).unwrap(), response);
    client.shutdown(Shutdown::Write).unwrap();
    assert!(server.read_to_end(deadline()).unwrap().is_empty());
    server.shutdown(Shutdown::Write).unwrap();
    let (of_client, of_server) = (last_counters(&client), last_counters(&server));
    let syn_acks = traced
        .sent(Side::B)
        .iter()
        .filter(|packet| packet.segment.is_some_and(|segment| segment.is_syn_ack()))
        .count();
    assert!(of_client.total_retrans > 0 && of_server.total_retrans > 0 && syn_acks > 1);

    let objects = traced.end_after(2, "connection");
    let (active, passive) = (opened(&objects, "active"), opened(&objects, "passive"));
    check(active, of_client, 70_000, 30_000);
    check(passive, of_server, 30_000, 70_000);
    assert_eq!((number(&passive["synacks"]), &active["synacks"]), (syn_acks as u64, &Value::Null));
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn counters_equal_tcp_info_over_a_lossy_link() {
    for backend in BACKENDS {
        for (family, flags) in [(Family::Ipv4, ""), (Family::Ipv6, " --connections")] {
            a_lossy_link_changes_no_count(family, &format!("--backend {backend}{flags}"));
        }
    }
}

/// Changes the route to side B in namespace A: `add` or `del` it as unreachable, so that the host refuses what it sends.
fn unreachable_route(traced: &TracedLink, change: &str) {
    let route = format!("route {change} unreachable {}", traced.link.address(Side::B));
    let ip = || Command::new("ip").args(route.split(' ')).status().expect("ip from iproute2");
    assert!(traced.a.enter(ip).unwrap().success());
}

/// Writes what the host refuses to send, and waits until it has tried more than once.
fn writes_in_vain(client: &Tcp) {
    client.write_all(&[2; 72], deadline()).unwrap();
    let deadline = deadline();
    while client.counters().unwrap().bytes_sent < 1000 + 2 * 72 {
        assert!(Instant::now() < deadline, "{:?}", client.counters());
        std::thread::yield_now();
    }
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn what_the_device_refuses_was_not_sent() {
    for backend in BACKENDS {
        let traced = TracedLink::with(Family::Ipv4, &format!("--backend {backend}"));
        let (client, server) = traced.connection();
        client.write_all(&[1; 1000], deadline()).unwrap();
        server.read_exact(1000, deadline()).unwrap();
        unreachable_route(&traced, "add");
        client.user_timeout(Duration::from_millis(500)).unwrap();
        writes_in_vain(&client);
        let counters = last_counters(&client);
        server.reset_on_close().unwrap();
        drop(server);
        let objects = traced.end_after(2, "connection");
        check(opened(&objects, "active"), counters, 1000, 0);
        assert_eq!(number(&opened(&objects, "passive")["bytes_received"]), 1000);
    }
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn what_the_device_refuses_at_first_was_sent_once() {
    for (backend, flags) in BACKENDS.into_iter().zip(["", " --connections"]) {
        let traced = TracedLink::with(Family::Ipv4, &format!("--backend {backend}{flags}"));
        let (client, server) = traced.connection();
        client.write_all(&[1; 1000], deadline()).unwrap();
        server.read_exact(1000, deadline()).unwrap();
        unreachable_route(&traced, "add");
        writes_in_vain(&client);
        unreachable_route(&traced, "del");
        server.read_exact(72, deadline()).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert!(server.read_to_end(deadline()).unwrap().is_empty());
        server.shutdown(Shutdown::Write).unwrap();
        let (of_client, of_server) = (last_counters(&client), last_counters(&server));
        let objects = traced.end_after(2, "connection");
        check(opened(&objects, "active"), of_client, 1072, 0);
        check(opened(&objects, "passive"), of_server, 0, 1072);
    }
}

/// Connects with data in the SYN over a link that loses two SYN+ACKs.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_fast_open_child_counts_its_syn_acks() {
    for (backend, flags) in BACKENDS.into_iter().zip(["", " --connections"]) {
        let traced = TracedLink::with(Family::Ipv4, &format!("--backend {backend}{flags}"));
        // Clients and servers, without cookies.
        traced.set_sysctl("tcp_fastopen", 0x207);
        traced.wire.add_rule(Rule::drop(Segment::is_syn_ack).times(2));
        let listener = traced.listener();
        listener.fast_open_queue(8).unwrap();
        let client = traced.client();
        setsockopt(&client, TcpFastOpenConnect, &true).unwrap();
        client.connect_once(traced.link.endpoint(Side::B, PORT)).unwrap();
        client.write_all(b"request", deadline()).unwrap();
        let server = listener.accept(deadline()).unwrap();
        assert_eq!(server.read_exact(7, deadline()).unwrap(), b"request");
        client.outcome(deadline()).unwrap();
        finish(traced, &client, &server, 3);
    }
}

/// A SYN cookie stands for each SYN by itself: the kernel keeps nothing of the SYN+ACKs that it sent before.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn with_a_syn_cookie_only_the_last_syn_ack_counts() {
    for (backend, flags) in BACKENDS.into_iter().zip(["", " --connections"]) {
        let traced = TracedLink::with(Family::Ipv4, &format!("--backend {backend}{flags}"));
        // Always.
        traced.set_sysctl("tcp_syncookies", 2);
        traced.wire.add_rule(Rule::drop(Segment::is_syn_ack).once());
        let (client, server) = traced.connection();
        client.write_all(b"request", deadline()).unwrap();
        assert_eq!(server.read_exact(7, deadline()).unwrap(), b"request");
        let sent = traced.sent(Side::B);
        let syn_acks =
            sent.iter().filter(|packet| packet.segment.is_some_and(|segment| segment.is_syn_ack()));
        assert!(syn_acks.count() > 1);
        finish(traced, &client, &server, 1);
    }
}

/// Closes the connection after a request of seven bytes, and compares it with its sockets.
fn finish(traced: TracedLink, client: &Tcp, server: &Tcp, synacks: u64) {
    client.shutdown(Shutdown::Write).unwrap();
    assert!(server.read_to_end(deadline()).unwrap().is_empty());
    server.shutdown(Shutdown::Write).unwrap();
    let (of_client, of_server) = (last_counters(client), last_counters(server));
    let objects = traced.end_after(2, "connection");
    check(opened(&objects, "active"), of_client, 7, 0);
    check(opened(&objects, "passive"), of_server, 0, 7);
    assert_eq!(number(&opened(&objects, "passive")["synacks"]), synacks);
}

/// A host with an emulated peer, and a trace of it.
fn traced_host(flags: &str) -> (Host, Running) {
    let host = Host::new();
    let running = begin(&format!("--no-snapshot {flags}"), &[&host.inside]);
    (host, running)
}

/// The only connection of the host, after its end.
fn only_connection(mut running: Running) -> Value {
    running.wait_for("connection", |object| object["type"] == "connection");
    end(running).one("connection").clone()
}

/// What the peer sends: the flags and the data of each segment.
type Segments = &'static [(Flags, &'static [u8])];

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_fin_is_no_payload_wherever_it_comes() {
    const SYN_ACK: Flags = Flags::SYN.with(Flags::ACK);
    const SYN_ACK_FIN: Flags = SYN_ACK.with(Flags::FIN);
    const FIN_ACK: Flags = Flags::FIN.with(Flags::ACK);
    const RESPONSES: [(Segments, u64); 5] = [
        (&[(SYN_ACK_FIN, b"response")], 8),
        (&[(SYN_ACK_FIN, b"")], 0),
        (&[(SYN_ACK, b"response"), (FIN_ACK, b"")], 8),
        (&[(SYN_ACK, b"res"), (Flags::ACK, b"po"), (FIN_ACK, b"nse")], 8),
        (&[(SYN_ACK, b""), (FIN_ACK, b"response")], 8),
    ];
    for (backend, flags) in BACKENDS.into_iter().zip(["", " --connections"]) {
        for family in [Family::Ipv4, Family::Ipv6] {
            for (segments, received) in RESPONSES {
                let (host, running) = traced_host(&format!("--backend {backend}{flags}"));
                let mut client = host.connection(family, "Fast Open");
                client.bind(|family| Tcp::new(family).unwrap());
                setsockopt(client.socket(), TcpFastOpenConnect, &true).unwrap();
                client.socket().connect_once(client.remote).unwrap();
                let syn = client.write(b"request").segment.unwrap();
                client.acknowledged = syn.seq.wrapping_add(syn.length());
                for (flags, data) in segments {
                    client.receives(*flags, data);
                }
                let read = client.socket().read_to_end(deadline()).unwrap();
                assert_eq!(read.len() as u64, received);
                client.socket().shutdown(Shutdown::Write).unwrap();
                client.acknowledges(1);
                let counters = last_counters(client.socket());
                check(&only_connection(running), counters, 7, received);
            }
        }
    }
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_connection_opened_under_tcp_repair_sent_no_syn() {
    for backend in BACKENDS {
        let (host, running) = traced_host(&format!("--backend {backend}"));
        let mut client = host.connection(Family::Ipv4, "connected under TCP_REPAIR");
        client.bind(|family| Tcp::new(family).unwrap());
        client.socket().repair().unwrap();
        client.socket().connect_once(client.remote).unwrap();
        // The end of the repair sends a window probe, in front of what was acknowledged.
        setsockopt(client.socket(), TcpRepair, &0).unwrap();
        let probe = client.packet("window probe", |_| true).segment.unwrap();
        (client.acknowledged, client.next) = (probe.seq.wrapping_add(1), probe.ack);
        client.receives(Flags::ACK, b"");
        client.write(b"request");
        client.acknowledges(7);
        client.receives(Flags::FIN.with(Flags::ACK), b"");
        client.socket().shutdown(Shutdown::Write).unwrap();
        client.acknowledges(1);
        let counters = last_counters(client.socket());
        check(&only_connection(running), counters, 7, 0);
    }
}
