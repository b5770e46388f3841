//! The counters of connections, compared with TCP_INFO of the sockets and with the packets of the emulated link.

use std::{
    net::Shutdown,
    process::Command,
    time::{Duration, Instant},
};

use probe::{
    model::{Family, Fate, Segment, Side, State},
    net::{SocketCounters, Tcp},
    wire::Rule,
};
use serde_json::Value;

use crate::{
    objects::Objects,
    support::number,
    traced_link::{TracedLink, deadline},
    tracing::BACKENDS,
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
    let is_syn_ack = |segment: &Segment| segment.flags.to_string() == "SYN+ACK";
    traced.wire.add_rule(Rule::drop(is_syn_ack).once());
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
    let syn_acks =
        traced.sent(Side::B).iter().filter(|packet| packet.segment.as_ref().is_some_and(is_syn_ack)).count();
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

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn what_the_device_refuses_was_not_sent() {
    for backend in BACKENDS {
        let traced = TracedLink::with(Family::Ipv4, &format!("--backend {backend}"));
        let (client, server) = traced.connection();
        client.write_all(&[1; 1000], deadline()).unwrap();
        server.read_exact(1000, deadline()).unwrap();
        let route = format!("route add unreachable {}", traced.link.address(Side::B));
        let ip = || Command::new("ip").args(route.split(' ')).status().expect("ip from iproute2");
        assert!(traced.a.enter(ip).unwrap().success());
        client.user_timeout(Duration::from_millis(500)).unwrap();
        client.write_all(&[2; 72], deadline()).unwrap();
        let counters = last_counters(&client);
        // The kernel has tried more than once.
        assert!(counters.bytes_sent - counters.bytes_retrans > 1072, "{counters:?}");
        server.reset_on_close().unwrap();
        drop(server);
        let objects = traced.end_after(2, "connection");
        check(opened(&objects, "active"), counters, 1000, 0);
        assert_eq!(number(&opened(&objects, "passive")["bytes_received"]), 1000);
    }
}
