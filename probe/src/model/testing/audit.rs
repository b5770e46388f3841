//! The results of an audit: one of every status, one with packets, and some untrusted text.

use std::{net::SocketAddr, time::Duration};

use super::endpoints;
use crate::model::{
    Backend, BehaviourGroup, BehaviourResult, BehaviourStatus, Cause, CloseCall, Errno, Fate, Flags,
    KernelFacts, Mono, Observation, Origin, Owner, Packet, Profile, Segment, Side, SocketId, SocketIdentity,
    State::{self, Close, Established, FinWait1, Listen, SynRecv, SynSent},
    Transition,
};

type Paths<'a> = &'a [(&'a str, &'a [State])];
type Facts<'a> = &'a [(&'a str, &'a str)];

/// An observation of these paths and facts.
pub fn observation(paths: Paths<'_>, facts: Facts<'_>) -> Observation {
    Observation {
        paths: paths.iter().map(|(label, path)| ((*label).to_owned(), path.to_vec())).collect(),
        facts: facts.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    }
}

/// A result that is as expected, without transitions and packets.
fn result(id: &str, description: &str, reference: &str, expected: Observation) -> BehaviourResult {
    let group =
        id.split('/').next().and_then(BehaviourGroup::from_name).expect("an id begins with its group");
    BehaviourResult {
        id: id.to_owned(),
        description: description.to_owned(),
        group,
        needs: Vec::new(),
        status: BehaviourStatus::AsExpected,
        observed: expected.clone(),
        expected,
        variant: None,
        reason: None,
        reference: reference.to_owned(),
        transitions: Vec::new(),
        packets: Vec::new(),
        labels: Vec::new(),
    }
}

/// One result of every status, in the order of the report.
pub fn results() -> Vec<BehaviourResult> {
    let refused = result(
        "open/refused",
        "a client connects where nobody listens",
        "RFC 9293 §3.10.7.1",
        observation(&[("client", &[Close, SynSent, Close])], &[("connect", "ECONNREFUSED")]),
    );
    let timeout = BehaviourResult {
        status: BehaviourStatus::Failed,
        reason: Some("waiting for client to be in CLOSE: not reported by the deadline".to_owned()),
        observed: observation(&[("client", &[Close, SynSent])], &[]),
        ..result(
            "open/syn-timeout",
            "nobody answers the SYN, and the client gives up after the last of its retransmissions",
            "RFC 9293 §3.8.3 (MUST-23); net.ipv4.tcp_syn_retries",
            observation(&[("client", &[Close, SynSent, Close])], &[("connect", "ETIMEDOUT")]),
        )
    };
    let half_open = BehaviourResult {
        status: BehaviourStatus::Unsupported,
        needs: ["wire", "net.ipv4.tcp_synack_retries"].map(str::to_owned).to_vec(),
        reason: Some("there is no /dev/net/tun here: load the module tun".to_owned()),
        observed: Observation::default(),
        ..result(
            "listen/half-open",
            "a SYN whose SYN+ACK is never answered moves no socket",
            "RFC 9293 §3.10.7.2",
            observation(&[("listener", &[Close, Listen])], &[]),
        )
    };
    let shutdown = BehaviourResult {
        variant: Some("before 6.9 the FIN is sent at once (94062790aedb)".to_owned()),
        ..result(
            "close/shutdown-in-syn-recv",
            "a shutdown before the handshake's end waits for it",
            "94062790aedb, CVE-2024-36905",
            observation(&[("a", &[Close, SynSent, SynRecv, FinWait1])], &[]),
        )
    };
    vec![simultaneous(), refused, timeout, half_open, shutdown, differing()]
}

/// A result that differs in everything.
fn differing() -> BehaviourResult {
    BehaviourResult {
        status: BehaviourStatus::Differs,
        observed: observation(
            &[
                ("client", &[Close, SynSent, Established, FinWait1, State::Closing, Close]),
                ("stranger 1", &[Listen, SynRecv]),
            ],
            &[("<b>bind</b>\x1b[31m", "EADDRINUSE"), ("write", "success")],
        ),
        ..result(
            "ports/reuse",
            "a port is used again while its TIME_WAIT lasts",
            "RFC 6191; net.ipv4.tcp_rfc1337",
            observation(
                &[
                    ("client", &[Close, SynSent, Established, FinWait1, State::FinWait2, Close]),
                    ("server", &[Close, Listen]),
                ],
                &[("<b>bind</b>\x1b[31m", "success"), ("write", "success")],
            ),
        )
    }
}

const NETNS: [u32; 2] = [4_026_532_001, 4_026_532_002];
const ADDRS: [&str; 2] = ["10.13.14.1:1314", "10.13.14.2:1314"];

fn us(micros: u64) -> Mono {
    Mono(1_000_000_000 + micros * 1_000)
}

