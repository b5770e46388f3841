//! Streams with every kind of event, for the tests of the renderers.

mod trace;

use std::{net::SocketAddr, time::Duration};

pub use trace::{trace, trace_end};

use crate::model::{
    self, Backend, Cause, Cgroup, Check, Clock, Connection, Counters, End, Endpoints, Errno, Finding,
    FindingKind, Host, Known, LossStage, Mono, Name, Open, Output, Owner, Phase, SocketId, SocketIdentity,
    SocketRow, State, Task, Timer, Transition, Verdict, testing::cause,
};

pub fn ready() -> Output {
    Output::Ready {
        host: Host {
            kernel: "6.18.44".to_owned(),
            arch: "x86_64".to_owned(),
            hostname: "hal".to_owned(),
            clock: Clock { realtime_offset_ns: 1_795_000_000_000_000_000 },
            ready_at: Mono(999_000_000),
            netns: None,
            ephemeral: Some(32768..=60999),
        },
        backend: Backend::TpBtf,
        unavailable: vec!["the system call that caused a transition (needs Linux 5.15)".to_owned()],
        existing: None,
    }
}

pub fn endpoints(local: &str, remote: &str) -> Endpoints {
    let at = |text: &str| text.parse::<SocketAddr>().expect("an address in a test").into();
    Endpoints { local: at(local), remote: at(remote) }
}

pub fn owner(pid: u32, comm: &[u8], known: Known) -> Owner {
    Owner {
        task: Some(Task { pid, uid: 1000, comm: Name::from_bytes(comm) }),
        cgroup: Some(Cgroup { id: 77, path: None }),
        known,
    }
}

/// Builds a stream.
#[derive(Default)]
pub struct Stream {
    pub events: Vec<Output>,
    seq: u64,
    now: u64,
}

/// A socket of a test stream.
#[derive(Clone)]
pub struct TestSocket {
    pub number: u64,
    pub endpoints: Endpoints,
    pub owner: Owner,
}

impl TestSocket {
    pub fn new(number: u64, local: &str, remote: &str) -> Self {
        Self { number, endpoints: endpoints(local, remote), owner: owner(4711, b"probe", Known::Exact) }
    }
}

impl Stream {
    pub fn push(&mut self, event: Output) -> &mut Self {
        self.events.push(event);
        self
    }

    /// The time of the last transition.
    pub fn now(&self) -> Mono {
        Mono(1_000_000_000 + self.now)
    }

    pub fn start(&mut self, name: &str, summary: &str) -> &mut Self {
        let phase = Phase::Start { summary: summary.to_owned() };
        self.push(Output::Scenario { name: name.to_owned(), phase })
    }

    pub fn finish(&mut self, name: &str, verdict: Verdict) -> &mut Self {
        self.push(Output::Scenario { name: name.to_owned(), phase: Phase::End { verdict } })
    }

    /// Adds a transition, `micros` after the one before.
    pub fn transition(
        &mut self,
        socket: &TestSocket,
        micros: u64,
        old: State,
        new: State,
        cause: impl Into<Option<Cause>>,
    ) -> &mut Self {
        self.seq += 1;
        self.now += micros * 1_000;
        self.push(Output::Transition(Transition {
            seq: self.seq,
            at: self.now(),
            cpu: 1,
            socket: SocketId { number: socket.number, generation: 1 },
            cookie: Some(socket.number),
            identity: SocketIdentity::tcp(Some(4026531840), socket.endpoints),
            old,
            new,
            cause: cause.into(),
            owner: socket.owner.clone().into(),
            state_duration: Some(Duration::from_micros(micros)),
            segs_out: None,
        }))
    }

    pub fn finding(
        &mut self,
        socket: &TestSocket,
        kind: FindingKind,
        message: &str,
        remedy: Option<&str>,
    ) -> &mut Self {
        self.push(Output::Finding(Finding {
            kind,
            at: self.now(),
            socket: Some(SocketId { number: socket.number, generation: 1 }),
            identity: SocketIdentity::tcp(Some(4026531840), socket.endpoints),
            owner: socket.owner.clone().into(),
            message: message.to_owned(),
            remedy: remedy.map(str::to_owned),
            evidence: vec![self.seq - 1, self.seq],
        }))
    }

