//! TCP Fast Open: data in the SYN (RFC 7413).

use State::{Close, CloseWait, Established, FinWait1, FinWait2, Listen, SynRecv, SynSent};

use crate::{
    audit::{
        Behaviour, Harness, Requirement,
        catalogue::paths::LISTENER,
        harness::{HostPair, SERVER_PORT, TestSocket},
    },
    model::{Segment, Side, State},
    net::sysctl,
    scenario::{Step as _, StepError},
    wire::{Rule, RuleId},
};

/// `tcp_fastopen`: clients send data without a cookie.
const CLIENT_WITHOUT_COOKIE: u16 = 1 | 4;
/// `tcp_fastopen`: servers accept data without a cookie.
const SERVER_WITHOUT_COOKIE: u16 = 2 | 0x200;
const DATA: &[u8] = b"I love you.";

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "open/fast",
        description: "TCP Fast Open: a SYN with data creates the child, which the server accepts and reads \
                      before the handshake completes",
        needs: &[Requirement::Wire, Requirement::Sysctl("tcp_fastopen")],
        steps: |harness| {
            let (hosts, [client, child], syn_acks) = child_in_syn_recv(harness)?;
            hosts.wire.remove_rule(syn_acks);
            harness.wait_for_state(&child, Established)?;
            harness.wait_for_state(&client, Established)?;
            harness.observe("sent by the client", hosts.sent_segments(Side::A));
            Ok(())
        },
        paths: &[
            LISTENER,
            ("client", &[Close, SynSent, Established]),
            ("child", &[Listen, SynRecv, Established]),
        ],
        facts: &[("read in SYN_RECV", "true"), ("sent by the client", "SYN with data")],
        reference: "RFC 7413 §4.2",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "open/fast-closed-early",
        description: "TCP Fast Open: the server closes the child before the third ACK arrives",
        needs: &[Requirement::Wire, Requirement::Sysctl("tcp_fastopen")],
        steps: |harness| {
            let (hosts, [client, child], syn_acks) = child_in_syn_recv(harness)?;
            let child = harness.close(child);
            harness.wait_for_state(child, FinWait1)?;
            hosts.wire.remove_rule(syn_acks);
            harness.wait_for_state(child, Close)?;
            harness.wait_for_state(&client, CloseWait)?;
            harness.observe("sent by the child", hosts.sent_segments(Side::B));
            Ok(())
        },
        paths: &[
            LISTENER,
            ("client", &[Close, SynSent, Established, CloseWait]),
            ("child", &[Listen, SynRecv, FinWait1, FinWait2, Close]),
        ],
        facts: &[("read in SYN_RECV", "true"), ("sent by the child", "SYN+ACK, FIN+ACK")],
        reference: "RFC 9293 §3.10.4, CLOSE in SYN-RECEIVED",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "open/fast-self-connect",
        description: "TCP Fast Open: a socket connects to itself with data in the SYN, and retransmits the \
                      data",
        needs: &[Requirement::SimultaneousOpen, Requirement::Sysctl("tcp_fastopen")],
        steps: |harness| {
            let host = harness.host()?;
            host.set_sysctl(sysctl::TCP_FASTOPEN, &CLIENT_WITHOUT_COOKIE)?;
            let before = host.counters()?;
            let socket = harness.bound_socket(&host, "self", SERVER_PORT)?;
            harness.set_remote(&socket, host.endpoint(SERVER_PORT));
            socket.tcp.fast_open(DATA, host.endpoint(SERVER_PORT)).step("self: connecting with data")?;
            harness.wait_for_state(&socket, Established)?;
            let read = socket.tcp.read_exact(DATA.len(), harness.deadline());
            harness.observe("reads its own data", read.is_ok_and(|data| data == DATA));
            let retransmitted = host.counters()?.since(&before, "RetransSegs");
            harness.observe("retransmits", retransmitted.is_some_and(|segments| segments > 0));
            Ok(())
        },
        paths: &[("self", &[Close, SynSent, SynRecv, Established])],
        facts: &[("reads its own data", "true"), ("retransmits", "true")],
        reference: "RFC 7413 §4.2: data that the SYN+ACK does not acknowledge is retransmitted",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "open/fast-simultaneous",
        description: "TCP Fast Open: two SYNs with data cross, and both sockets open and retransmit the data",
        needs: &[Requirement::Wire, Requirement::SimultaneousOpen, Requirement::Sysctl("tcp_fastopen")],
        steps: |harness| {
            let hosts = harness.host_pair()?;
            let syns = hosts.wire.add_rule(Rule::hold(Segment::is_syn));
            let mut sockets = Vec::new();
            for (label, from, to) in [("a", &hosts.a, &hosts.b), ("b", &hosts.b, &hosts.a)] {
                from.set_sysctl(sysctl::TCP_FASTOPEN, &CLIENT_WITHOUT_COOKIE)?;
                let socket = harness.bound_socket(from, label, SERVER_PORT)?;
                harness.set_remote(&socket, to.endpoint(SERVER_PORT));
                socket.tcp.fast_open(DATA, to.endpoint(SERVER_PORT)).step("connecting with data")?;
                sockets.push(socket);
            }
            hosts.wait_for_both(Segment::is_syn)?;
            hosts.wire.remove_rule(syns);
            for (name, socket) in [("a reads b's data", &sockets[0]), ("b reads a's data", &sockets[1])] {
                harness.wait_for_state(socket, Established)?;
                let data = socket.tcp.read_exact(DATA.len(), harness.deadline()).step("reading")?;
                harness.observe(name, data == DATA);
            }
            harness.observe("sent by a", hosts.sent_segments(Side::A));
            harness.observe("sent by b", hosts.sent_segments(Side::B));
            Ok(())
        },
        paths: &[
            ("a", &[Close, SynSent, SynRecv, Established]),
            ("b", &[Close, SynSent, SynRecv, Established]),
        ],
        facts: &[
            ("a reads b's data", "true"),
            ("b reads a's data", "true"),
            ("sent by a", "SYN with data, SYN+ACK, data"),
            ("sent by b", "SYN with data, SYN+ACK, data"),
        ],
        reference: "RFC 7413 §4.2; RFC 9293 §3.5, figure 7",
        ..Behaviour::DEFAULT
    },
];

