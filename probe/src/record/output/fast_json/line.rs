//! The writer of one line, with a method for each form of value.

use std::{io::Write as _, net::IpAddr, num::NonZero};

use crate::{
    model::{Cause, Counters, Endpoint, Errno},
    record::output::time::{SecondCache, Time},
};

/// More than the length of a line without unusually long names.
const TYPICAL_LENGTH: usize = 1 << 11;

/// The counters of a connection that has none.
const NO_COUNTERS: &str = concat!(
    r#","bytes_sent":null,"bytes_received":null,"segs_out":null,"#,
    r#""synacks":null,"segs_in":null,"retransmits":null,"srtt_us":null"#,
);

/// Appends one line to a buffer.
pub struct Line<'a>(&'a mut Vec<u8>);

impl<'a> Line<'a> {
    /// Starts a line at the end of `out`.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        out.reserve(TYPICAL_LENGTH);
        Self(out)
    }

    /// The length of the buffer.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// What was appended since the buffer had that length.
    pub fn since(&self, len: usize) -> &[u8] {
        &self.0[len..]
    }

    /// Appends bytes.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Appends JSON text.
    #[inline]
    pub fn raw(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Appends an integer.
    #[inline]
    pub fn integer(&mut self, number: impl itoa::Integer) {
        self.raw(itoa::Buffer::new().format(number));
    }

    /// Appends an integer or null.
    #[inline]
    pub fn integer_or_null(&mut self, number: Option<impl itoa::Integer>) {
        match number {
            Some(number) => self.integer(number),
            None => self.raw("null"),
        }
    }

    /// Appends a 64-bit identifier.
    pub fn decimal_string(&mut self, number: u64) {
        self.raw("\"");
        self.integer(number);
        self.raw("\"");
    }

    /// Appends untrusted text, escaped.
    pub fn string(&mut self, text: &[u8]) {
        // No early exit, so that the compiler vectorizes the loop.
        let is_plain =
            |plain, byte: &u8| plain & (*byte >= b' ') & (*byte < 0x7f) & (*byte != b'"') & (*byte != b'\\');
        if text.iter().fold(true, is_plain) {
            self.raw("\"");
            self.0.extend_from_slice(text);
            self.raw("\"");
        } else {
            // Cannot fail: every string has a JSON form, and a Vec accepts every write.
            let _ = serde_json::to_writer(&mut *self.0, &String::from_utf8_lossy(text));
        }
    }

    /// Appends untrusted text, or null.
    pub fn string_or_null(&mut self, text: Option<&[u8]>) {
        match text {
            Some(text) => self.string(text),
            None => self.raw("null"),
        }
    }

    /// Appends a time of day or null.
    #[inline]
    pub fn time(&mut self, time: Option<Time>, cache: &mut SecondCache) {
        match time {
            Some(time) => time.with_quoted(cache, |text| self.bytes(text)),
            None => self.raw("null"),
        }
    }

    /// Appends an address, without quotes.
    pub fn address(&mut self, addr: IpAddr) {
        match addr {
            IpAddr::V4(addr) => {
                let mut text = *b"255.255.255.255.";
                let mut length = 0;
                for octet in addr.octets() {
                    length += dotted(octet, &mut text[length..]);
                }
                // Copying a constant length and truncating compiles to no call.
                let end = self.0.len() + length - 1;
                self.bytes(&text);
                self.0.truncate(end);
            }
            IpAddr::V6(addr) => {
                // Cannot fail: a Vec accepts every write.
                let _ = write!(self.0, "{addr}");
            }
        }
    }

    /// Appends an endpoint.
    pub fn endpoint(&mut self, endpoint: Endpoint) {
        self.raw(r#"{"addr":""#);
        self.address(endpoint.addr);
        self.raw(r#"","port":"#);
        self.integer_or_null(endpoint.port.map(NonZero::get));
        self.raw("}");
    }

    /// Appends the counters of a connection with their names.
    pub fn counters(&mut self, counters: Option<&Counters>) {
        let Some(counters) = counters else { return self.raw(NO_COUNTERS) };
        self.raw(r#","bytes_sent":"#);
        self.integer(counters.bytes_sent);
        self.raw(r#","bytes_received":"#);
        self.integer(counters.bytes_received);
        self.raw(r#","segs_out":"#);
        self.integer(counters.segs_out);
        self.raw(r#","synacks":"#);
        self.integer_or_null(counters.synacks.map(NonZero::get));
        self.raw(r#","segs_in":"#);
        self.integer(counters.segs_in);
        self.raw(r#","retransmits":"#);
        self.integer(counters.retransmits);
        self.raw(r#","srtt_us":"#);
        self.integer_or_null(counters.srtt_us);
    }

    /// Appends a cause or null.
    pub fn cause(&mut self, cause: Option<Cause>) {
        let Some(cause) = cause else { return self.raw("null") };
        self.raw(r#"{"kind":""#);
        self.raw(cause.kind().name());
        self.raw(r#"","detail":"#);
        self.string(cause.detail().as_bytes());
        self.raw(r#","errno":"#);
        self.string_or_null(cause.errno().map(Errno::name).as_deref().map(str::as_bytes));
        self.raw("}");
    }
}

/// Writes an octet and a dot to the start of `text`, which has room for four bytes. Returns their length.
fn dotted(octet: u8, text: &mut [u8]) -> usize {
    text[..4].copy_from_slice(&DOTTED[usize::from(octet)]);
    2 + usize::from(octet >= 10) + usize::from(octet >= 100)
}

/// Every octet, followed by a dot.
const DOTTED: [[u8; 4]; 256] = {
    let mut dotted = [[b'.'; 4]; 256];
    let mut octet = 0;
    while octet < dotted.len() {
        let digits = [(octet / 100) as u8, (octet / 10 % 10) as u8, (octet % 10) as u8];
        let mut index = if octet < 10 { 2 } else { (octet < 100) as usize };
        let mut length = 0;
        while index < digits.len() {
            dotted[octet][length] = b'0' + digits[index];
            index += 1;
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
    fn every_octet_is_written_in_decimal() {
        for octet in 0..=255 {
            let mut text = [0; 4];
            let length = dotted(octet, &mut text);
            assert_eq!(text[..length], *format!("{octet}.").as_bytes());
        }
    }
}
