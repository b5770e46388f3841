//! Without a wire: two threads race on the loopback device until their SYNs cross.
//!
//! There a SYN arrives before the connect(2) that sent it returns. For two to cross, the second socket
//! must be in SYN_SENT within the few microseconds that the first one's SYN takes, on another CPU.
//! Otherwise the first SYN meets no socket, and both are refused. Between these lies a moment in which
//! the second SYN arrives before the reset that the first one earned: then there is a connection, but
//! only one end of it opened simultaneously, and the try counts as lost.

use std::time::Instant;

use super::{End, PORT, close, converse, crossing::CROSSED, race::race};
use crate::{
    net::{Namespace, sock_diag},
    os::cpu,
    scenario::{Span, Stage, Step, StepError},
};

/// The other end's port: `::1` is the only IPv6 address of the device, so the ports must differ.
const OTHER_PORT: u16 = 1315;

/// How often the two may try. With two idle CPUs the first try nearly always does; when busy, one in a
/// few.
const TRIES: usize = 100;

pub(super) fn play(stage: &mut Stage) -> Result<(), StepError> {
    let namespace = stage.namespace()?;
    let [here, there] = [PORT, OTHER_PORT].map(|port| stage.loopback(port));
    for number in 1..=TRIES {
        let a = End::bound(&namespace, here, there, &format!("a, try {number}"), stage)?;
        let b = End::bound(&namespace, there, here, &format!("b, try {number}"), stage)?;
        if !connected(&a, &b, stage.deadline())? {
            continue;
        }
        if !each_got_a_syn(&namespace, [&a, &b])? {
            // No TIME_WAIT may keep the next try from the ports.
            for end in [&a, &b] {
                end.socket.reset_on_close().step("setting SO_LINGER")?;
            }
            continue;
        }
        stage
            .story()
            .note(format!("the SYNs crossed on the loopback device at try {number} of at most {TRIES}"));
        stage.path("both open", &[a.actor, b.actor], Span::Opening, &CROSSED);
        stage.together("one connection", &[a.actor, b.actor]);
        converse(stage, [&a, &b])?;
        stage.list(&namespace)?;
        return close(stage, a, b);
    }
    let cpus = cpu::allowed().map_or(1, |cpus| cpus.len());
    Err(StepError::Unsupported(format!(
        "the SYNs never crossed on the loopback device in {TRIES} tries, with CPUs for this process: {cpus}; try \
         again on an idle machine with two or more, or leave out --wire loopback"
    )))
}

/// Lets both connect at the same moment. Whether both got a connection of it.
fn connected(a: &End, b: &End, deadline: Instant) -> Result<bool, StepError> {
    for begun in race(|| a.begin_connect(), || b.begin_connect()) {
        begun?;
    }
    // A refusal is there at once. Its peer may be left in SYN_SENT with nobody to wait for, so no
    // waiting before both have been asked.
    let at_once = [a, b].map(|end| end.socket.outcome(Instant::now()));
    if at_once.iter().any(|outcome| outcome.as_ref().is_err_and(|error| error.errno().is_some())) {
        return Ok(false);
    }
    for end in [a, b] {
        end.socket.outcome(deadline).step("opening simultaneously on the loopback device")?;
    }
    Ok(true)
}

/// Whether each end of a new connection got the other's SYN, which its SYN+ACK followed: an ordinary
/// connect gets that alone.
fn each_got_a_syn(namespace: &Namespace, ends: [&End; 2]) -> Result<bool, StepError> {
    let sockets = namespace.enter(sock_diag::tcp_sockets)?.step("counting segments")?;
    let counted = |end: &End| {
        let cookie = end.socket.cookie().ok()?;
        sockets.iter().find(|socket| socket.cookie == cookie)?.segs_in
    };
    Ok(ends.into_iter().all(|end| counted(end).is_some_and(|segments| segments >= 2)))
}
