//! Numbers, names and places as people read them, written into one text that is kept from line to line: a busy host has
//! hundreds of thousands of lines a second, and room for each word of each would cost more than the words.

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
    net::IpAddr,
    time::Duration,
};

use super::{super::style::Tone, text};
use crate::model::{Endpoint, Mono};

/// Writes cells, one after the other.
#[derive(Debug, Default)]
pub struct Pen {
    text: String,
    /// Where the cell begins that is being written.
    begin: usize,
    /// The columns that it takes so far.
    width: usize,
}

/// A piece of what a pen has written. It is safe for a terminal.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    pub tone: Tone,
    /// The columns that it takes.
    pub width: usize,
    begin: usize,
    end: usize,
}

impl Pen {
    /// What `write` writes.
    pub fn text_of(write: impl FnOnce(&mut Self)) -> String {
        let mut pen = Self::default();
        write(&mut pen);
        pen.text
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.text.clear();
        self.begin = 0;
        self.width = 0;
    }

    /// All that was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What is in a cell.
    pub fn text_in(&self, cell: Cell) -> &str {
        &self.text[cell.begin..cell.end]
    }

    /// The cell is at its end, and what is written from now on is in the next one. A blank at the end is escaped.
    pub fn finish(&mut self, tone: Tone) -> Cell {
        // Of ASCII, safe text has no blank but the space.
        if self.text.as_bytes().last().is_some_and(|last| !(b'!'..=b'~').contains(last)) {
            self.shut();
        }
        let cell = Cell { tone, width: self.width, begin: self.begin, end: self.text.len() };
        self.begin = cell.end;
        self.width = 0;
        cell
    }

    fn shut(&mut self) {
        if let Cow::Owned(shut) = text::shut(self.text[self.begin..].into()) {
            self.text.truncate(self.begin);
            self.width = 0;
            self.word(&shut);
        }
    }

    /// Safe text.
    #[inline]
    pub fn word(&mut self, word: &str) {
        self.text.push_str(word);
        self.width += text::width(word);
    }

    /// Letters, digits and signs of ASCII, which need not be measured.
    #[inline]
    pub fn ascii(&mut self, word: &str) {
        debug_assert!(word.is_ascii());
        self.text.push_str(word);
        self.width += word.len();
    }

    /// One of them.
    #[inline]
    fn letter(&mut self, letter: u8) {
        debug_assert!(letter.is_ascii());
        self.text.push(letter.into());
        self.width += 1;
    }

    /// Text that someone else chose.
    pub fn foreign(&mut self, text: &str) {
        self.word(&text::safe(text));
    }

    /// A number, in as many digits as it has.
    #[inline]
    pub fn number(&mut self, number: impl itoa::Integer) {
        self.ascii(itoa::Buffer::new().format(number));
    }

    /// A number with zeros before it, so that it has as many digits.
    fn digits(&mut self, number: u64, digits: usize) {
        let mut buffer = itoa::Buffer::new();
        let number = buffer.format(number);
        (number.len()..digits).for_each(|_| self.letter(b'0'));
        self.ascii(number);
    }

    /// So many blanks.
    pub fn blanks(&mut self, blanks: usize) {
        self.text.extend(std::iter::repeat_n(' ', blanks));
        self.width += blanks;
    }

    /// An address and a port.
    pub fn endpoint(&mut self, endpoint: Endpoint) {
        match endpoint.addr {
            IpAddr::V4(addr) => {
                let [first, rest @ ..] = addr.octets();
                self.octet(first);
                for octet in rest {
                    self.letter(b'.');
                    self.octet(octet);
                }
            }
            IpAddr::V6(addr) => self.shown(format_args!("[{addr}]")),
        }
        self.port(endpoint);
    }

    /// The number, in less than it takes to hand over its digits in one piece.
    fn octet(&mut self, octet: u8) {
        if octet >= 100 {
            self.letter(b'0' + octet / 100);
        }
        if octet >= 10 {
            self.letter(b'0' + octet / 10 % 10);
        }
        self.letter(b'0' + octet % 10);
    }

    /// An end without its address.
    pub fn port(&mut self, endpoint: Endpoint) {
        self.letter(b':');
        match endpoint.port {
            Some(port) => self.number(port.get()),
            None => self.letter(b'*'),
        }
    }

    /// Milliseconds with their thousandths.
    pub fn milliseconds(&mut self, from: Mono, to: Mono) {
        let micros = micros(to.since(from));
        self.number(micros / 1_000);
        self.letter(b'.');
        self.digits(micros % 1_000, 3);
    }