    pub fn check(&mut self, name: &str, expected: &str, observed: &str) -> &mut Self {
        self.push(Output::Check(Check {
            scenario: "self-connect".to_owned(),
            name: name.to_owned(),
            expected: expected.to_owned(),
            observed: observed.to_owned(),
            pass: expected == observed,
        }))
    }

    pub fn labels(&mut self, labels: &[(&TestSocket, &str)]) -> &mut Self {
        let label = |(socket, label): &(&TestSocket, &str)| {
            (SocketId { number: socket.number, generation: 1 }, (*label).to_owned())
        };
        self.push(Output::Labels(labels.iter().map(label).collect()))
    }

    pub fn sockets(&mut self, sockets: &[(&TestSocket, State, &str)]) -> &mut Self {
        let rows = sockets.iter().map(|(socket, state, label)| SocketRow {
            label: (*label).to_owned(),
            state: *state,
            endpoints: socket.endpoints,
            owner: socket.owner.clone(),
            cookie: socket.number,
        });
        self.push(Output::Sockets(rows.collect()))
    }

    /// Adds attempts to connect, each from another port, that are refused.
    pub fn refused_attempts(&mut self, remote: &str, number: u64) -> &mut Self {
        for index in 0..number {
            let socket = TestSocket::new(1_000 + index, &format!("127.0.0.1:{}", 32768 + index), remote);
            self.transition(&socket, 5, State::Close, State::SynSent, call("connect"));
            self.transition(&socket, 30, State::SynSent, State::Close, refused());
        }
        self
    }
}

pub fn call(detail: &'static str) -> Cause {
    cause(detail)
}

pub fn segment(detail: &'static str) -> Cause {
    cause(detail)
}

pub fn refused() -> Cause {
    Cause::RstReceived(Errno::ECONNREFUSED)
}

/// A deliberate self-connect and an accidental one, as in `probe run`.
pub fn self_connect() -> Vec<Output> {
    use State::*;
    let mut stream = Stream::default();
    let own = TestSocket::new(41, "127.0.0.1:1314", "127.0.0.1:1314");
    let accident = TestSocket::new(9_000, "127.0.0.1:40001", "127.0.0.1:40001");
    stream
        .start("self-connect", "One socket connects to its own address and port, on purpose and by accident.")
        .transition(&own, 0, Close, SynSent, call("connect"))
        .transition(&own, 21, SynSent, SynRecv, segment("SYN received"))
        .finding(
            &own,
            FindingKind::SelfConnect,
            "probe[4711] connected to itself: it was bound to 127.0.0.1:1314 and connected to it; the port is outside the ephemeral range 32768-60999",
            Some("do not bind a client to the port that it connects to"),
        )
        .transition(&own, 9, SynRecv, Established, segment("ACK of SYN received"))
        .transition(&own, 400, Established, FinWait1, call("close"))
        .transition(&own, 10, FinWait1, Closing, segment("FIN received"))
        .transition(&own, 10, Closing, Close, segment("ACK of FIN received"))
        .refused_attempts("127.0.0.1:40001", 3_812)
        .transition(&accident, 12, Close, SynSent, call("connect"))
        .transition(&accident, 20, SynSent, SynRecv, segment("SYN received"))
        .finding(
            &accident,
            FindingKind::SelfConnect,
            "probe[4711] connected to itself: for 127.0.0.1:40001 the kernel picked 40001 as the local port, from the ephemeral range 32768-60999",
            Some("keep the kernel from picking the port: sysctl -w net.ipv4.ip_local_reserved_ports=40001 (it replaces the list: name what is in it already, too)"),
        )
        .transition(&accident, 9, SynRecv, Established, segment("ACK of SYN received"))
        .push(Output::Note("with nobody listening on 127.0.0.1:40001, try 3813 connected: to itself".to_owned()))
        .labels(&[(&own, "bound"), (&accident, "accident")])
        .sockets(&[(&own, Established, "the socket")])
        .check("connect to its own port", "success", "success")
        .check("reads what it wrote", "I love you.", "I love you.")
        .check("it opens", "CLOSE → SYN_SENT → SYN_RECV → ESTABLISHED", "CLOSE → SYN_SENT → SYN_RECV → ESTABLISHED")
        .check("the server's bind meanwhile", "EADDRINUSE", "EADDRINUSE")
        .finish("self-connect", Verdict::Passed);
    stream.events
}

