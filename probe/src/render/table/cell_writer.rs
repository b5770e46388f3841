//! Writes the cells of a line into one buffer that is reused from line to line: a busy host has hundreds of thousands of
//! lines a second, and allocating each cell would cost more than formatting it.

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
    net::IpAddr,
    time::Duration,
};

use super::{super::style::Role, text};
use crate::model::{Endpoint, Mono};

/// Writes cells one after the other.
#[derive(Debug, Default)]
pub struct CellWriter {
    text: String,
    /// The offset of the current cell.
    start: usize,
    /// The width of the current cell so far, in columns.
    width: usize,
}

/// A finished cell. Its text is safe for a terminal.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    pub role: Role,
    /// The width in columns.
    pub width: usize,
    start: usize,
    end: usize,
}

impl CellWriter {
    /// The text that `write` writes.
    pub fn text_of(write: impl FnOnce(&mut Self)) -> String {
        let mut writer = Self::default();
        write(&mut writer);
        writer.text
    }

    /// Discards all cells.
    pub fn clear(&mut self) {
        self.text.clear();
        self.start = 0;
        self.width = 0;
    }

    /// The text of all cells.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text of a cell.
    pub fn text_in(&self, cell: Cell) -> &str {
        &self.text[cell.start..cell.end]
    }

    /// Finishes the current cell. A whitespace character at its end is escaped.
    pub fn finish(&mut self, role: Role) -> Cell {
        // The space is the only ASCII whitespace in escaped text.
        if self.text.as_bytes().last().is_some_and(|last| !(b'!'..=b'~').contains(last)) {
            self.escape_trailing_space();
        }
        let cell = Cell { role, width: self.width, start: self.start, end: self.text.len() };
        self.start = cell.end;
        self.width = 0;
        cell
    }

    fn escape_trailing_space(&mut self) {
        if let Cow::Owned(escaped) = text::escape_trailing_space(self.text[self.start..].into()) {
            self.text.truncate(self.start);
            self.width = 0;
            self.escaped(&escaped);
        }
    }

    /// Writes text that is safe for a terminal.
    #[inline]
    pub fn escaped(&mut self, text: &str) {
        self.text.push_str(text);
        self.width += text::width(text);
    }

    /// Writes printable ASCII, whose width is its length.
    #[inline]
    pub fn ascii(&mut self, text: &str) {
        debug_assert!(text.is_ascii());
        self.text.push_str(text);
        self.width += text.len();
    }

    /// Writes one printable ASCII character.
    #[inline]
    fn ascii_char(&mut self, char: u8) {
        debug_assert!(char.is_ascii());
        self.text.push(char.into());
        self.width += 1;
    }

    /// Writes untrusted text, escaped.
    pub fn unescaped(&mut self, text: &str) {
        match text::escape_invisible(text) {
            // Borrowed only if it is printable ASCII.
            Cow::Borrowed(plain) => self.ascii(plain),
            Cow::Owned(escaped) => self.escaped(&escaped),
        }
    }

    /// Writes a number.
    #[inline]
    pub fn number(&mut self, number: impl itoa::Integer) {
        self.ascii(itoa::Buffer::new().format(number));
    }

    /// Writes a number with at least `digits` digits.
    fn zero_padded(&mut self, number: u64, digits: usize) {
        let mut buffer = itoa::Buffer::new();
        let number = buffer.format(number);
        (number.len()..digits).for_each(|_| self.ascii_char(b'0'));
        self.ascii(number);
    }

    /// Writes spaces.
    pub fn spaces(&mut self, number: usize) {
        self.text.extend(std::iter::repeat_n(' ', number));
        self.width += number;
    }

    /// Writes an address and a port.
    pub fn endpoint(&mut self, endpoint: Endpoint) {
        match endpoint.addr {
            IpAddr::V4(addr) => {
                let [first, rest @ ..] = addr.octets();
                self.octet(first);
                for octet in rest {
                    self.ascii_char(b'.');
                    self.octet(octet);
                }
            }
            IpAddr::V6(addr) => self.formatted(format_args!("[{addr}]")),
        }
        self.port(endpoint);
    }

    /// Writes an octet digit by digit, which is faster than formatting it first.
    fn octet(&mut self, octet: u8) {
        if octet >= 100 {
            self.ascii_char(b'0' + octet / 100);
        }
        if octet >= 10 {
            self.ascii_char(b'0' + octet / 10 % 10);
        }
        self.ascii_char(b'0' + octet % 10);
    }

    /// Writes the port of an endpoint, without its address.
    pub fn port(&mut self, endpoint: Endpoint) {
        self.ascii_char(b':');
        match endpoint.port {
            Some(port) => self.number(port.get()),
            None => self.ascii_char(b'*'),
        }
    }

    /// Writes a duration as milliseconds with three decimals.
    pub fn milliseconds(&mut self, from: Mono, to: Mono) {
        let micros = micros(to.since(from));
        self.number(micros / 1_000);
        self.ascii_char(b'.');
        self.zero_padded(micros % 1_000, 3);
    }

    /// Writes a time of day, given in microseconds since midnight.
    pub fn time_of_day(&mut self, micros: u64) {
        self.seconds_of_day(micros / 1_000_000);
        self.ascii_char(b'.');
        self.zero_padded(micros % 1_000_000, 6);
    }