/// A client whose SYN carries data, and the child in SYN_RECV that has read the data. The wire holds the
/// SYN+ACK until the returned rule is removed.
fn child_in_syn_recv(harness: &mut Harness) -> Result<(HostPair, [TestSocket; 2], RuleId), StepError> {
    let hosts = harness.host_pair()?;
    hosts.a.set_sysctl(sysctl::TCP_FASTOPEN, &CLIENT_WITHOUT_COOKIE)?;
    hosts.b.set_sysctl(sysctl::TCP_FASTOPEN, &SERVER_WITHOUT_COOKIE)?;
    let syn_acks = hosts.wire.add_rule(Rule::hold(Segment::is_syn_ack));
    let listener = harness.listener(&hosts.b, "listener")?;
    listener.tcp.fast_open_queue(16).step("setting TCP_FASTOPEN")?;
    let client = harness.socket(&hosts.a, "client")?;
    harness.set_remote(&client, hosts.b.endpoint(SERVER_PORT));
    client.tcp.fast_open(DATA, hosts.b.endpoint(SERVER_PORT)).step("client: connecting with data")?;
    let child = harness.accept(&listener, "child")?;
    harness.wait_for_state(&child, SynRecv)?;
    let data = child.tcp.read_exact(DATA.len(), harness.deadline()).step("child: reading")?;
    harness.observe("read in SYN_RECV", data == DATA);
    Ok((hosts, [client, child], syn_acks))
}
