//! The stream that the benchmarks use: both ends of one recorded connection, over and over.

#![allow(dead_code, reason = "each benchmark uses a part of it")]

use std::collections::HashSet;

use probe::{
    detect::{self, Context},
    model::{
        Connection, Endpoint, Host, Input, KnownSocket, Mono, Open, Report, SocketTable, State, StateHistory,
        Transition,
    },
    source::{Flow, Source as _, recording::Recording},
    track::{Tracked, Tracker},
};

/// The number of connections in the stream.
pub const CONNECTIONS: u64 = 1_000;

/// A recording that contains the connection.
const RECORDING: &[u8] = include_bytes!("../../../tests/fixtures/shared-port-tp_btf-ipv4.probe");
/// The ports of the connection.
const PORTS: [u16; 2] = [12346, 80];

/// The host, and the reports of [`CONNECTIONS`] connections, one after the other.
pub fn reports() -> (Host, Vec<Report>) {
    let inputs = recorded();
    let host = inputs.iter().find_map(|input| match input {
        Input::Ready { host, .. } => Some(host.clone()),
        _ => None,
    });
    let all: Vec<&Report> = inputs
        .iter()
        .filter_map(|input| match input {
            Input::Report(report) => Some(report),
            _ => None,
        })
        .collect();
    let has_ports = |report: &Report| {
        let ports =
            [report.identity.endpoints.local, report.identity.endpoints.remote].map(Endpoint::port_or_zero);
        PORTS.iter().all(|port| ports.contains(port))
    };
    let sockets: HashSet<u64> =
        all.iter().filter(|report| has_ports(report)).map(|report| report.socket).collect();
    let connection: Vec<&Report> =
        all.into_iter().filter(|report| sockets.contains(&report.socket)).collect();
    assert_eq!((sockets.len(), connection.len()), (2, 10), "the recording has changed");
    let (first, last) = (connection[0].at.0, connection[connection.len() - 1].at.0);
    let repeat = |number: u64| {
        connection.iter().map(move |report| Report {
            at: Mono(report.at.0 + number * (last - first)),
            // Cookies are given out in order, two to each connection.
            socket: report.socket + number * 1_000,
            cookie: report.cookie.map(|cookie| cookie + number * 1_000),
            ..(*report).clone()
        })
    };
    (host.expect("a recording begins with the host"), (0..CONNECTIONS).flat_map(repeat).collect())
}

fn recorded() -> Vec<Input> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut source = Recording::new(RECORDING).expect("a recording");
        let mut inputs = Vec::new();
        while source.deliver(&mut inputs).await.expect("a complete recording") == Flow::More {}
        inputs
    })
}

/// No other socket is known. Detectors look others up only if a port is shared.
#[derive(Debug)]
struct NoSockets;

impl SocketTable for NoSockets {
    fn find(&self, _number: u64) -> Option<KnownSocket<'_>> {
        None
    }
}

/// A transition with its context for the detectors.
pub struct TransitionInContext {
    pub transition: Transition,
    previous: Option<State>,
    open: Option<Open>,
    history: Option<StateHistory>,
    /// The connection, if the transition is its last.
    pub ended: Option<Box<Connection>>,
}

impl TransitionInContext {
    pub fn context(&self) -> Context<'_> {
        Context {
            transition: &self.transition,
            previous: self.previous,
            open: self.open,
            history: self.history.as_ref(),
            sockets: &NoSockets,
        }
    }
}

/// The host, and the transitions that the tracker makes of the reports.
pub fn tracked() -> (Host, Vec<TransitionInContext>) {
    let (host, reports) = reports();
    let mut tracker = Tracker::new(&host);
    let transitions = reports.iter().map(|report| {
        let Tracked { transition, previous, ended } = tracker.observe(report);
        let (open, history) = tracker.history(transition.socket).unzip();
        TransitionInContext { previous, open: open.flatten(), history: history.cloned(), transition, ended }
    });
    let transitions: Vec<TransitionInContext> = transitions.collect();
    (host, transitions)
}

/// Checks that no detector finds anything: the benchmark measures the ordinary case.
pub fn assert_ordinary(host: &Host, transitions: &[TransitionInContext]) {
    let mut detectors = detect::all(host, &detect::Options::default());
    for transition in transitions {
        let findings = detectors.observe(&transition.context());
        assert!(findings.is_empty(), "{findings:?}");
    }
}