    /// Writes a time of day without a fraction, given in seconds since midnight.
    pub fn seconds_of_day(&mut self, seconds: u64) {
        self.zero_padded(seconds / 3_600, 2);
        self.ascii_char(b':');
        self.zero_padded(seconds / 60 % 60, 2);
        self.ascii_char(b':');
        self.zero_padded(seconds % 60, 2);
    }

    /// Writes a duration with three significant digits, from microseconds to days.
    pub fn duration(&mut self, duration: Duration) {
        let seconds = duration.as_secs();
        match seconds {
            0 if duration.as_micros() < 1_000 => {
                self.number(micros(duration));
                self.escaped(" µs");
            }
            0 => self.three_digits(duration.as_micros() as f64 / 1e3, "ms"),
            1..60 => self.three_digits(duration.as_millis() as f64 / 1e3, "s"),
            60..3_600 => self.two_units(seconds / 60, "m", seconds % 60, "s"),
            3_600..86_400 => self.two_units(seconds / 3_600, "h", seconds / 60 % 60, "m"),
            _ => self.two_units(seconds / 86_400, "d", seconds / 3_600 % 24, "h"),
        }
    }

    /// Writes a number of bytes with three significant digits.
    pub fn bytes(&mut self, bytes: u64) {
        if bytes < 1_000 {
            self.number(bytes);
            return self.ascii(" B");
        }
        let mut number = bytes as f64 / 1e3;
        for unit in ["kB", "MB", "GB", "TB"] {
            if number < 999.5 {
                return self.three_digits(number, unit);
            }
            number /= 1e3;
        }
        self.three_digits(number, "PB");
    }

    /// Writes a number below 1,000 with three significant digits.
    fn three_digits(&mut self, number: f64, unit: &str) {
        let digits = match number {
            ..9.995 => 2,
            ..99.95 => 1,
            _ => 0,
        };
        self.formatted(format_args!("{number:.digits$} {unit}"));
    }

    /// Writes two units of time, the smaller one with two digits.
    fn two_units(&mut self, large: u64, large_unit: &str, small: u64, small_unit: &str) {
        self.number(large);
        self.ascii(large_unit);
        self.zero_padded(small, 2);
        self.ascii(small_unit);
    }

    /// Writes arguments whose text is safe for a terminal.
    fn formatted(&mut self, arguments: fmt::Arguments<'_>) {
        // Cannot fail: `write_str` does not.
        let _ = self.write_fmt(arguments);
    }
}

impl fmt::Write for CellWriter {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.escaped(text);
        Ok(())
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_and_durations_are_short() {
        let elapsed = |from, to| CellWriter::text_of(|cell| cell.milliseconds(Mono(from), Mono(to)));
        assert_eq!(elapsed(1_000, 12_346_789), "12.345");
        assert_eq!(elapsed(0, 1_002_000), "1.002");
        assert_eq!(CellWriter::text_of(|cell| cell.time_of_day(3_723_000_004)), "01:02:03.000004");
        for (micros, text) in [
            (0, "0 µs"),
            (999, "999 µs"),
            (3_210, "3.21 ms"),
            (999_999, "1000 ms"),
            (1_842_311, "1.84 s"),
            (59_990_000, "60.0 s"),
            (754_000_000, "12m34s"),
            (11_100_000_000, "3h05m"),
            (180_000_000_000, "2d02h"),
        ] {
            assert_eq!(CellWriter::text_of(|cell| cell.duration(Duration::from_micros(micros))), text);
        }
        for (number, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.00 kB"),
            (12_345, "12.3 kB"),
            (999_499, "999 kB"),
            (999_500, "1.00 MB"),
            (u64::MAX, "18447 PB"),
        ] {
            assert_eq!(CellWriter::text_of(|cell| cell.bytes(number)), text);
        }
    }

    #[test]
    fn whitespace_at_the_end_of_a_cell_is_escaped() {
        let mut writer = CellWriter::default();
        let cells = ["curl ", "curl", "", "wörk\u{3000}", "ö"].map(|text| {
            writer.unescaped(text);
            writer.finish(Role::Plain)
        });
        assert_eq!(
            cells.map(|cell| (writer.text_in(cell), cell.width)),
            [("curl\\u{20}", 10), ("curl", 4), ("", 0), ("wörk\\u{3000}", 12), ("ö", 1)]
        );
    }

    proptest! {
        #[test]
        fn an_endpoint_is_formatted_as_by_display(addr in any::<IpAddr>(), port in any::<u16>()) {
            let endpoint = Endpoint::new(addr, port);
            prop_assert_eq!(CellWriter::text_of(|cell| cell.endpoint(endpoint)), endpoint.to_string());
        }

        #[test]
        fn the_width_of_a_cell_is_that_of_its_text(pieces in proptest::collection::vec(any::<String>(), 0..4)) {
            let mut writer = CellWriter::default();
            writer.escaped("before");
            writer.finish(Role::Plain);
            pieces.iter().for_each(|piece| writer.unescaped(piece));
            let cell = writer.finish(Role::Plain);
            let whole = pieces.concat();
            let escaped = text::escape_trailing_space(text::escape_invisible(&whole));
            prop_assert_eq!((writer.text_in(cell), cell.width), (&*escaped, text::width(&escaped)));
        }
    }
}
