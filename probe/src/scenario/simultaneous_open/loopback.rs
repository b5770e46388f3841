//! Without a wire: two threads race on the loopback device until their SYNs cross.
//!
//! On loopback a SYN arrives before the connect(2) that sent it returns. For two SYNs to cross, the second
//! socket must enter SYN_SENT, on another CPU, within the few microseconds before the first SYN is processed.
//! Otherwise no socket matches the first SYN, and both connects are refused. In between, the second SYN may
//! arrive before the RST that the first one caused: then the connection opens, but only one side saw a
//! simultaneous open, and the attempt does not count.

use std::time::Instant;

use super::{
    crossing::SIMULTANEOUS,
    peer::{PORT, Peer, close, exchange_payloads},
    race::race,
};
use crate::{
    net::{Namespace, sock_diag},
    os::cpu,
    scenario::{Context, Span, Step, StepError},
};

/// The port of the other endpoint. The ports must differ, because `::1` is the only IPv6 address of the device.
const OTHER_PORT: u16 = 1315;

/// How often the two sockets connect. On two idle CPUs the first attempt nearly always succeeds; on busy
/// ones, one in a few.
const ATTEMPTS: usize = 100;

pub(super) fn run(context: &mut Context) -> Result<(), StepError> {
    let namespace = context.namespace()?;
    let [local, remote] = [PORT, OTHER_PORT].map(|port| context.loopback(port));
    for number in 1..=ATTEMPTS {
        let a = Peer::bound(&namespace, local, remote, &format!("a, attempt {number}"), context)?;
        let b = Peer::bound(&namespace, remote, local, &format!("b, attempt {number}"), context)?;
        if !connect_at_once(&a, &b, context.deadline())? {
            continue;
        }
        if !each_received_a_syn(&namespace, [&a, &b])? {
            // Close with an RST, so that no TIME_WAIT holds the ports of the next attempt.
            for peer in [&a, &b] {
                peer.socket.reset_on_close().step("setting SO_LINGER")?;
            }
            continue;
        }
        context.note(format!(
            "the SYNs crossed on the loopback device in attempt {number} of at most {ATTEMPTS}"
        ));
        context.expect_path("both open", &[a.index, b.index], Span::Opening, &SIMULTANEOUS);
        context.expect_all_established("one connection", &[a.index, b.index]);
        exchange_payloads(context, [&a, &b])?;
        context.list_sockets(&namespace)?;
        return close(context, a, b);
    }
    let cpus = match cpu::allowed().map_or(1, |cpus| cpus.len()) {
        1 => "1 CPU".to_owned(),
        count => format!("{count} CPUs"),
    };
    Err(StepError::Unsupported(format!(
        "the SYNs never crossed on the loopback device in {ATTEMPTS} attempts; this process may use {cpus}: run again on \
         an idle machine with two or more, or omit --wire loopback"
    )))
}

/// Connects both at the same moment. Returns whether both are connected.
fn connect_at_once(a: &Peer, b: &Peer, deadline: Instant) -> Result<bool, StepError> {
    for begun in race(|| a.begin_connect(), || b.begin_connect()) {
        begun?;
    }
    // A refusal is immediate, and may leave the other socket in SYN_SENT without a peer. So check both before
    // waiting for either.
    let outcomes = [a, b].map(|peer| peer.socket.outcome(Instant::now()));
    if outcomes.iter().any(|outcome| outcome.as_ref().is_err_and(|error| error.errno().is_some())) {
        return Ok(false);
    }
    for peer in [a, b] {
        peer.socket.outcome(deadline).step("opening simultaneously on the loopback device")?;
    }
    Ok(true)
}

/// Whether each peer received the other's SYN and then its SYN+ACK. In a three-way handshake, the client
/// receives the SYN+ACK only.
fn each_received_a_syn(namespace: &Namespace, peers: [&Peer; 2]) -> Result<bool, StepError> {
    let sockets = namespace.enter(sock_diag::tcp_sockets)?.step("counting segments")?;
    let received = |peer: &Peer| {
        let cookie = peer.socket.cookie().ok()?;
        sockets.iter().find(|socket| socket.cookie == cookie)?.segs_in
    };
    Ok(peers.into_iter().all(|peer| received(peer).is_some_and(|segments| segments >= 2)))
}
