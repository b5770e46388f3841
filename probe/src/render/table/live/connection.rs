//! What is shown of a connection that ended.

use std::time::Duration;

use super::{
    super::{super::style::Tone, words},
    column::Column,
    line::{Cell, Row},
    row,
};
use crate::model::{Connection, Counters, Open};

impl Row for Connection {
    fn cell(&self, column: Column, room: usize) -> Cell {
        match column {
            Column::Socket => row::socket(self.socket),
            Column::Remote | Column::Ends => row::ends(column, self.ends, self.protocol),
            Column::Owner => row::owner(&self.owner),
            Column::Opened => opened(self.open),
            Column::Closed => cause(self, room),
            Column::Duration => duration(self),
            Column::Handshake => handshake(self),
            Column::Sent => counted(self, |counters| Some(words::bytes(counters.bytes_sent))),
            Column::Received => counted(self, |counters| Some(words::bytes(counters.bytes_received))),
            Column::Segments => {
                counted(self, |counters| Some(format!("{}/{}", counters.segs_out, counters.segs_in)))
            }
            Column::Retransmits => retransmits(self),
            Column::Rtt => counted(self, rtt),
            other => row::place(other, &self.owner, self.netns),
        }
    }

    fn split(&self, column: Column) -> Option<[Cell; 2]> {
        row::split(column, self.ends, self.protocol, || cause(self, usize::MAX))
    }
}

fn counted(connection: &Connection, show: impl FnOnce(Counters) -> Option<String>) -> Cell {
    match connection.counters.and_then(show) {
        Some(text) => Cell::new(Tone::Plain, text),
        None => row::unknown(),
    }
}

/// From the first transition to the last, with a mark where that is not all of it.
fn duration(connection: &Connection) -> Cell {
    let closed = connection.close.as_ref().map(|close| close.at);
    let known = connection.opened.zip(closed).map(|(opened, closed)| words::lasted(closed.since(opened)));
    match (known, connection.complete) {
        (Some(duration), true) => Cell::new(Tone::Plain, duration),
        (Some(duration), false) => Cell::new(Tone::Remarkable, format!("~{duration}")),
        (None, true) => row::unknown(),
        (None, false) => Cell::new(Tone::Remarkable, "~"),
    }
}

fn handshake(connection: &Connection) -> Cell {
    match connection.opened.zip(connection.established) {
        Some((opened, established)) => Cell::new(Tone::Plain, words::lasted(established.since(opened))),
        None => row::unknown(),
    }
}

fn retransmits(connection: &Connection) -> Cell {
    let Cell { tone, text } = counted(connection, |counters| Some(counters.retransmits.to_string()));
    let some = connection.counters.is_some_and(|counters| counters.retransmits > 0);
    Cell { tone: if some { Tone::Timer } else { tone }, text }
}

fn rtt(counters: Counters) -> Option<String> {
    Some(words::lasted(Duration::from_micros(counters.srtt_us?.into())))
}

fn opened(open: Open) -> Cell {
    let tone = match open {
        Open::Active | Open::Passive => Tone::Plain,
        Open::Simultaneous | Open::SelfConnect => Tone::Remarkable,
        Open::Preexisting => Tone::Faint,
    };
    Cell::new(tone, open.name())
}

fn cause(connection: &Connection, room: usize) -> Cell {
    row::cause(connection.close.as_ref().and_then(|close| close.cause.as_ref()), room)
}
