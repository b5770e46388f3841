//! Formats numbers, endpoints, owners and causes for people.

use std::time::Duration;

use crate::model::{Cause, CauseKind, Connection, Endpoints, Known, LossStage, Mono, Owner, SocketId};

use super::{super::style::Role, cell_writer::CellWriter};

/// A duration as milliseconds with three decimals.
pub fn milliseconds(from: Mono, to: Mono) -> String {
    CellWriter::text_of(|cell| cell.milliseconds(from, to))
}

/// A duration with about three significant digits.
pub fn duration(duration: Duration) -> String {
    let micros = duration.as_micros();
    match micros {
        0..10_000 => format!("{:.1} ms", micros as f64 / 1e3),
        10_000..1_000_000 => format!("{} ms", micros / 1_000),
        _ => format!("{:.2} s", duration.as_secs_f64()),
    }
}

/// A number with thousands separators, and the singular or plural of what it counts.
pub fn count(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", self::number(number), if number == 1 { one } else { many })
}

/// A number with thousands separators.
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A cause with the socket error that it set, or a dash if it is unknown.
pub fn cause(cause: Option<Cause>) -> (Role, String) {
    let Some(cause) = cause else { return (Role::Dim, "–".to_owned()) };
    let errno = cause.errno().map(|errno| format!(" ({errno})")).unwrap_or_default();
    (cause_role(cause), format!("{}{errno}", cause.detail()))
}

/// The role of a cause: an error, or its kind.
pub fn cause_role(cause: Cause) -> Role {
    match cause.kind() {
        _ if cause.errno().is_some() => Role::Error,
        CauseKind::Call => Role::Plain,
        CauseKind::Segment => Role::Segment,
        CauseKind::Timer => Role::Timer,
        CauseKind::Kernel => Role::Kernel,
    }
}

/// Both endpoints; of a listener, the local one.
pub fn endpoints(endpoints: Endpoints) -> String {
    if has_no_peer(endpoints) {
        endpoints.local.to_string()
    } else {
        format!("{} → {}", endpoints.local, endpoints.remote)
    }
}

/// Whether the socket has no peer, as a listener.
pub fn has_no_peer(endpoints: Endpoints) -> bool {
    endpoints.remote.addr.is_unspecified() && endpoints.remote.port.is_none()
}

/// The message about lost reports.
pub fn lost(count: u64, stage: LossStage) -> String {
    let reports = self::count(count, "report was", "reports were");
    format!("{reports} lost ({}): the output is incomplete", stage.name())
}

/// The number of a socket. Of a kernel address, the last digits distinguish it from others.
pub fn socket(socket: SocketId) -> String {
    if socket.number >> 48 == 0 {
        return socket.to_string();
    }
    let generation = if socket.generation > 1 { format!("/{}", socket.generation) } else { String::new() };
    format!("…{:08x}{generation}", socket.number as u32)
}

/// The owner, marked if it is not known exactly.
pub fn owner(owner: &Owner) -> (Role, String) {
    let (role, mark) = owner_mark(owner.known);
    (role, format!("{owner}{mark}"))
}

/// The mark after an owner that is known in this way.
pub fn owner_mark(known: Known) -> (Role, &'static str) {
    match known {
        Known::Exact => (Role::Plain, ""),
        Known::Listener => (Role::Plain, "*"),
        Known::Inferred => (Role::Dim, "?"),
        Known::Unknown => (Role::Dim, ""),
    }
}

/// Explains the marks that were shown.
#[derive(Debug, Default)]
pub struct Legend {
    listener: bool,
    inferred: bool,
    incomplete: bool,
}

impl Legend {
    /// Records that an owner was shown.
    pub fn owner(&mut self, owner: &Owner) {
        self.listener |= owner.known == Known::Listener;
        self.inferred |= owner.known == Known::Inferred;
    }

    /// Records that a connection was shown.
    pub fn connection(&mut self, connection: &Connection) {
        self.owner(&connection.owner);
        self.incomplete |= !connection.complete;
    }

    /// The meaning of the marks; `None` if no marks were shown.
    pub fn text(&self) -> Option<String> {
        let marks = [
            (self.listener, "* owner of the listener"),
            (self.inferred, "? pre-existing socket, owner inferred from /proc or the task on the CPU"),
            (self.incomplete, "~ incomplete: opened before the trace, or reports were lost"),
        ];
        let meanings: Vec<&str> = marks.into_iter().filter(|(used, _)| *used).map(|(_, text)| text).collect();
        (!meanings.is_empty()).then(|| meanings.join("   "))
    }
}

impl<'a> FromIterator<&'a Owner> for Legend {
    fn from_iter<T: IntoIterator<Item = &'a Owner>>(owners: T) -> Self {
        let mut legend = Self::default();
        owners.into_iter().for_each(|owner| legend.owner(owner));
        legend
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_durations_are_short() {
        assert_eq!(count(0, "x", "xs"), "0 xs");
        assert_eq!(count(1, "x", "xs"), "1 x");
        assert_eq!(count(999, "x", "xs"), "999 xs");
        assert_eq!(count(1_000, "x", "xs"), "1,000 xs");
        assert_eq!(count(1_234_567, "x", "xs"), "1,234,567 xs");
        assert_eq!(milliseconds(Mono(1_000), Mono(12_346_789)), "12.345");
        assert_eq!(duration(Duration::from_micros(3_210)), "3.2 ms");
        assert_eq!(duration(Duration::from_micros(112_900)), "112 ms");
        assert_eq!(duration(Duration::from_millis(1_842)), "1.84 s");
    }
}