    /// The time of day, which is given in microseconds since midnight.
    pub fn time_of_day(&mut self, micros: u64) {
        self.seconds_of_day(micros / 1_000_000);
        self.letter(b'.');
        self.digits(micros % 1_000_000, 6);
    }

    /// The same without parts of a second, and given in seconds.
    pub fn seconds_of_day(&mut self, seconds: u64) {
        self.digits(seconds / 3_600, 2);
        self.letter(b':');
        self.digits(seconds / 60 % 60, 2);
        self.letter(b':');
        self.digits(seconds % 60, 2);
    }

    /// A duration in three figures, from microseconds to days.
    pub fn lasted(&mut self, duration: Duration) {
        let seconds = duration.as_secs();
        match seconds {
            0 if duration.as_micros() < 1_000 => {
                self.number(micros(duration));
                self.word(" µs");
            }
            0 => self.figures(duration.as_micros() as f64 / 1e3, "ms"),
            1..60 => self.figures(duration.as_millis() as f64 / 1e3, "s"),
            60..3_600 => self.two(seconds / 60, "m", seconds % 60, "s"),
            3_600..86_400 => self.two(seconds / 3_600, "h", seconds / 60 % 60, "m"),
            _ => self.two(seconds / 86_400, "d", seconds / 3_600 % 24, "h"),
        }
    }

    /// A number of bytes in three figures.
    pub fn bytes(&mut self, bytes: u64) {
        if bytes < 1_000 {
            self.number(bytes);
            return self.ascii(" B");
        }
        let mut number = bytes as f64 / 1e3;
        for unit in ["kB", "MB", "GB", "TB"] {
            if number < 999.5 {
                return self.figures(number, unit);
            }
            number /= 1e3;
        }
        self.figures(number, "PB");
    }

    fn figures(&mut self, number: f64, unit: &str) {
        let digits = match number {
            ..9.995 => 2,
            ..99.95 => 1,
            _ => 0,
        };
        self.shown(format_args!("{number:.digits$} {unit}"));
    }

    /// Two units of time, the second in two digits.
    fn two(&mut self, many: u64, unit: &str, rest: u64, smaller: &str) {
        self.number(many);
        self.ascii(unit);
        self.digits(rest, 2);
        self.ascii(smaller);
    }

    /// What has a safe form already.
    fn shown(&mut self, shown: fmt::Arguments<'_>) {
        // Memory takes everything.
        let _ = self.write_fmt(shown);
    }
}

impl fmt::Write for Pen {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.word(text);
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
    fn numbers_are_easy_to_read() {
        let passed = |from, to| Pen::text_of(|pen| pen.milliseconds(Mono(from), Mono(to)));
        assert_eq!(passed(1_000, 12_346_789), "12.345");
        assert_eq!(passed(0, 1_002_000), "1.002");
        assert_eq!(Pen::text_of(|pen| pen.time_of_day(3_723_000_004)), "01:02:03.000004");
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
            assert_eq!(Pen::text_of(|pen| pen.lasted(Duration::from_micros(micros))), text);
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
            assert_eq!(Pen::text_of(|pen| pen.bytes(number)), text);
        }
    }

    #[test]
    fn a_blank_at_a_cells_end_is_shown() {
        let mut pen = Pen::default();
        let cells = ["curl ", "curl", "", "wörk\u{3000}", "ö"].map(|text| {
            pen.foreign(text);
            pen.finish(Tone::Plain)
        });
        assert_eq!(
            cells.map(|cell| (pen.text_in(cell), cell.width)),
            [("curl\\u{20}", 10), ("curl", 4), ("", 0), ("wörk\\u{3000}", 12), ("ö", 1)]
        );
    }

    proptest! {
        #[test]
        fn an_endpoint_reads_as_everywhere(addr in any::<IpAddr>(), port in any::<u16>()) {
            let endpoint = Endpoint::new(addr, port);
            prop_assert_eq!(Pen::text_of(|pen| pen.endpoint(endpoint)), endpoint.to_string());
        }

        #[test]
        fn a_cell_is_as_wide_as_its_text(pieces in proptest::collection::vec(any::<String>(), 0..4)) {
            let mut pen = Pen::default();
            pen.word("before");
            pen.finish(Tone::Plain);
            pieces.iter().for_each(|piece| pen.foreign(piece));
            let cell = pen.finish(Tone::Plain);
            let whole = pieces.concat();
            let safe = text::shut(text::safe(&whole));
            prop_assert_eq!((pen.text_in(cell), cell.width), (&*safe, text::width(&safe)));
        }
    }
}
