//! What is shown of a transition, of an RST that was sent, and of what stayed after CLOSE.

use super::{
    super::{
        super::style::Tone,
        pen::{Cell, Pen},
        words,
    },
    column::Column,
    line::Row,
};
use crate::model::{
    Cause, CauseKind, Cgroup, Endpoints, Owner, Protocol, Reset, SocketId, State, TimeWaitEntry, Transition,
};

/// In a column of causes that is narrower than this, segments are not said to be received.
const ROOM_FOR_RECEIVED: usize = 19;

/// What a segment's cause says where there is room.
const RECEIVED: &str = " received";

/// The longest name of a state that is shown on the left of an arrow.
const STATE: usize = 11;

/// The digits of a container's id that people use.
const SHORT_ID: usize = 12;

impl Row for Transition {
    fn cell(&self, column: Column, room: usize, pen: &mut Pen) -> Tone {
        match column {
            Column::Socket => socket(self.socket, pen),
            Column::Remote | Column::Ends => ends(column, self.ends, self.protocol, pen),
            Column::New => word(Tone::Plain, self.new.name(), pen),
            Column::Edge => edge(self, pen),
            Column::Cause => cause(self.cause, room, pen),
            Column::Owner => owner(&self.owner, pen),
            Column::Since => match self.state_duration {
                Some(duration) => {
                    pen.lasted(duration);
                    Tone::Faint
                }
                None => unknown(pen),
            },
            Column::Cpu => number(self.cpu, pen),
            other => place(other, &self.owner, self.netns, pen),
        }
    }

    fn split(&self, column: Column, pen: &mut Pen) -> Option<[Cell; 2]> {
        split(column, self.ends, self.protocol, pen, |pen| cause(self.cause, usize::MAX, pen))
    }
}

fn edge(transition: &Transition, pen: &mut Pen) -> Tone {
    let old = transition.old.name();
    pen.ascii(old);
    pen.blanks(STATE.saturating_sub(old.len()));
    pen.word(" → ");
    pen.ascii(transition.new.name());
    Tone::Plain
}

impl Row for Reset {
    fn cell(&self, column: Column, _room: usize, pen: &mut Pen) -> Tone {
        match column {
            Column::Socket => socket(self.socket, pen),
            Column::Remote | Column::Ends => ends(column, self.ends, Protocol::Tcp, pen),
            Column::New | Column::Edge => word(Tone::Faint, self.state.name(), pen),
            Column::Cause | Column::Closed => sent(self, pen),
            Column::Owner => owner(&self.owner, pen),
            Column::Cpu => number(self.cpu, pen),
            other => place(other, &self.owner, self.netns, pen),
        }
    }

    fn split(&self, column: Column, pen: &mut Pen) -> Option<[Cell; 2]> {
        split(column, self.ends, Protocol::Tcp, pen, |pen| sent(self, pen))
    }
}

fn sent(reset: &Reset, pen: &mut Pen) -> Tone {
    pen.word("RST sent");
    if let Some(reason) = &reset.reason {
        pen.foreign(&format!(" ({reason})"));
    }
    Tone::Remarkable
}

/// What stayed, and for how long, as the lines show times.
pub struct Stayed<'a> {
    pub remains: &'a TimeWaitEntry,
    pub until: Option<String>,
}

impl Stayed<'_> {
    fn told(&self) -> &str {
        match (self.remains.state, &self.until) {
            (None, _) => "nothing stayed",
            (Some(_), Some(until)) => until,
            (Some(_), None) => "stayed",
        }
    }

    fn closed(&self, pen: &mut Pen) -> Tone {
        if let Some(state) = self.remains.state {
            pen.word(state.name());
            pen.word(" ");
        }
        word(Tone::Faint, self.told(), pen)
    }
}

impl Row for Stayed<'_> {
    fn cell(&self, column: Column, _room: usize, pen: &mut Pen) -> Tone {
        match column {
            Column::Socket => socket(self.remains.socket, pen),
            Column::Remote | Column::Ends => ends(column, self.remains.ends, Protocol::Tcp, pen),
            Column::New | Column::Edge => word(Tone::Faint, self.remains.state.map_or("–", State::name), pen),
            Column::Cause => word(Tone::Faint, self.told(), pen),
            Column::Closed => self.closed(pen),
            Column::Owner => owner(&self.remains.owner, pen),
            other => place(other, &self.remains.owner, self.remains.netns, pen),
        }
    }

    fn split(&self, column: Column, pen: &mut Pen) -> Option<[Cell; 2]> {
        split(column, self.remains.ends, Protocol::Tcp, pen, |pen| self.closed(pen))
    }
}

