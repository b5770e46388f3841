//! How a retrying client connects to itself unintentionally, what it costs the server, and the remedy.
//!
//! The kernel chooses the local port of a client that is not bound. If the server is down and its port lies in
//! `ip_local_port_range`, a client that keeps retrying eventually gets that port, and receives its own SYN.

use super::bound::{PORT, close};
use crate::{
    model::{Errno, PortRange, State},
    net::{Namespace, Tcp, sysctl},
    scenario::{Context, Expectation, Netns, SocketIndex, Span, Step, StepError, labelled_socket::endpoints},
};

/// The port range that the kernel chooses from, narrowed from some 28,000 ports so that a few attempts suffice.
///
/// connect(2) first tries the ports at an even distance from the low end, and leaves the others to `bind(0)`
/// (`__inet_hash_connect`). That makes eight here, [`PORT`] among them, and each attempt moves on by one to
/// eight of them at random.
const RANGE: PortRange = 1300..=1315;

/// How often the client connects. A run needs more attempts once in ten million times.
const ATTEMPTS: usize = 120;

pub(super) fn run(context: &mut Context) -> Result<(), StepError> {
    if context.options().netns == Netns::Host {
        context.note("skipped with --netns host: the retrying client and its remedy, which change sysctls");
        return Ok(());
    }
    connects_to_itself(context)?;
    is_refused_with_port_reserved(context)
}

/// The client connects to itself, and the server cannot bind until a minute after the client has closed.
fn connects_to_itself(context: &mut Context) -> Result<(), StepError> {
    let namespace = narrow_range(context)?;
    let server_address = context.loopback(PORT);
    let attempts = connect_until_accepted(context, &namespace, "attempt")?;
    let local = match &attempts.connected {
        Some((socket, _)) => socket.local().step("reading the local endpoint")?.to_string(),
        None => format!("none in {ATTEMPTS} attempts"),
    };
    context.expect_equal("unbound: connected from", server_address.to_string(), local);
    let Attempts { refused, connected: Some((socket, index)) } = attempts else { return Ok(()) };
    context.note(format!(
        "no socket listened on {server_address}; attempt {} connected to itself, because the kernel chose that port as \
         its local port",
        refused.len() + 1
    ));

    let server = context.socket(&namespace)?;
    server.reuse_address().step("setting SO_REUSEADDR")?;
    context.expect_result("server binds meanwhile", Err(Errno::EADDRINUSE), &server.bind(server_address));
    close(socket, context)?;
    // SO_REUSEADDR helps only if the socket that left the TIME_WAIT had set it too.
    context.expect_result("server binds afterwards", Err(Errno::EADDRINUSE), &server.bind(server_address));
    expect_paths(context, refused, index);
    Ok(())
}

fn expect_paths(context: &mut Context, refused: Vec<SocketIndex>, connected: SocketIndex) {
    use State::{Close, Closing, Established, FinWait1, SynRecv, SynSent};

    // One check for all of them: the first attempt may be the one that connects.
    let states = vec![Close, SynSent, SynRecv, Established];
    context.expect("unbound: opens", Expectation::RefusedUntil { refused, last: connected, states });
    let closing = [Established, FinWait1, Closing, Close];
    context.expect_path("unbound: closes", &[connected], Span::Closing, &closing);
}

/// The same client with the port in `ip_local_reserved_ports`.
fn is_refused_with_port_reserved(context: &mut Context) -> Result<(), StepError> {
    let namespace = narrow_range(context)?;
    let reserve = || sysctl::IP_LOCAL_RESERVED_PORTS.write(&vec![PORT..=PORT]);
    namespace.enter(reserve)??;
    let attempts = connect_until_accepted(context, &namespace, "reserved: attempt")?;
    let all_refused = format!("{ATTEMPTS} of {ATTEMPTS}");
    let refused = format!("{} of {ATTEMPTS}", attempts.refused.len());
    context.expect_equal("remedy: refused", all_refused, refused);
    let states = [State::Close, State::SynSent, State::Close];
    context.expect_path("remedy: attempts", &attempts.refused, Span::Whole, &states);
    let server = context.socket(&namespace)?.bind(context.loopback(PORT));
    context.expect_result("remedy: server binds", Ok(()), &server);
    Ok(())
}

/// A namespace with few ports to choose from.
fn narrow_range(context: &Context) -> Result<Namespace, StepError> {
    let namespace = context.namespace()?;
    namespace.enter(|| sysctl::IP_LOCAL_PORT_RANGE.write(&RANGE))??;
    Ok(namespace)
}

/// The outcome of a client's attempts.
struct Attempts {
    refused: Vec<SocketIndex>,
    connected: Option<(Tcp, SocketIndex)>,
}

/// Connects to [`PORT`], with a new socket after each refusal, until an attempt connects or all [`ATTEMPTS`] are
/// refused.
fn connect_until_accepted(
    context: &mut Context,
    namespace: &Namespace,
    label: &str,
) -> Result<Attempts, StepError> {
    let server = context.loopback(PORT);
    let mut refused = Vec::new();
    for number in 1..=ATTEMPTS {
        let socket = context.socket(namespace)?;
        let endpoints = endpoints(context.loopback(0), server);
        let index = context.register(format!("{label} {number}"), &socket, namespace, endpoints)?;
        match context.connect(index, &socket, server) {
            Ok(()) => return Ok(Attempts { refused, connected: Some((socket, index)) }),
            Err(error) if error.errno() == Some(Errno::ECONNREFUSED) => refused.push(index),
            Err(error) => return Err(error).step(format!("{label} {number}: connecting to {server}")),
        }
    }
    Ok(Attempts { refused, connected: None })
}
