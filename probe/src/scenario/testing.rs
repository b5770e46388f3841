//! Helpers for the tests here: sockets, and the transitions that the session would pass on.

use std::net::SocketAddr;

use super::{LabelledSocket, Options, Scenario, ScenarioRun, labelled_socket::endpoints, run};
use crate::model::{Cause, Mono, Owner, SocketId, SocketIdentity, State, Transition};

const NETNS: u32 = 4_026_531_840;

/// A socket with this cookie and these endpoints (`127.0.0.1:80`).
pub(super) fn socket(cookie: u64, local: &str, remote: &str) -> LabelledSocket {
    let parse = |text: &str| text.parse::<SocketAddr>().expect("an address in a test");
    let endpoints = endpoints(parse(local), parse(remote));
    LabelledSocket { label: format!("socket {cookie}"), cookie, netns: NETNS, endpoints }
}

/// What the kernel would report if `socket` went through `states`, one transition per nanosecond from `at`.
pub(super) fn history(socket: &LabelledSocket, at: u64, states: &[State]) -> Vec<Transition> {
    states.windows(2).zip(at..).map(|(edge, at)| transition(socket, at, edge[0], edge[1])).collect()
}

/// One transition of `socket`.
pub(super) fn transition(socket: &LabelledSocket, at: u64, old: State, new: State) -> Transition {
    Transition {
        seq: at,
        at: Mono(at),
        cpu: 0,
        socket: SocketId { number: socket.cookie, generation: 1 },
        cookie: Some(socket.cookie),
        identity: SocketIdentity::tcp(Some(socket.netns), socket.endpoints),
        old,
        new,
        cause: Some(Cause::CloseOrShutdown),
        owner: Owner::unknown(),
        state_duration: None,
        segs_out: (new == State::Close).then_some(2),
    }
}

/// The same transitions as the tracepoint backend reports them: without cookie, namespace and segment counters, and
/// identified by the address of the `struct sock`.
pub(super) fn without_cookies(transitions: impl IntoIterator<Item = Transition>) -> Vec<Transition> {
    let strip = |transition: Transition| Transition {
        cookie: None,
        identity: SocketIdentity { netns: None, ..transition.identity },
        segs_out: None,
        ..transition
    };
    transitions.into_iter().map(strip).collect()
}

/// Runs a scenario without a tracer. Asserts that the driver completes and every call returns what is expected.
pub(super) fn run_successfully(scenario: &dyn Scenario, options: &Options) -> ScenarioRun {
    let run = run(scenario, options);
    assert_eq!(run.error(), None);
    let failed: Vec<_> = run.outcome_checks().into_iter().filter(|check| !check.pass).collect();
    assert_eq!(failed, [], "{}", scenario.name());
    run
}
