//! Numbers and names as people read them.

use std::time::Duration;

use crate::model::{Cause, CauseKind, Connection, Endpoints, Known, Mono, Owner, SocketId};

use super::{super::style::Tone, pen::Pen};

/// Milliseconds with their thousandths.
pub fn milliseconds(from: Mono, to: Mono) -> String {
    Pen::text_of(|pen| pen.milliseconds(from, to))
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
    format!("{} {}", self::number(number), if number == 1 { one } else { many })
}

/// A number with its thousands apart.
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What happened, with the error that the socket reports; a dash where it is unknown.
pub fn cause(cause: Option<Cause>) -> (Tone, String) {
    let Some(cause) = cause else { return (Tone::Faint, "–".to_owned()) };
    let errno = cause.errno().map(|errno| format!(" ({errno})")).unwrap_or_default();
    (tone(cause), format!("{}{errno}", cause.detail()))
}

/// By whose doing it happened, or that it is an error.
pub fn tone(cause: Cause) -> Tone {
    match cause.kind() {
        _ if cause.errno().is_some() => Tone::Bad,
        CauseKind::Call => Tone::Plain,
        CauseKind::Segment => Tone::Segment,
        CauseKind::Timer => Tone::Timer,
        CauseKind::Kernel => Tone::Kernel,
    }
}

/// Both ends; of a listener, its own.
pub fn ends(ends: Endpoints) -> String {
    if is_alone(ends) { ends.local.to_string() } else { format!("{} → {}", ends.local, ends.remote) }
}

/// Whether there is no peer.
pub fn is_alone(ends: Endpoints) -> bool {
    ends.remote.addr.is_unspecified() && ends.remote.port.is_none()
}

/// What was lost, and what that means.
pub fn lost(count: u64, place: &str) -> String {
    let reports = self::count(count, "report was", "reports were");
    format!("{reports} lost ({place}): what follows is not all that happened")
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
    let (tone, mark) = mark(owner.known);
    (tone, format!("{owner}{mark}"))
}

/// What stands behind an owner that is known so.
pub fn mark(known: Known) -> (Tone, &'static str) {
    match known {
        Known::Exact => (Tone::Plain, ""),
        Known::Listener => (Tone::Plain, "*"),
        Known::Inferred => (Tone::Faint, "?"),
        Known::Unknown => (Tone::Faint, ""),
    }
}

/// Which marks were used.
#[derive(Debug, Default)]
pub struct Marks {
    listener: bool,
    seen: bool,
    incomplete: bool,
}

impl Marks {
    /// Takes note of an owner that was shown.
    pub fn owner(&mut self, owner: &Owner) {
        self.listener |= owner.known == Known::Listener;
        self.seen |= owner.known == Known::Inferred;
    }

    /// Takes note of a connection that was shown.
    pub fn connection(&mut self, connection: &Connection) {
        self.owner(&connection.owner);
        self.incomplete |= !connection.complete;
    }

    /// What they mean; `None` where there are none.
    pub fn legend(&self) -> Option<String> {
        let marks = [
            (self.listener, "* the listener's owner"),
            (self.seen, "? older than the tracer, by /proc or by who was on the CPU"),
            (self.incomplete, "~ incomplete: begun before the trace, or with reports lost"),
        ];
        let meanings: Vec<&str> = marks.into_iter().filter(|(used, _)| *used).map(|(_, text)| text).collect();
        (!meanings.is_empty()).then(|| meanings.join("   "))
    }
}

impl<'a> FromIterator<&'a Owner> for Marks {
    fn from_iter<T: IntoIterator<Item = &'a Owner>>(owners: T) -> Self {
        let mut marks = Self::default();
        owners.into_iter().for_each(|owner| marks.owner(owner));
        marks
    }
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
