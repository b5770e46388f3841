//! RSTs that this host sends.

use std::net::SocketAddr;

use probe::model::{Family, Flags, Segment, Side};
use serde_json::json;

use crate::traced_link::{PORT, TracedLink};

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_listeners_reset_has_the_endpoint_of_the_segment_that_it_answers() {
    for family in [Family::Ipv4, Family::Ipv6] {
        let traced = TracedLink::with(family, "--backend tp_btf");
        let _listener = traced.listener();
        let [source, destination] =
            [(Side::A, 2718), (Side::B, PORT)].map(|(side, port)| traced.link.endpoint(side, port));
        traced.wire.inject(Side::A, &stray(source, destination), b"");
        let objects = traced.end_after(1, "reset");
        let reset = objects.one("reset");
        assert_eq!(reset["state"], "LISTEN");
        assert_eq!(reset["remote"], json!({ "addr": source.ip(), "port": source.port() }));
        assert_eq!(reset["local"]["port"], PORT);
    }
}

/// RFC 9293 section 3.10.7.2: any acknowledgment that arrives in LISTEN draws an RST.
fn stray(source: SocketAddr, destination: SocketAddr) -> Segment {
    Segment { source, destination, flags: Flags::ACK, seq: 1, ack: 1, window: 1, payload: 0 }
}

/// That one of them was shown says nothing of the next.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn each_reset_of_a_listener_is_filtered_by_itself() {
    for filter in ["--remote-port 2718", "--port 2718"] {
        let traced = TracedLink::with(Family::Ipv4, &format!("--backend tp_btf {filter}"));
        let _listener = traced.listener();
        for source in [2717, 2718, 2719, 2718] {
            let [source, destination] =
                [(Side::A, source), (Side::B, PORT)].map(|(side, port)| traced.link.endpoint(side, port));
            traced.wire.inject(Side::A, &stray(source, destination), b"");
        }
        let objects = traced.end_after(2, "reset");
        let answered: Vec<_> = objects.of("reset").map(|reset| reset["remote"]["port"].clone()).collect();
        assert_eq!(answered, [2718, 2718], "{filter}");
    }
}
