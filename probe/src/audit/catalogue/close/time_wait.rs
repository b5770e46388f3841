//! Segments that reach a TIME_WAIT.

use State::{Close, CloseWait, Established, FinWait1, FinWait2, LastAck, Listen, SynRecv, SynSent};

use crate::{
    audit::{
        Behaviour, Harness, Requirement,
        catalogue::{
            paths::{CLIENT_CLOSES_FIRST, LISTENER, SERVER_CLOSES_SECOND},
            steps::close_client_first,
        },
        harness::SERVER_PORT,
    },
    model::{Fate, Flags, Origin, Segment, Side, State},
    net::sysctl,
    scenario::{Step as _, StepError},
};

/// The client's port in the old and in the new connection.
const PORT: u16 = 4711;

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "close/syn-in-time-wait",
        description: "SYN in TIME_WAIT: a new connection from the same port replaces the old one",
        steps: |harness| {
            let host = harness.host()?;
            let listener = harness.listener(&host, "listener")?;
            let client = harness.bound_socket(&host, "client", PORT)?;
            harness.connect(&client, host.endpoint(SERVER_PORT)).step("client: connecting")?;
            let server = harness.accept(&listener, "server")?;
            harness.shutdown_write(&server)?;
            harness.wait_for_state(&server, FinWait2)?;
            let client = harness.close(client);
            harness.wait_for_state(client, Close)?;
            harness.wait_for_state(&server, Close)?;
            harness.observe_mini_socket(&host, &server)?;
            let second_client = harness.bound_socket(&host, "second client", PORT)?;
            let connected = harness.connect(&second_client, host.endpoint(SERVER_PORT));
            harness.observe_result("connect", &connected);
            let second_server = harness.accept(&listener, "second server")?;
            harness.wait_for_state(&second_client, Established)?;
            harness.wait_for_state(&second_server, Established)?;
            harness.observe_mini_socket_as("mini-socket after the SYN", &host, &server)
        },
        paths: &[
            LISTENER,
            ("client", &[Close, SynSent, Established, CloseWait, LastAck, Close]),
            ("server", &[Listen, SynRecv, Established, FinWait1, FinWait2, Close]),
            ("second client", &[Close, SynSent, Established]),
            ("second server", &[Listen, SynRecv, Established]),
        ],
        facts: &[
            ("mini-socket of server", "TIME_WAIT"),
            ("connect", "success"),
            ("mini-socket after the SYN", "none"),
        ],
        reference: "RFC 9293 §3.6.1 (MAY-2); RFC 6191",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "close/rst-in-time-wait",
        description: "RST in TIME_WAIT: the kernel removes the TIME_WAIT",
        needs: &[Requirement::Wire, Requirement::Sysctl("tcp_rfc1337")],
        steps: |harness| reset_time_wait(harness, false),
        paths: &[LISTENER, ("client", CLIENT_CLOSES_FIRST), ("server", SERVER_CLOSES_SECOND)],
        facts: &[("mini-socket of client", "TIME_WAIT"), ("mini-socket after the RST", "none")],
        reference: "RFC 9293 §3.10.7.4, second; RFC 1337; tcp(7), tcp_rfc1337",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "close/rst-in-time-wait-rfc1337",
        description: "RST in TIME_WAIT: with tcp_rfc1337, the kernel ignores the RST",
        needs: &[Requirement::Wire, Requirement::Sysctl("tcp_rfc1337")],
        steps: |harness| reset_time_wait(harness, true),
        paths: &[LISTENER, ("client", CLIENT_CLOSES_FIRST), ("server", SERVER_CLOSES_SECOND)],
        facts: &[("mini-socket of client", "TIME_WAIT"), ("mini-socket after the RST", "TIME_WAIT")],
        reference: "RFC 1337 §3, F1; tcp(7), tcp_rfc1337",
        ..Behaviour::DEFAULT
    },
];

/// Closes a connection, and injects an RST with the expected sequence number for the side in TIME_WAIT.
fn reset_time_wait(harness: &mut Harness, rfc1337: bool) -> Result<(), StepError> {
    let hosts = harness.host_pair()?;
    hosts.a.set_sysctl(sysctl::TCP_RFC1337, &rfc1337)?;
    let [_listener, client, server] = harness.connection(&hosts.a, &hosts.b)?;
    close_client_first(harness, &client, server)?;
    harness.observe_mini_socket(&hosts.a, &client)?;
    let fin = hosts.wait_for_segment(Side::B, Segment::is_fin)?;
    let rst = Segment { flags: Flags::RST, seq: fin.seq.wrapping_add(fin.length()), payload: 0, ..fin };
    hosts.wire.inject(Side::B, &rst, b"");
    hosts
        .wire
        .wait_for(harness.deadline(), |packets| {
            packets.iter().any(|packet| {
                packet.origin == Origin::Injected && matches!(packet.fate, Fate::Delivered { .. })
            })
        })
        .step("waiting for the RST")?;
    harness.observe_mini_socket_as("mini-socket after the RST", &hosts.a, &client)
}
