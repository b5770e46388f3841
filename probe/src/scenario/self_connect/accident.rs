//! How a client connects to itself without meaning to, what that costs, and what remedies it.
//!
//! A client that is not bound gets a local port from the kernel. Where the server's port lies in the
//! range that the kernel chooses from, and the server is down, a client that tries again and again
//! gets that very port in the end, and its SYN meets itself.

use super::{PORT, close};
use crate::{
    model::{Errno, PortRange, State},
    net::{Namespace, Tcp, sysctl},
    scenario::{ActorId, Expectation, Netns, Span, Stage, Step, StepError, stage},
};

/// The ports that the kernel may choose from, narrowed from some 28,000 so that it takes a few
/// tries and not thousands.
///
/// connect(2) takes ports whose distance from the low end is even, and leaves the odd ones to `bind(0)`
/// (`__inet_hash_connect`). That makes eight here, [`PORT`] among them, and each try moves on by one to
/// eight of them, at random.
const RANGE: PortRange = 1300..=1315;

/// How often the client tries. That the accident needs more happens once in ten million runs.
const TRIES: usize = 120;

pub(super) fn play(stage: &mut Stage) -> Result<(), StepError> {
    if stage.options().netns == Netns::Host {
        stage.story().note(
            "the accident and its remedy need sysctls of their own, so they are left out with --netns host",
        );
        return Ok(());
    }
    happens(stage)?;
    is_cured(stage)
}

/// The accident, and that the server cannot start until a minute after it has ended.
fn happens(stage: &mut Stage) -> Result<(), StepError> {
    let namespace = narrowed(stage)?;
    let here = stage.loopback(PORT);
    let tries = try_until_connected(stage, &namespace, "try")?;
    let port = match &tries.connected {
        Some((socket, _)) => socket.local().step("asking for the local port")?.to_string(),
        None => format!("none in {TRIES} tries"),
    };
    stage.done("accident: from", here.to_string(), port);
    let Tries { refused, connected: Some((socket, actor)) } = tries else { return Ok(()) };
    stage.story().note(format!(
        "with nobody listening on {here}, try {} connected: to itself, from the port that the kernel chose",
        refused.len() + 1
    ));

    let server = stage.socket(&namespace)?;
    server.reuse_address().step("setting SO_REUSEADDR")?;
    stage.returns("server binds meanwhile", Err(Errno::EADDRINUSE), &server.bind(here));
    close(socket, stage)?;
    // SO_REUSEADDR helps only where the socket that left the TIME_WAIT had set it too.
    stage.returns("server binds afterwards", Err(Errno::EADDRINUSE), &server.bind(here));
    expect_life(stage, refused, actor);
    Ok(())
}

fn expect_life(stage: &mut Stage, refused: Vec<ActorId>, actor: ActorId) {
    use State::{Close, Closing, Established, FinWait1, SynRecv, SynSent};

    // One check, since the first try may be the one.
    let states = vec![Close, SynSent, SynRecv, Established];
    stage.story().expect("accident: opens", Expectation::Until { refused, last: actor, states });
    stage.path("accident: closes", &[actor], Span::Closing, &[Established, FinWait1, Closing, Close]);
}

/// The same loop with the port reserved.
fn is_cured(stage: &mut Stage) -> Result<(), StepError> {
    let namespace = narrowed(stage)?;
    let reserve = || sysctl::IP_LOCAL_RESERVED_PORTS.write(&vec![PORT..=PORT]);
    namespace.enter(reserve)??;
    let tries = try_until_connected(stage, &namespace, "cured try")?;
    let all_refused = format!("{TRIES} of {TRIES}");
    stage.done("remedy: refused", all_refused, format!("{} of {TRIES}", tries.refused.len()));
    let refused = [State::Close, State::SynSent, State::Close];
    stage.path("remedy: tries", &tries.refused, Span::Life, &refused);
    let server = stage.socket(&namespace)?.bind(stage.loopback(PORT));
    stage.returns("remedy: server binds", Ok(()), &server);
    Ok(())
}

/// A namespace in which the kernel has few ports to choose from.
fn narrowed(stage: &Stage) -> Result<Namespace, StepError> {
    let namespace = stage.namespace()?;
    namespace.enter(|| sysctl::IP_LOCAL_PORT_RANGE.write(&RANGE))??;
    Ok(namespace)
}

/// What a client's tries came to.
struct Tries {
    refused: Vec<ActorId>,
    connected: Option<(Tcp, ActorId)>,
}

/// What the client in so many incident reports does: it connects, and on refusal connects again.
fn try_until_connected(stage: &mut Stage, namespace: &Namespace, label: &str) -> Result<Tries, StepError> {
    let server = stage.loopback(PORT);
    let mut refused = Vec::new();
    for number in 1..=TRIES {
        let socket = stage.socket(namespace)?;
        let ends = stage::ends(stage.loopback(0), server);
        let actor = stage.join(format!("{label} {number}"), &socket, namespace, ends)?;
        match stage.connect(actor, &socket, server) {
            Ok(()) => return Ok(Tries { refused, connected: Some((socket, actor)) }),
            Err(error) if error.errno() == Some(Errno::ECONNREFUSED) => refused.push(actor),
            Err(error) => return Err(error).step(format!("{label} {number} to connect to {server}")),
        }
    }
    Ok(Tries { refused, connected: None })
}
