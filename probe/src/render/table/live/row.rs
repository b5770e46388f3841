//! What is shown of a transition, of an RST that was sent, and of what stayed after CLOSE.

use std::borrow::Cow;

use super::{
    super::{super::style::Tone, words},
    column::Column,
    line::{Cell, Row},
};
use crate::model::{
    Cause, CauseKind, Cgroup, Endpoint, Endpoints, Owner, Protocol, Remains, Reset, SocketId, State,
    Transition,
};

/// In a column of causes that is narrower than this, segments are not said to be received.
const ROOM_FOR_RECEIVED: usize = 19;

/// The digits of a container's id that people use.
const SHORT_ID: usize = 12;

impl Row for Transition {
    fn cell(&self, column: Column, room: usize) -> Cell {
        match column {
            Column::Socket => socket(self.socket),
            Column::Remote | Column::Ends => ends(column, self.ends, self.protocol),
            Column::New => Cell::new(Tone::Plain, self.new.name()),
            Column::Edge => Cell::new(Tone::Plain, format!("{:11} → {}", self.old, self.new)),
            Column::Cause => cause(self.cause.as_ref(), room),
            Column::Owner => owner(&self.owner),
            Column::Since => match self.since {
                Some(since) => Cell::new(Tone::Faint, words::lasted(since)),
                None => unknown(),
            },
            Column::Cpu => Cell::new(Tone::Faint, self.cpu.to_string()),
            other => place(other, &self.owner, self.netns),
        }
    }

    fn split(&self, column: Column) -> Option<[Cell; 2]> {
        split(column, self.ends, self.protocol, || cause(self.cause.as_ref(), usize::MAX))
    }
}

impl Row for Reset {
    fn cell(&self, column: Column, _room: usize) -> Cell {
        match column {
            Column::Socket => socket(self.socket),
            Column::Remote | Column::Ends => ends(column, self.ends, Protocol::Tcp),
            Column::New | Column::Edge => Cell::new(Tone::Faint, self.state.name()),
            Column::Cause | Column::Closed => sent(self),
            Column::Owner => owner(&self.owner),
            Column::Cpu => Cell::new(Tone::Faint, self.cpu.to_string()),
            other => place(other, &self.owner, self.netns),
        }
    }

    fn split(&self, column: Column) -> Option<[Cell; 2]> {
        split(column, self.ends, Protocol::Tcp, || sent(self))
    }
}

fn sent(reset: &Reset) -> Cell {
    let reason = reset.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    Cell::new(Tone::Remarkable, format!("RST sent{reason}"))
}

/// What stayed, and for how long, as the lines show times.
pub struct Stayed<'a> {
    pub remains: &'a Remains,
    pub until: Option<String>,
}

impl Stayed<'_> {
    fn state(&self) -> Cell {
        Cell::new(Tone::Faint, self.remains.state.map_or("–", State::name))
    }

    fn told(&self) -> Cell {
        let text: Cow<'_, str> = match (self.remains.state, &self.until) {
            (None, _) => "nothing stayed".into(),
            (Some(_), Some(until)) => until.as_str().into(),
            (Some(_), None) => "stayed".into(),
        };
        Cell::new(Tone::Faint, text)
    }
}

impl Row for Stayed<'_> {
    fn cell(&self, column: Column, _room: usize) -> Cell {
        match column {
            Column::Socket => socket(self.remains.socket),
            Column::Remote | Column::Ends => ends(column, self.remains.ends, Protocol::Tcp),
            Column::New | Column::Edge => self.state(),
            Column::Cause => self.told(),
            Column::Closed => match self.remains.state {
                Some(state) => Cell::new(Tone::Faint, format!("{state} {}", self.told().text)),
                None => self.told(),
            },
            Column::Owner => owner(&self.remains.owner),
            other => place(other, &self.remains.owner, self.remains.netns),
        }
    }

    fn split(&self, column: Column) -> Option<[Cell; 2]> {
        split(column, self.remains.ends, Protocol::Tcp, || self.cell(Column::Closed, usize::MAX))
    }
}

pub fn socket(socket: SocketId) -> Cell {
    Cell::new(Tone::Faint, words::socket(socket))
}

pub fn owner(owner: &Owner) -> Cell {
    let (tone, text) = words::owner(owner);
    Cell::new(tone, text)
}

pub fn unknown() -> Cell {
    Cell::new(Tone::Faint, "–")
}

/// Why it happened. Where there is little room, a segment is named and no more: all are received.
pub fn cause(cause: Option<&Cause>, room: usize) -> Cell {
    let (tone, mut text) = words::cause(cause);
    let is_tight = room < ROOM_FOR_RECEIVED || room < text.len();
    if is_tight && cause.is_some_and(|cause| cause.kind == CauseKind::Segment) {
        text = text.replacen(" received", "", 1);
    }
    Cell::new(tone, text)
}

/// Both ends, as the column has them; MPTCP's own sockets are marked.
pub fn ends(column: Column, ends: Endpoints, protocol: Protocol) -> Cell {
    let text = match column {
        _ if words::is_alone(ends) => ends.local.to_string(),
        Column::Remote => format!("{} → {}", port(ends.local), ends.remote),
        _ => words::ends(ends),
    };
    Cell::new(Tone::Plain, format!("{}{text}", mark(protocol)))
}

/// An end without its address.
fn port(end: Endpoint) -> String {
    end.port.map_or_else(|| ":*".to_owned(), |port| format!(":{port}"))
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
    cause: impl FnOnce() -> Cell,
) -> Option<[Cell; 2]> {
    let plain = |text: String| Cell::new(Tone::Plain, text);
    match column {
        Column::Remote | Column::Ends if words::is_alone(ends) => None,
        Column::Remote | Column::Ends => {
            let local = if column == Column::Remote { port(ends.local) } else { ends.local.to_string() };
            Some([plain(format!("{}{local}", mark(protocol))), plain(format!("→ {}", ends.remote))])
        }
        Column::Cause | Column::Closed => {
            let Cell { tone, text } = cause();
            Some([Cell { tone, text: "…".to_owned() }, Cell { tone, text: format!("… {text}") }])
        }
        _ => None,
    }
}

/// Where the owner is at home.
pub fn place(column: Column, owner: &Owner, netns: Option<u32>) -> Cell {
    let text = match column {
        Column::Uid => owner.task.as_ref().map(|task| task.uid.to_string()),
        Column::Netns => netns.map(|netns| netns.to_string()),
        Column::Cgroup => owner.cgroup.as_ref().and_then(group),
        _ => return Cell::empty(),
    };
    text.map_or_else(unknown, |text| Cell::new(Tone::Faint, text))
}

/// A container's short id, else the last part of the group's path.
fn group(cgroup: &Cgroup) -> Option<String> {
    if let Some(id) = cgroup.container() {
        return id.get(..SHORT_ID).map(str::to_owned);
    }
    let path = cgroup.path.as_ref()?.to_text();
    let last = path.rsplit('/').find(|part| !part.is_empty());
    Some(last.unwrap_or("/").to_owned())
}