/// Values that are unknown, long, hostile or invalid.
pub fn unusual() -> Vec<Output> {
    use State::*;
    let mut stream = Stream::default();
    let long = "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:65535";
    let listener = TestSocket::new(7, "[::]:80", "[::]:0");
    let child = TestSocket {
        owner: owner(812, b"nginx", Known::Listener),
        ..TestSocket::new(8, "[2001:db8::1]:80", long)
    };
    let old = TestSocket {
        owner: owner(99, b"\x1b[31mevil\n", Known::Inferred),
        ..TestSocket::new(9, long, "[2001:db8::1]:443")
    };
    let unowned = TestSocket {
        owner: Owner::UNKNOWN,
        ..TestSocket::new(0xffff_8880_1234_5678, "10.0.0.1:0", "10.0.0.2:1")
    };
    stream
        .push(Output::Lost { count: 12, stage: LossStage::Ring })
        .start("unusual", "Values that must not break a table.")
        .transition(&listener, 0, Close, Listen, call("listen"))
        .transition(&child, 1_000, Listen, SynRecv, segment("child created"))
        .transition(&child, 3, SynRecv, Established, segment("ACK of SYN received"))
        .transition(&old, 2_000_000, Established, Close, Cause::Timeout(Timer::Any, Errno::ETIMEDOUT))
        .transition(&unowned, 7, SynSent, Close, Cause::TupleInUse)
        .transition(&unowned, 7, Established, Close, None)
        .refused_attempts("127.0.0.1:81", 3)
        .check("a name\x07 with a bell", "EISCONN", "success")
        .finish("unusual", Verdict::Failed)
        .start("simultaneous-open", "Two ends connect to each other at once.")
        .finish(
            "simultaneous-open",
            Verdict::Unsupported("there is no /dev/net/tun here: load the module tun".to_owned()),
        )
        .start("self-connect", "One socket connects to its own address and port.")
        .finish("self-connect", Verdict::Interrupted);
    stream.events
}

/// Events outside of scenarios, with a connection that ended.
pub fn outside() -> Vec<Output> {
    use State::*;
    let mut stream = Stream::default();
    let client = TestSocket::new(5, "10.0.0.1:50000", "10.0.0.2:80");
    stream
        .transition(&client, 0, Close, SynSent, call("connect"))
        .transition(&client, 80_000, SynSent, Close, refused())
        .push(Output::Connection(Connection {
            socket: SocketId { number: 5, generation: 0 },
            identity: SocketIdentity::tcp(None, endpoints("10.0.0.1:0", "10.0.0.2:80")),
            open: Open::Active,
            opened: Some(Mono(1_000_000_000)),
            established: None,
            close: Some(model::Close { at: Mono(1_080_000_000), cause: Some(refused()) }),
            path: [Close, SynSent, Close].into(),
            counters: Some(Counters {
                bytes_sent: 0,
                bytes_received: 0,
                segs_out: 1,
                synacks: None,
                segs_in: 1,
                retransmits: 0,
                srtt_us: None,
            }),
            owner: Owner::unknown(),
            complete: true,
        }));
    stream.events
}

pub fn end() -> Output {
    Output::End(End {
        transitions: 7_650,
        connections: 3_814,
        open: Some(0),
        findings: 2,
        recorded: None,
        lost: 0,
        checks_passed: 4,
        checks_failed: 0,
        duration: Duration::from_micros(1_842_311),
        attach: Some(Duration::from_micros(112_900)),
    })
}
