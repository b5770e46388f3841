//! What is shown of a connection that ended.

use std::time::Duration;

use super::{
    super::{
        super::style::Tone,
        pen::{Cell, Pen},
    },
    column::Column,
    line::Row,
    row,
};
use crate::model::{Connection, Counters, Open};

impl Row for Connection {
    fn cell(&self, column: Column, room: usize, pen: &mut Pen) -> Tone {
        match column {
            Column::Socket => row::socket(self.socket, pen),
            Column::Remote | Column::Ends => row::ends(column, self.ends, self.protocol, pen),
            Column::Owner => row::owner(&self.owner, pen),
            Column::Opened => opened(self.open, pen),
            Column::Closed => cause(self, room, pen),
            Column::Duration => duration(self, pen),
            Column::Handshake => handshake(self, pen),
            Column::Sent => counted(self, pen, |counters, pen| pen.bytes(counters.bytes_sent)),
            Column::Received => counted(self, pen, |counters, pen| pen.bytes(counters.bytes_received)),
            Column::Segments => counted(self, pen, segments),
            Column::Retransmits => retransmits(self, pen),
            Column::Rtt => rtt(self, pen),
            other => row::place(other, &self.owner, self.netns, pen),
        }
    }

    fn split(&self, column: Column, pen: &mut Pen) -> Option<[Cell; 2]> {
        row::split(column, self.ends, self.protocol, pen, |pen| cause(self, usize::MAX, pen))
    }
}

fn counted(connection: &Connection, pen: &mut Pen, show: impl FnOnce(Counters, &mut Pen)) -> Tone {
    let Some(counters) = connection.counters else { return row::unknown(pen) };
    show(counters, pen);
    Tone::Plain
}

fn segments(counters: Counters, pen: &mut Pen) {
    pen.number(counters.segs_out);
    pen.word("/");
    pen.number(counters.segs_in);
}

/// From the first transition to the last, with a mark where that is not all of it.
fn duration(connection: &Connection, pen: &mut Pen) -> Tone {
    let closed = connection.close.as_ref().map(|close| close.at);
    let known = connection.opened.zip(closed).map(|(opened, closed)| closed.since(opened));
    if !connection.complete {
        pen.word("~");
    }
    if let Some(duration) = known {
        pen.lasted(duration);
    }
    match (known, connection.complete) {
        (_, false) => Tone::Remarkable,
        (Some(_), true) => Tone::Plain,
        (None, true) => row::unknown(pen),
    }
}

fn handshake(connection: &Connection, pen: &mut Pen) -> Tone {
    let Some((opened, established)) = connection.opened.zip(connection.established) else {
        return row::unknown(pen);
    };
    pen.lasted(established.since(opened));
    Tone::Plain
}

fn retransmits(connection: &Connection, pen: &mut Pen) -> Tone {
    let tone = counted(connection, pen, |counters, pen| pen.number(counters.retransmits));
    let some = connection.counters.is_some_and(|counters| counters.retransmits > 0);
    if some { Tone::Timer } else { tone }
}

fn rtt(connection: &Connection, pen: &mut Pen) -> Tone {
    let Some(srtt) = connection.counters.and_then(|counters| counters.srtt_us) else {
        return row::unknown(pen);
    };
    pen.lasted(Duration::from_micros(srtt.into()));
    Tone::Plain
}

fn opened(open: Open, pen: &mut Pen) -> Tone {
    let tone = match open {
        Open::Active | Open::Passive => Tone::Plain,
        Open::Simultaneous | Open::SelfConnect => Tone::Remarkable,
        Open::Preexisting => Tone::Faint,
    };
    row::word(tone, open.name(), pen)
}

fn cause(connection: &Connection, room: usize, pen: &mut Pen) -> Tone {
    row::cause(connection.close.as_ref().and_then(|close| close.cause), room, pen)
}
