//! A line in the making: its values, each in its form.

use std::{io::Write as _, net::IpAddr, num::NonZero};

use crate::{
    model::{Cause, Counters, Endpoint, Errno, Mono},
    record::output::time::{Calendar, Seconds},
};

/// More than a line is long, where nobody chose long names.
const USUAL: usize = 1 << 11;

/// What stands for the counters of a connection that has none.
const UNCOUNTED: &str = concat!(
    r#","bytes_sent":null,"bytes_received":null,"segs_out":null,"#,
    r#""segs_in":null,"retransmits":null,"srtt_us":null"#,
);

/// A line that is being written.
pub struct Line<'a>(&'a mut Vec<u8>);

impl<'a> Line<'a> {
    /// A line behind what is there.
    pub fn begin(out: &'a mut Vec<u8>) -> Self {
        out.reserve(USUAL);
        Self(out)
    }

    /// How long it is.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// What was written since it was so long.
    pub fn since(&self, len: usize) -> &[u8] {
        &self.0[len..]
    }

    /// What was written before.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// What is written as it is.
    #[inline]
    pub fn word(&mut self, word: &str) {
        self.bytes(word.as_bytes());
    }

    /// A number.
    #[inline]
    pub fn number(&mut self, number: impl itoa::Integer) {
        self.word(itoa::Buffer::new().format(number));
    }

    /// A number, where there is one.
    #[inline]
    pub fn any_number(&mut self, number: Option<impl itoa::Integer>) {
        match number {
            Some(number) => self.number(number),
            None => self.word("null"),
        }
    }

    /// A 64-bit identity.
    pub fn decimal(&mut self, number: u64) {
        self.word("\"");
        self.number(number);
        self.word("\"");
    }

    /// What anybody may have chosen.
    pub fn text(&mut self, text: &[u8]) {
        // Every byte is looked at, which the compiler makes sixteen at a time of.
        let is_plain =
            |plain, byte: &u8| plain & (*byte >= b' ') & (*byte < 0x7f) & (*byte != b'"') & (*byte != b'\\');
        if text.iter().fold(true, is_plain) {
            self.word("\"");
            self.0.extend_from_slice(text);
            self.word("\"");
        } else {
            // Text has a form in JSON, and memory takes everything.
            let _ = serde_json::to_writer(&mut *self.0, &String::from_utf8_lossy(text));
        }
    }

    /// The same, where there is any.
    pub fn any_text(&mut self, text: Option<&[u8]>) {
        match text {
            Some(text) => self.text(text),
            None => self.word("null"),
        }
    }

    /// A time of day, where there is one.
    pub fn time(&mut self, at: Option<Mono>, calendar: Calendar, seconds: &mut Seconds) {
        match at.and_then(|at| calendar.time(at)) {
            Some(time) => time.with_quoted(seconds, |text| self.bytes(text)),
            None => self.word("null"),
        }
    }

    /// An address, without quotes.
    pub fn addr(&mut self, addr: IpAddr) {
        match addr {
            IpAddr::V4(addr) => {
                let mut text = *b"255.255.255.255.";
                let mut length = 0;
                for octet in addr.octets() {
                    length += dotted(octet, &mut text[length..]);
                }
                // To copy all of it and to cut it off takes no call, since the compiler knows the length.
                let end = self.0.len() + length - 1;
                self.bytes(&text);
                self.0.truncate(end);
            }
            IpAddr::V6(addr) => {
                // Memory takes everything.
                let _ = write!(self.0, "{addr}");
            }
        }
    }

    /// An endpoint.
    pub fn endpoint(&mut self, endpoint: Endpoint) {
        self.word(r#"{"addr":""#);
        self.addr(endpoint.addr);
        self.word(r#"","port":"#);
        self.any_number(endpoint.port.map(NonZero::get));
        self.word("}");
    }

    /// What a connection had counted, each with its name.
    pub fn counters(&mut self, counters: Option<&Counters>) {
        let Some(counters) = counters else { return self.word(UNCOUNTED) };
        self.word(r#","bytes_sent":"#);
        self.number(counters.bytes_sent);
        self.word(r#","bytes_received":"#);
        self.number(counters.bytes_received);
        self.word(r#","segs_out":"#);
        self.number(counters.segs_out);
        self.word(r#","segs_in":"#);
        self.number(counters.segs_in);
        self.word(r#","retransmits":"#);
        self.number(counters.retransmits);
        self.word(r#","srtt_us":"#);
        self.any_number(counters.srtt_us);
    }

    /// Why a socket moved on, where that is known.
    pub fn cause(&mut self, cause: Option<Cause>) {
        let Some(cause) = cause else { return self.word("null") };
        self.word(r#"{"kind":""#);
        self.word(cause.kind().name());
        self.word(r#"","detail":"#);
        self.text(cause.detail().as_bytes());
        self.word(r#","errno":"#);
        self.any_text(cause.errno().map(Errno::name).as_deref().map(str::as_bytes));
        self.word("}");
    }
}

/// Writes a number and a dot to the beginning of `text`, which has room for four. Returns how long that is.
fn dotted(octet: u8, text: &mut [u8]) -> usize {
    text[..4].copy_from_slice(&DOTTED[usize::from(octet)]);
    2 + usize::from(octet >= 10) + usize::from(octet >= 100)
}

/// Every octet with its dot.
const DOTTED: [[u8; 4]; 256] = {
    let mut dotted = [[b'.'; 4]; 256];
    let mut octet = 0;
    while octet < dotted.len() {
        let digits = [(octet / 100) as u8, (octet / 10 % 10) as u8, (octet % 10) as u8];
        let mut place = if octet < 10 { 2 } else { (octet < 100) as usize };
        let mut length = 0;
        while place < digits.len() {
            dotted[octet][length] = b'0' + digits[place];
            place += 1;
            length += 1;
        }
        octet += 1;
    }
    dotted
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_octet() {
        for octet in 0..=255 {
            let mut text = [0; 4];
            let length = dotted(octet, &mut text);
            assert_eq!(text[..length], *format!("{octet}.").as_bytes());
        }
    }
}
