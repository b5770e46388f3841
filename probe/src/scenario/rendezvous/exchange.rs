//! Exchanging the payloads: each is followed by a FIN.

use std::{
    net::Shutdown,
    time::{Duration, Instant},
};

use super::plan::LONGEST_PAYLOAD;
use crate::{
    net::{Tcp, socket},
    scenario::Context,
};

/// How long the exchange may take: several round trips, and retransmissions of lost segments.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Sends the payload and a FIN, and reads the peer's payload up to its FIN. As both hosts do so at the same
/// time, the close may be simultaneous too.
pub(super) fn run(socket: Tcp, payload: &str, context: &mut Context) {
    let deadline = Instant::now() + TIMEOUT;
    let sent = socket.write_all(payload.as_bytes(), deadline).and_then(|()| socket.shutdown(Shutdown::Write));
    context.expect_result("payload sent", Ok(()), &sent);
    let (received, end) = read_payload(&socket, deadline);
    let text = String::from_utf8_lossy(&received);
    let (observed, pass) = match end {
        Ok(_) if received.is_empty() => ("nothing".to_owned(), false),
        Ok(End::Fin) => (text.into_owned(), true),
        Ok(End::TooLong) => (format!("{text} (longer than {LONGEST_PAYLOAD} bytes, without a FIN)"), false),
        Err(error) => (format!("{text} (then {error})"), false),
    };
    context.expect_outcome("payload received", "a payload, then FIN", observed, pass);
}

/// Why reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The peer sent a FIN.
    Fin,
    /// The data exceeds [`LONGEST_PAYLOAD`].
    TooLong,
}

/// Reads the peer's payload up to its FIN, an error or the longest payload.
fn read_payload(socket: &Tcp, deadline: Instant) -> (Vec<u8>, socket::Result<End>) {
    let mut buffer = vec![0; LONGEST_PAYLOAD + 1];
    let mut filled = 0;
    let end = loop {
        if filled == buffer.len() {
            break Ok(End::TooLong);
        }
        match socket.read(&mut buffer[filled..], deadline) {
            Ok(0) => break Ok(End::Fin),
            Ok(received) => filled += received,
            Err(error) => break Err(error),
        }
    };
    buffer.truncate(filled.min(LONGEST_PAYLOAD));
    (buffer, end)
}
