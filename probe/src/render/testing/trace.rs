//! A trace with every kind of event outside of scenarios.

use std::{num::NonZeroU8, time::Duration};

use super::{Stream, TestSocket, call, endpoints, owner, refused, segment};
use crate::model::{
    self, Cause, Cgroup, Connection, Counters, End, Endpoints, Errno, FindingKind, Known, LossStage, Mono,
    Name, Open, Output, Owner, Protocol, Reset, SocketId, SocketIdentity, State::*, TimeWaitEntry, Timer,
};

const LONG: &str = "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:65535";

/// The stream, without start and end.
pub fn trace() -> Vec<Output> {
    let mut stream = Stream::default();
    ipv4(&mut stream);
    ipv6(&mut stream);
    owners(&mut stream);
    failures(&mut stream);
    stream.events
}

/// A client and its server, both on this host.
fn ipv4(stream: &mut Stream) {
    let curl = TestSocket {
        owner: in_cgroup(owner(41_822, b"curl", Known::Exact), "/user.slice/user-1000.slice/session-3.scope"),
        ..TestSocket::new(5_012, "192.168.1.20:53412", "192.168.1.10:443")
    };
    let container = format!("/system.slice/docker-{}.scope", "3f9c41d2a08e77b1".repeat(4));
    let nginx = TestSocket {
        owner: in_cgroup(owner(812, b"nginx", Known::Listener), &container),
        endpoints: curl.endpoints.reversed(),
        ..curl.clone()
    };
    let nginx = TestSocket { number: 5_013, ..nginx };
    stream
        .transition(&curl, 0, Close, SynSent, call("connect"))
        .transition(&nginx, 31, Listen, SynRecv, segment("child created"))
        .transition(&curl, 4, SynSent, Established, segment("SYN+ACK received"))
        .transition(&nginx, 9, SynRecv, Established, segment("ACK of SYN received"))
        .transition(&curl, 80_212, Established, FinWait1, call("close"))
        .transition(&nginx, 12, Established, CloseWait, segment("FIN received"))
        .transition(&curl, 7, FinWait1, FinWait2, segment("ACK of FIN received"))
        .transition(&nginx, 154, CloseWait, LastAck, call("close at exit"))
        .transition(&curl, 11, FinWait2, Close, segment("FIN received"));
    let (start, now) = (Mono(1_000_000_000), stream.now());
    stream
        .push(Output::Connection(connection(&curl, Open::Active, Some(start), now, segment("FIN received"))))
        .push(Output::TimeWaitEntry(TimeWaitEntry {
            at: now,
            socket: id(&curl),
            identity: SocketIdentity::tcp(Some(4_026_531_840), curl.endpoints),
            state: Some(TimeWait),
            until: Some(Mono(now.0 + 60_000_000_000)),
            owner: curl.owner.clone(),
        }))
        .transition(&nginx, 3, LastAck, Close, segment("ACK of FIN received"));
    let now = stream.now();
    let end = segment("ACK of FIN received");
    stream.push(Output::Connection(connection(&nginx, Open::Passive, Some(start), now, end))).push(
        Output::TimeWaitEntry(TimeWaitEntry {
            at: now,
            socket: id(&nginx),
            identity: SocketIdentity::tcp(None, nginx.endpoints),
            state: None,
            until: None,
            owner: nginx.owner,
        }),
    );
}

/// Short and long addresses.
fn ipv6(stream: &mut Stream) {
    let listener = TestSocket::new(7, "[::]:80", "[::]:0");
    let short = TestSocket::new(8, "[::1]:8080", "[::1]:40112");
    let long = TestSocket {
        owner: owner(99, b"redis-server", Known::Exact),
        ..TestSocket::new(9_123_456, LONG, LONG)
    };
    let long = TestSocket {
        endpoints: Endpoints { local: endpoints("[2001:db8::1]:6379", LONG).local, ..long.endpoints },
        ..long
    };
    let longest = TestSocket { endpoints: endpoints(LONG, LONG), ..long.clone() };
    let given_up = Cause::Timeout(Timer::Any, Errno::ETIMEDOUT);
    stream
        .transition(&listener, 900_000, Close, Listen, call("listen"))
        .transition(&short, 1_000, Listen, SynRecv, segment("child created"))
        .transition(&long, 3, SynRecv, Established, segment("ACK of SYN received"))
        .transition(&longest, 950_000_000, Established, Close, given_up);
    let now = stream.now();
    let end = given_up;
    stream.push(Output::Connection(connection(&longest, Open::Active, Some(Mono(1_900_000_000)), now, end)));
}

