//! Numbers and names as people read them.

use std::time::Duration;

use crate::model::{Cause, CauseKind, Known, Mono, Owner, SocketId};

use super::super::style::Tone;

/// Milliseconds with their thousandths.
pub fn milliseconds(from: Mono, to: Mono) -> String {
    let micros = to.since(from).as_micros();
    format!("{}.{:03}", micros / 1_000, micros % 1_000)
}

/// A duration in three figures or so.
pub fn span(duration: Duration) -> String {
    let micros = duration.as_micros();
    match micros {
        0..10_000 => format!("{:.1} ms", micros as f64 / 1e3),
        10_000..1_000_000 => format!("{} ms", micros / 1_000),
        _ => format!("{:.2} s", duration.as_secs_f64()),
    }
}

/// A number with its thousands apart, and what it counts.
pub fn count(number: u64, one: &str, many: &str) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{text} {}", if number == 1 { one } else { many })
}

/// What happened, with the error that the socket reports; a dash where it is unknown.
pub fn cause(cause: Option<&Cause>) -> (Tone, String) {
    let Some(cause) = cause else { return (Tone::Faint, "–".to_owned()) };
    let tone = match cause.kind {
        _ if cause.errno.is_some() => Tone::Bad,
        CauseKind::Call => Tone::Plain,
        CauseKind::Segment => Tone::Segment,
        CauseKind::Timer => Tone::Timer,
        CauseKind::Kernel => Tone::Kernel,
    };
    let errno = cause.errno.map(|errno| format!(" ({errno})")).unwrap_or_default();
    (tone, format!("{}{errno}", cause.detail))
}

/// The socket's number. Of a kernel address the last digits tell one from another.
pub fn socket(socket: SocketId) -> String {
    if socket.number >> 48 == 0 {
        return socket.to_string();
    }
    let generation = if socket.generation > 1 { format!("/{}", socket.generation) } else { String::new() };
    format!("…{:08x}{generation}", socket.number as u32)
}

/// The process, with a mark for what is not known exactly.
pub fn owner(owner: &Owner) -> (Tone, String) {
    match owner.known {
        Known::Exact => (Tone::Plain, owner.to_string()),
        Known::Listener => (Tone::Plain, format!("{owner}*")),
        Known::Seen => (Tone::Faint, format!("{owner}?")),
        Known::Unknown => (Tone::Faint, owner.to_string()),
    }
}

/// What the marks of these owners mean; `None` where there are none.
pub fn legend<'a>(owners: impl Iterator<Item = &'a Owner>) -> Option<String> {
    let (mut listener, mut seen) = (false, false);
    for owner in owners {
        listener |= owner.known == Known::Listener;
        seen |= owner.known == Known::Seen;
    }
    let marks = [(listener, "* the listener's owner"), (seen, "? who was on the CPU: a guess")];
    let meanings: Vec<&str> = marks.into_iter().filter(|(used, _)| *used).map(|(_, text)| text).collect();
    (!meanings.is_empty()).then(|| meanings.join("   "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!(count(0, "x", "xs"), "0 xs");
        assert_eq!(count(1, "x", "xs"), "1 x");
        assert_eq!(count(999, "x", "xs"), "999 xs");
        assert_eq!(count(1_000, "x", "xs"), "1,000 xs");
        assert_eq!(count(1_234_567, "x", "xs"), "1,234,567 xs");
        assert_eq!(milliseconds(Mono(1_000), Mono(12_346_789)), "12.345");
        assert_eq!(span(Duration::from_micros(3_210)), "3.2 ms");
        assert_eq!(span(Duration::from_micros(112_900)), "112 ms");
        assert_eq!(span(Duration::from_millis(1_842)), "1.84 s");
    }
}