/// A packet, delivered within 5 µs where `delivered` is set.
fn packet(number: usize, from: Side, flags: Flags, sent: u64, delivered: Option<u64>) -> Packet {
    let addr = |side: Side| ADDRS[side as usize].parse::<SocketAddr>().expect("an address in a test");
    let segment = Segment {
        source: addr(from),
        destination: addr(from.peer()),
        flags,
        seq: 0,
        ack: 0,
        window: 0,
        payload: 0,
    };
    let fate = delivered.map_or(Fate::Dropped, |at| Fate::Delivered { before: us(at), after: us(at + 5) });
    let bytes = [0x45, 0, 0, 40].into();
    Packet { number, from, origin: Origin::Sent, sent: us(sent), fate, segment: Some(segment), bytes }
}

fn change(side: Side, (old, new): (State, State), at: u64, cause: Cause) -> Transition {
    let endpoints = endpoints(ADDRS[side as usize], ADDRS[side.peer() as usize]);
    Transition {
        seq: at,
        at: us(at),
        cpu: 0,
        socket: SocketId { number: side as u64 + 1, generation: 1 },
        cookie: Some(side as u64 + 1),
        identity: SocketIdentity::tcp(Some(NETNS[side as usize]), endpoints),
        old,
        new,
        cause: Some(cause),
        owner: Owner::unknown(),
        state_duration: Some(Duration::from_micros(10)),
        segs_out: None,
    }
}

/// A simultaneous open that ends with an RST; one SYN was lost, one was held back.
fn simultaneous() -> BehaviourResult {
    let syn_ack = Flags::SYN.with(Flags::ACK);
    let path: &[State] = &[Close, SynSent, SynRecv, Established, Close];
    let changes = [
        (Side::A, (Close, SynSent), 8, Cause::Connect),
        (Side::B, (Close, SynSent), 14, Cause::Connect),
        (Side::B, (SynSent, SynRecv), 3_032, Cause::SynReceived),
        (Side::A, (SynSent, SynRecv), 3_033, Cause::SynReceived),
        (Side::A, (SynRecv, Established), 5_055, Cause::SynAckReceived),
        (Side::B, (SynRecv, Established), 5_058, Cause::SynAckReceived),
        (Side::B, (Established, Close), 5_100, Cause::Close(CloseCall::Close)),
        (Side::A, (Established, Close), 7_127, Cause::RstReceived(Errno::ECONNRESET)),
    ];
    let label = |side: Side| side.to_string();
    BehaviourResult {
        packets: vec![
            packet(0, Side::A, Flags::SYN, 10, None),
            packet(1, Side::B, Flags::SYN, 16, Some(3_031)),
            packet(2, Side::A, Flags::SYN, 1_010, Some(3_030)),
            packet(3, Side::B, syn_ack, 3_034, Some(5_053)),
            packet(4, Side::A, syn_ack, 3_036, Some(5_056)),
            packet(5, Side::B, Flags::RST.with(Flags::ACK), 5_105, Some(7_125)),
        ],
        transitions: changes
            .map(|(side, edge, at, cause)| (Some(label(side)), change(side, edge, at, cause)))
            .to_vec(),
        labels: Side::BOTH
            .map(|side| (SocketId { number: side as u64 + 1, generation: 1 }, label(side)))
            .to_vec(),
        ..result(
            "open/simultaneous",
            "two SYNs cross, and each opens the other end",
            "RFC 9293 §3.5, figure 7 (MUST-10)",
            observation(&[("a", path), ("b", path)], &[]),
        )
    }
}

/// Facts about the kernel of [`results`].
pub fn kernel_facts() -> KernelFacts {
    let pair = |(name, value): (&str, Option<&str>)| (name.to_owned(), value.map(str::to_owned));
    KernelFacts {
        kernel: "6.18.0".to_owned(),
        arch: "x86_64".to_owned(),
        backend: Backend::TpBtf,
        config: Some([("CONFIG_HZ", Some("1000")), ("CONFIG_MPTCP", None)].map(pair).to_vec()),
        sysctls: [
            ("net.ipv4.tcp_rfc1337", Some("0")),
            ("net.ipv4.tcp_simult_connect", None),
            ("net.ipv4.tcp_syn_linear_timeouts", Some("4")),
        ]
        .map(pair)
        .to_vec(),
    }
}

/// The profiles of two kernels that differ in everything possible.
pub fn profiles() -> [Profile; 2] {
    let mut results = results();
    let newer = Profile::new(kernel_facts(), &results);
    let mut facts = KernelFacts { kernel: "6.1.0-30-amd64".to_owned(), config: None, ..kernel_facts() };
    facts.sysctls[0].1 = Some("1".to_owned());
    facts.sysctls[2].1 = None;
    // A known variant on one is as expected on the other, and the reverse.
    results[4].variant = None;
    results[4].observed = observation(&[("a", &[Close, SynSent, SynRecv, Established, FinWait1])], &[]);
    results[5].observed.paths[0].1 = vec![Close, SynSent, Established, FinWait1, State::FinWait2, Close];
    results[2].reason = None;
    results[2].status = BehaviourStatus::AsExpected;
    results[2].observed = results[2].expected.clone();
    results[1].id = "open/refused-v6".to_owned();
    [newer, Profile::new(facts, &results)]
}
