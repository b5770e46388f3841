//! What the tests here share: actors, and transitions as the session would hand them over.

use std::net::SocketAddr;

use super::{Actor, Options, Scenario, Story, play, stage};
use crate::model::{Cause, Family, Mono, Owner, Protocol, SocketId, State, Transition};

const NETNS: u32 = 4_026_531_840;

/// A socket with this cookie and these ends (`127.0.0.1:80`).
pub(super) fn actor(cookie: u64, local: &str, remote: &str) -> Actor {
    let parse = |text: &str| text.parse::<SocketAddr>().expect("an address in a test");
    let ends = stage::ends(parse(local), parse(remote));
    Actor { label: format!("socket {cookie}"), cookie, netns: NETNS, ends }
}

/// What the kernel would report of `actor` if it went through `states`, one a nanosecond, from `at`.
pub(super) fn life(actor: &Actor, at: u64, states: &[State]) -> Vec<Transition> {
    states.windows(2).zip(at..).map(|(edge, at)| moved(actor, at, edge[0], edge[1])).collect()
}

/// One transition.
pub(super) fn moved(actor: &Actor, at: u64, old: State, new: State) -> Transition {
    Transition {
        seq: at,
        at: Mono(at),
        cpu: 0,
        socket: SocketId { number: actor.cookie, generation: 1 },
        cookie: Some(actor.cookie),
        netns: Some(actor.netns),
        protocol: Protocol::Tcp,
        family: Family::Ipv4,
        ends: actor.ends,
        old,
        new,
        cause: Some(Cause::CloseOrShutdown),
        owner: Owner::unknown(),
        state_duration: None,
        segs_out: (new == State::Close).then_some(2),
    }
}

/// The same as the fallback backend gives it: no cookie and no namespace, and the address of the
/// `struct sock` instead.
pub(super) fn without_cookies(transitions: impl IntoIterator<Item = Transition>) -> Vec<Transition> {
    let strip =
        |transition: Transition| Transition { cookie: None, netns: None, segs_out: None, ..transition };
    transitions.into_iter().map(strip).collect()
}

/// Plays a scenario without a tracer: the driver must get to its end, and every call must return what
/// was expected of it.
pub(super) fn plays(scenario: &dyn Scenario, options: &Options) -> Story {
    let story = play(scenario, options);
    assert_eq!(story.trouble(), None);
    let failed: Vec<_> = story.outcomes().into_iter().filter(|check| !check.pass).collect();
    assert_eq!(failed, [], "of {}", scenario.name());
    story
}
