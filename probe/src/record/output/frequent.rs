//! The two lines of which a busy host has hundreds of thousands a second, written without serde: byte for byte what
//! [`TransitionObject`](super::life::TransitionObject) and [`ConnectionObject`](super::life::ConnectionObject) come to.
//!
//! To write them was most of the reader's work. What serde_json spends most of its time on is not needed here: to
//! search every field's name for characters to escape, and to hand on a line in a hundred pieces. And since most lines
//! have the owner of one of the lines before, what was written of that is kept. The tests hold both ways against each
//! other.

#[cfg(test)]
mod tests;

use std::{io::Write as _, net::IpAddr, num::NonZero};

use super::value::{Calendar, generation};
use crate::{
    model::{
        Cause, Cgroup, Connection, Counters, Endpoint, Endpoints, Errno, Family, Mono, Owner, Protocol,
        SocketId, Transition,
    },
    record::nanoseconds,
};

/// More than either line is long, where nobody chose long names.
const USUAL: usize = 1 << 11;

/// What is kept between lines.
#[derive(Debug, Default)]
pub struct Kept {
    /// Owners as they were written last, by their process ids modulo the length.
    owners: [Option<(Owner, Vec<u8>)>; 8],
}

/// Appends the line of a transition.
pub fn transition(transition: &Transition, calendar: Calendar, kept: &mut Kept, out: &mut Vec<u8>) {
    let mut line = Line::begin(out, calendar);
    line.word(r#"{"type":"transition","v":1,"time":"#);
    line.time(Some(transition.at));
    line.word(r#","mono_ns":"#);
    line.number(transition.at.0);
    line.word(r#","seq":"#);
    line.number(transition.seq);
    line.socket(transition.socket, transition.netns, transition.protocol, transition.family, transition.ends);
    line.word(r#","old":""#);
    line.word(transition.old.name());
    line.word(r#"","new":""#);
    line.word(transition.new.name());
    line.word(r#"","cause":"#);
    line.cause(transition.cause.as_ref());
    line.word(r#","owner":"#);
    line.owner(&transition.owner, kept);
    line.word(r#","cpu":"#);
    line.number(transition.cpu);
    line.word(r#","since_ns":"#);
    line.any_number(transition.since.map(nanoseconds));
    line.word("}\n");
}

/// Appends the line of a connection.
pub fn connection(connection: &Connection, calendar: Calendar, kept: &mut Kept, out: &mut Vec<u8>) {
    let mut line = Line::begin(out, calendar);
    line.word(r#"{"type":"connection","v":1"#);
    line.socket(connection.socket, connection.netns, connection.protocol, connection.family, connection.ends);
    line.word(r#","open":""#);
    line.word(connection.open.name());
    line.word(r#"","close":"#);
    line.cause(connection.close.as_ref().and_then(|close| close.cause.as_ref()));
    line.word(r#","opened":"#);
    line.time(connection.opened);
    line.word(r#","established":"#);
    line.time(connection.established);
    line.word(r#","closed":"#);
    let closed = connection.close.as_ref().map(|close| close.at);
    line.time(closed);
    line.word(r#","path":["#);
    for (place, state) in connection.path.iter().enumerate() {
        line.word(if place == 0 { "\"" } else { ",\"" });
        line.word(state.name());
        line.word("\"");
    }
    let between = |from: Option<Mono>, to: Option<Mono>| Some(nanoseconds(to?.since(from?)));
    line.word(r#"],"duration_ns":"#);
    line.any_number(between(connection.opened, closed));
    line.word(r#","handshake_ns":"#);
    line.any_number(between(connection.opened, connection.established));
    line.counters(connection.counters);
    line.word(r#","owner":"#);
    line.owner(&connection.owner, kept);
    line.word(r#","complete":"#);
    line.word(if connection.complete { "true}\n" } else { "false}\n" });
}

/// A line that is being written.
struct Line<'a> {
    out: &'a mut Vec<u8>,
    calendar: Calendar,
}

impl<'a> Line<'a> {
    fn begin(out: &'a mut Vec<u8>, calendar: Calendar) -> Self {
        out.reserve(USUAL);
        Self { out, calendar }
    }

    /// What is written as it is.
    #[inline]
    fn word(&mut self, word: &str) {
        self.out.extend_from_slice(word.as_bytes());
    }

    #[inline]
    fn number(&mut self, number: impl itoa::Integer) {
        self.word(itoa::Buffer::new().format(number));
    }

    #[inline]
    fn any_number(&mut self, number: Option<impl itoa::Integer>) {
        match number {
            Some(number) => self.number(number),
            None => self.word("null"),
        }
    }

    /// A 64-bit identity.
    fn decimal(&mut self, number: u64) {
        self.word("\"");
        self.number(number);
        self.word("\"");
    }

    /// What anybody may have chosen.
    fn text(&mut self, text: &[u8]) {
        // Every byte is looked at, which the compiler makes sixteen at a time of.
        let is_plain =
            |plain, byte: &u8| plain & (*byte >= b' ') & (*byte < 0x7f) & (*byte != b'"') & (*byte != b'\\');
        if text.iter().fold(true, is_plain) {
            self.word("\"");
            self.out.extend_from_slice(text);
            self.word("\"");
        } else {
            // Text has a form in JSON, and memory takes everything.
            let _ = serde_json::to_writer(&mut *self.out, &String::from_utf8_lossy(text));
        }
    }

    fn any_text(&mut self, text: Option<&[u8]>) {
        match text {
            Some(text) => self.text(text),
            None => self.word("null"),
        }
    }

    fn time(&mut self, at: Option<Mono>) {
        match at.and_then(|at| self.calendar.time(at)) {
            Some(time) => time.with_text(|text| {
                self.word("\"");
                self.out.extend_from_slice(text);
                self.word("\"");
            }),
            None => self.word("null"),
        }
    }

    /// The fields that tell which socket it is.
    fn socket(
        &mut self,
        socket: SocketId,
        netns: Option<u32>,
        protocol: Protocol,
        family: Family,
        ends: Endpoints,
    ) {
        self.word(r#","socket":"#);
        self.decimal(socket.number);
        self.word(r#","generation":"#);
        self.any_number(generation(socket).map(NonZero::get));
        self.word(r#","netns":"#);
        self.any_number(netns);
        self.word(r#","protocol":""#);
        self.word(protocol.name());
        self.word(r#"","family":""#);
        self.word(family.name());
        self.word(r#"","local":{"addr":""#);
        self.endpoint(ends.local);
        self.word(r#","remote":{"addr":""#);
        self.endpoint(ends.remote);
    }

    /// An endpoint from its address on.
    fn endpoint(&mut self, endpoint: Endpoint) {
        match endpoint.addr {
            IpAddr::V4(addr) => {
                let mut text = [0; "255.255.255.255.".len()];
                let mut length = 0;
                for octet in addr.octets() {
                    length += dotted(octet, &mut text[length..]);
                }
                self.out.extend_from_slice(&text[..length - 1]);
            }
            IpAddr::V6(addr) => {
                // Memory takes everything.
                let _ = write!(self.out, "{addr}");
            }
        }
        self.word(r#"","port":"#);
        self.any_number(endpoint.port.map(NonZero::get));
        self.word("}");
    }

    fn cause(&mut self, cause: Option<&Cause>) {
        let Some(cause) = cause else { return self.word("null") };
        self.word(r#"{"kind":""#);
        self.word(cause.kind.name());
        self.word(r#"","detail":"#);
        self.text(cause.detail.as_bytes());
        self.word(r#","errno":"#);
        self.any_text(cause.errno.map(Errno::name).as_deref().map(str::as_bytes));
        self.word("}");
    }

    fn counters(&mut self, counters: Option<Counters>) {
        self.word(r#","bytes_sent":"#);
        self.any_number(counters.map(|counters| counters.bytes_sent));
        self.word(r#","bytes_received":"#);
        self.any_number(counters.map(|counters| counters.bytes_received));
        self.word(r#","segs_out":"#);
        self.any_number(counters.map(|counters| counters.segs_out));
        self.word(r#","segs_in":"#);
        self.any_number(counters.map(|counters| counters.segs_in));
        self.word(r#","retransmits":"#);
        self.any_number(counters.map(|counters| counters.retransmits));
        self.word(r#","srtt_us":"#);
        self.any_number(counters.and_then(|counters| counters.srtt_us));
    }

    fn owner(&mut self, owner: &Owner, kept: &mut Kept) {
        let pid = owner.task.as_ref().map_or(0, |task| task.pid) as usize;
        let place = &mut kept.owners[pid % kept.owners.len()];
        if let Some((known, text)) = place
            && known == owner
        {
            self.out.extend_from_slice(text);
            return;
        }
        let begin = self.out.len();
        self.whole_owner(owner);
        let (known, text) = place.get_or_insert_with(|| (Owner::UNKNOWN, Vec::new()));
        known.clone_from(owner);
        text.clear();
        text.extend_from_slice(&self.out[begin..]);
    }

    fn whole_owner(&mut self, owner: &Owner) {
        let task = owner.task.as_ref();
        let cgroup = owner.cgroup.as_ref();
        self.word(r#"{"pid":"#);
        self.any_number(task.map(|task| task.pid));
        self.word(r#","comm":"#);
        self.any_text(task.map(|task| task.comm.as_bytes()));
        self.word(r#","uid":"#);
        self.any_number(task.map(|task| task.uid));
        self.word(r#","cgroup":"#);
        match cgroup {
            Some(cgroup) => self.decimal(cgroup.id),
            None => self.word("null"),
        }
        self.word(r#","cgroup_path":"#);
        self.any_text(cgroup.and_then(|cgroup| Some(cgroup.path.as_ref()?.as_bytes())));
        self.word(r#","container":"#);
        self.any_text(cgroup.and_then(Cgroup::container).map(str::as_bytes));
        self.word(r#","known":""#);
        self.word(owner.known.name());
        self.word("\"}");
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