/// Text that is safe.
pub fn word(tone: Tone, text: &str, pen: &mut Pen) -> Tone {
    pen.word(text);
    tone
}

pub fn number(number: impl itoa::Integer, pen: &mut Pen) -> Tone {
    pen.number(number);
    Tone::Faint
}

pub fn unknown(pen: &mut Pen) -> Tone {
    word(Tone::Faint, "–", pen)
}

pub fn socket(socket: SocketId, pen: &mut Pen) -> Tone {
    if socket.number >> 48 == 0 && socket.generation <= 1 {
        return number(socket.number, pen);
    }
    word(Tone::Faint, &words::socket(socket), pen)
}

pub fn owner(owner: &Owner, pen: &mut Pen) -> Tone {
    let (tone, mark) = words::mark(owner.known);
    match &owner.task {
        Some(task) => {
            pen.foreign(&task.comm.to_text());
            pen.ascii("[");
            pen.number(task.pid);
            pen.ascii("]");
        }
        None => pen.ascii("unknown"),
    }
    pen.ascii(mark);
    tone
}

/// Why it happened. Where there is little room, a segment is named and no more: all are received.
pub fn cause(cause: Option<Cause>, room: usize, pen: &mut Pen) -> Tone {
    let Some(cause) = cause else { return unknown(pen) };
    let errno = cause.errno().map(|errno| format!(" ({errno})")).unwrap_or_default();
    let is_tight = room < ROOM_FOR_RECEIVED || room < cause.detail().len() + errno.len();
    let is_shortened = is_tight && cause.kind() == CauseKind::Segment;
    match is_shortened.then(|| cause.detail().split_once(RECEIVED)).flatten() {
        Some((before, after)) => {
            pen.foreign(before);
            pen.foreign(after);
        }
        None => pen.foreign(cause.detail()),
    }
    pen.ascii(&errno);
    words::tone(cause)
}

/// Both ends, as the column has them; MPTCP's own sockets are marked.
pub fn ends(column: Column, ends: Endpoints, protocol: Protocol, pen: &mut Pen) -> Tone {
    pen.ascii(mark(protocol));
    if words::is_alone(ends) {
        pen.endpoint(ends.local);
        return Tone::Plain;
    }
    local(column, ends, pen);
    pen.word(" → ");
    pen.endpoint(ends.remote);
    Tone::Plain
}

/// This host's end: of one whose address has no column, the port.
fn local(column: Column, ends: Endpoints, pen: &mut Pen) {
    match column {
        Column::Remote => pen.port(ends.local),
        _ => pen.endpoint(ends.local),
    }
}

fn mark(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "",
        Protocol::Mptcp => "mptcp ",
    }
}

/// The remote end goes below the local one, and the cause below the line.
pub fn split(
    column: Column,
    ends: Endpoints,
    protocol: Protocol,
    pen: &mut Pen,
    cause: impl FnOnce(&mut Pen) -> Tone,
) -> Option<[Cell; 2]> {
    match column {
        Column::Remote | Column::Ends if words::is_alone(ends) => None,
        Column::Remote | Column::Ends => {
            pen.ascii(mark(protocol));
            local(column, ends, pen);
            let stays = pen.finish(Tone::Plain);
            pen.word("→ ");
            pen.endpoint(ends.remote);
            Some([stays, pen.finish(Tone::Plain)])
        }
        Column::Cause | Column::Closed => {
            pen.word("… ");
            let tone = cause(pen);
            let goes = pen.finish(tone);
            pen.word("…");
            Some([pen.finish(tone), goes])
        }
        _ => None,
    }
}

fn any_number(any: Option<u32>, pen: &mut Pen) -> Tone {
    match any {
        Some(any) => number(any, pen),
        None => unknown(pen),
    }
}

/// Where the owner is at home.
pub fn place(column: Column, owner: &Owner, netns: Option<u32>, pen: &mut Pen) -> Tone {
    match column {
        Column::Uid => any_number(owner.task.as_ref().map(|task| task.uid), pen),
        Column::Netns => any_number(netns, pen),
        Column::Cgroup => match &owner.cgroup {
            Some(cgroup) => group(cgroup, pen),
            None => unknown(pen),
        },
        _ => Tone::Plain,
    }
}

/// A container's short id, else the last part of the group's path.
fn group(cgroup: &Cgroup, pen: &mut Pen) -> Tone {
    if let Some(id) = cgroup.container().and_then(|id| id.get(..SHORT_ID)) {
        return word(Tone::Faint, id, pen);
    }
    let Some(path) = &cgroup.path else { return unknown(pen) };
    let path = path.to_text();
    pen.foreign(path.rsplit('/').find(|part| !part.is_empty()).unwrap_or("/"));
    Tone::Faint
}