/// Owners that are hostile, wide, inferred or unknown.
fn owners(stream: &mut Stream) {
    let evil = TestSocket {
        owner: in_cgroup(owner(4_194_303, b"\x1b[31mevil\n\xe2\x80\x8b", Known::Inferred), "/a\x1bb\nc"),
        ..TestSocket::new(11, "10.0.0.1:50000", "10.0.0.2:80")
    };
    let wide = TestSocket {
        owner: owner(7, "数据库服务器".as_bytes(), Known::Exact),
        ..TestSocket::new(12, "10.0.0.1:5432", "10.0.0.9:41000")
    };
    let unowned = TestSocket {
        owner: Owner::UNKNOWN,
        ..TestSocket::new(0xffff_8880_1234_5678, "10.0.0.1:0", "10.0.0.2:1")
    };
    stream
        .transition(&evil, 10, Established, CloseWait, segment("FIN received"))
        .transition(&wide, 10, SynRecv, Established, segment("ACK of SYN received"))
        .transition(&unowned, 10, Established, Close, None);
    let now = stream.now();
    let mut old = connection(&evil, Open::Preexisting, None, now, call("close"));
    old.complete = false;
    let mut unknown =
        connection(&unowned, Open::Active, Some(Mono(now.0 - 59_000_000_000)), now, call("close"));
    unknown.close = Some(model::Close { at: now, cause: None });
    unknown.counters = None;
    unknown.complete = false;
    let wide = connection(&wide, Open::Simultaneous, Some(Mono(now.0 - 2_000)), now, call("shutdown"));
    let identity = SocketIdentity { protocol: Protocol::Mptcp, ..wide.identity };
    let upper = Connection { identity, open: Open::SelfConnect, ..wide.clone() };
    for connection in [old, unknown, wide, upper] {
        stream.push(Output::Connection(connection));
    }
    if let Some(Output::Transition(mut transition)) = stream.events.iter().rev().find_map(|event| match event
    {
        Output::Transition(_) => Some(event.clone()),
        _ => None,
    }) {
        transition.identity.protocol = Protocol::Mptcp;
        transition.cause = Some(Cause::SubflowFailed);
        stream.push(Output::Transition(transition));
    }
}

/// Failures, and the findings about them.
fn failures(stream: &mut Stream) {
    let client = TestSocket {
        owner: owner(4_711, b"python3", Known::Exact),
        ..TestSocket::new(21, "127.0.0.1:40001", "127.0.0.1:8080")
    };
    let own = TestSocket {
        number: 22,
        endpoints: endpoints("127.0.0.1:40001", "127.0.0.1:40001"),
        ..client.clone()
    };
    stream
        .transition(&client, 5_000, Close, SynSent, call("connect"))
        .transition(&client, 30, SynSent, Close, refused())
        .finding(
            &client,
            FindingKind::ConnectFailed,
            "python3[4711] was refused by 127.0.0.1:8080: an RST came back, so nobody listens there",
            None,
        )
        .transition(&own, 12, SynSent, SynRecv, segment("SYN received"))
        .finding(
            &own,
            FindingKind::SelfConnect,
            "python3[4711] connected to itself: for 127.0.0.1:40001 the kernel picked 40001 as the local port, \
             from the ephemeral range 32768-60999",
            Some(
                "keep the kernel from picking the port: sysctl -w net.ipv4.ip_local_reserved_ports=40001 (it \
                 replaces the list: name what is in it already, too)",
            ),
        )
        .transition(&own, 12, Established, Close, call("close with RST (unread data or SO_LINGER 0)"));
    let now = stream.now();
    stream
        .push(Output::Reset(Reset {
            at: now,
            cpu: 3,
            socket: id(&own),
            identity: SocketIdentity::tcp(Some(4_026_531_840), own.endpoints),
            state: Close,
            reason: Some("TCP_ABORT_ON_CLOSE".to_owned()),
            owner: own.owner.clone(),
        }))
        .push(Output::Lost { count: 1_312, stage: LossStage::Ring })
        .push(Output::Note("the command ended: exit status 3".to_owned()));
}

fn in_cgroup(owner: Owner, path: &str) -> Owner {
    Owner { cgroup: Some(Cgroup { id: 77, path: Some(Name::from_bytes(path.as_bytes())) }), ..owner }
}

fn id(socket: &TestSocket) -> SocketId {
    SocketId { number: socket.number, generation: 1 }
}

fn connection(
    socket: &TestSocket,
    open: Open,
    opened: Option<Mono>,
    closed: Mono,
    cause: Cause,
) -> Connection {
    let path = match cause {
        Cause::FinReceived => [Close, SynSent, Established, FinWait1, FinWait2, Close].into(),
        Cause::AckOfFinReceived => [Listen, SynRecv, Established, CloseWait, LastAck, Close].into(),
        _ => [Close, SynSent, Established, Close].into(),
    };
    Connection {
        socket: id(socket),
        identity: SocketIdentity::tcp(Some(4_026_531_840), socket.endpoints),
        open,
        opened,
        established: opened.map(|opened| Mono(opened.0 + 1_000)),
        close: Some(model::Close { at: closed, cause: Some(cause) }),
        path,
        counters: Some(Counters {
            bytes_sent: 78,
            bytes_received: 1_253_611,
            segs_out: 431,
            synacks: (open == Open::Passive).then_some(NonZeroU8::MIN),
            segs_in: 866,
            retransmits: u32::from(open == Open::Passive) * 3,
            srtt_us: Some(421),
        }),
        owner: socket.owner.clone().into(),
        complete: true,
    }
}

/// The totals of the trace.
pub fn trace_end() -> Output {
    Output::End(End {
        transitions: 20,
        connections: 8,
        findings: 2,
        lost: 1_312,
        duration: Duration::from_secs(952),
        ..End::default()
    })
}
