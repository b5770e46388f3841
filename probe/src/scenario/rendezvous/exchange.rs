//! Both ends' payloads, each until its FIN.

use std::{
    net::Shutdown,
    time::{Duration, Instant},
};

use super::plan::LONGEST_PAYLOAD;
use crate::{
    net::{Tcp, socket},
    scenario::Stage,
};

/// How long both may take: some round trips, and lost segments sent again.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends the payload, reads the peer's, and closes. Two ends that do so at once close simultaneously too.
pub(super) fn play(socket: Tcp, payload: &str, stage: &mut Stage) {
    let deadline = Instant::now() + PATIENCE;
    let sent = socket.write_all(payload.as_bytes(), deadline).and_then(|()| socket.shutdown(Shutdown::Write));
    stage.returns("payload sent", Ok(()), &sent);
    let (heard, ended) = listen(&socket, deadline);
    let text = String::from_utf8_lossy(&heard);
    let (observed, pass) = match ended {
        Ok(_) if heard.is_empty() => ("nothing".to_owned(), false),
        Ok(End::Fin) => (text.into_owned(), true),
        Ok(End::Limit) => (format!("{text} (and more than a payload may be, without a FIN)"), false),
        Err(error) => (format!("{text} (then {error})"), false),
    };
    stage.judged("payload received", "some text, then FIN", observed, pass);
}

/// Why no more is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// There is no more.
    Fin,
    /// It is more than a payload may be.
    Limit,
}

/// What the peer says, as far as it comes.
fn listen(socket: &Tcp, deadline: Instant) -> (Vec<u8>, socket::Result<End>) {
    let mut buffer = vec![0; LONGEST_PAYLOAD + 1];
    let mut filled = 0;
    let ended = loop {
        if filled == buffer.len() {
            break Ok(End::Limit);
        }
        match socket.read(&mut buffer[filled..], deadline) {
            Ok(0) => break Ok(End::Fin),
            Ok(received) => filled += received,
            Err(error) => break Err(error),
        }
    };
    buffer.truncate(filled.min(LONGEST_PAYLOAD));
    (buffer, ended)
}
