//! A stream to measure with: one connection, as a kernel reported both of its ends, again and again.

#![allow(dead_code, reason = "each benchmark uses its part of it")]

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

/// How many connections the stream has.
pub const CONNECTIONS: u64 = 1_000;

/// A recording that has such a connection in it.
const RECORDING: &[u8] = include_bytes!("../../../tests/fixtures/shared-port-tp_btf-ipv4.jsonl");
/// The ports of its ends.
const PORTS: [u16; 2] = [12346, 80];

/// The host, and the reports of [`CONNECTIONS`], one connection after the other.
pub fn reports() -> (Host, Vec<Report>) {
    let events = recorded();
    let host = events.iter().find_map(|event| match event {
        Input::Ready { host, .. } => Some(host.clone()),
        _ => None,
    });
    let all: Vec<&Report> = events
        .iter()
        .filter_map(|event| match event {
            Input::Report(report) => Some(report),
            _ => None,
        })
        .collect();
    let is_its = |report: &Report| {
        let ports = [report.ends.local, report.ends.remote].map(Endpoint::port_or_zero);
        PORTS.iter().all(|port| ports.contains(port))
    };
    let sockets: HashSet<u64> =
        all.iter().filter(|report| is_its(report)).map(|report| report.socket).collect();
    let one: Vec<&Report> = all.into_iter().filter(|report| sockets.contains(&report.socket)).collect();
    assert_eq!((sockets.len(), one.len()), (2, 10), "the recording has another connection than it had");
    let (first, last) = (one[0].at.0, one[one.len() - 1].at.0);
    let again = |number: u64| {
        one.iter().map(move |report| Report {
            at: Mono(report.at.0 + number * (last - first)),
            // Cookies are given out in order, two to each connection.
            socket: report.socket + number * 1_000,
            cookie: report.cookie.map(|cookie| cookie + number * 1_000),
            ..(*report).clone()
        })
    };
    (host.expect("a recording begins with the host"), (0..CONNECTIONS).flat_map(again).collect())
}

fn recorded() -> Vec<Input> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut source = Recording::new(RECORDING).expect("it is a recording");
        let mut events = Vec::new();
        while source.deliver(&mut events).await.expect("it is whole") == Flow::More {}
        events
    })
}

/// No other socket is known: where nothing is shared, none is asked for.
#[derive(Debug)]
struct Alone;

impl SocketTable for Alone {
    fn find(&self, _number: u64) -> Option<KnownSocket<'_>> {
        None
    }
}

/// What a detector is given with a transition.
pub struct Given {
    pub transition: Transition,
    previous: Option<State>,
    open: Option<Open>,
    history: Option<StateHistory>,
    /// The connection, where this was its end.
    pub ended: Option<Box<Connection>>,
}

impl Given {
    pub fn context(&self) -> Context<'_> {
        Context {
            transition: &self.transition,
            previous: self.previous,
            open: self.open,
            history: self.history.as_ref(),
            sockets: &Alone,
        }
    }
}

/// The host, and what the tracker makes of the reports.
pub fn tracked() -> (Host, Vec<Given>) {
    let (host, reports) = reports();
    let mut tracker = Tracker::new(&host);
    let given = reports.iter().map(|report| {
        let Tracked { transition, previous, ended } = tracker.observe(report);
        let (open, history) = tracker.history(transition.socket).unzip();
        Given { previous, open: open.flatten(), history: history.cloned(), transition, ended }
    });
    let given: Vec<Given> = given.collect();
    (host, given)
}

/// No detector has anything to say of such connections: what is measured is the ordinary case.
pub fn assert_ordinary(host: &Host, given: &[Given]) {
    let mut detectors = detect::all(host, &detect::Options::default());
    for given in given {
        let findings = detectors.observe(&given.context());
        assert!(findings.is_empty(), "{findings:?}");
    }
}
