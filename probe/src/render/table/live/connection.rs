//! The line of a connection that ended.

use std::time::Duration;

use super::{
    super::{
        super::style::Role,
        cell_writer::{Cell, CellWriter},
    },
    column::Column,
    row::{self, Row},
};
use crate::model::{Cause, ClosedBy, Connection, Counters, Open};

impl Row for Connection {
    fn cell(&self, column: Column, width: usize, cell: &mut CellWriter) -> Role {
        match column {
            Column::Socket => row::socket(self.socket, cell),
            Column::Remote | Column::Endpoints => {
                row::endpoints(column, self.identity.endpoints, self.identity.protocol, cell)
            }
            Column::Owner => row::owner(&self.owner, cell),
            Column::Opened => opened(self.open, cell),
            Column::Closed => closed(self, width, cell),
            Column::Duration => duration(self, cell),
            Column::Handshake => handshake(self, cell),
            Column::Sent => counter(self, cell, |counters, cell| cell.bytes(counters.bytes_sent)),
            Column::Received => counter(self, cell, |counters, cell| cell.bytes(counters.bytes_received)),
            Column::Segments => counter(self, cell, segments),
            Column::Retransmits => retransmits(self, cell),
            Column::Rtt => rtt(self, cell),
            other => row::environment(other, &self.owner, self.identity.netns, cell),
        }
    }

    fn split(&self, column: Column, cell: &mut CellWriter) -> Option<[Cell; 2]> {
        row::split(column, self.identity.endpoints, self.identity.protocol, cell, |cell| {
            closed(self, usize::MAX, cell)
        })
    }
}

fn counter(
    connection: &Connection,
    cell: &mut CellWriter,
    write: impl FnOnce(Counters, &mut CellWriter),
) -> Role {
    let Some(counters) = connection.counters else { return row::unknown(cell) };
    write(counters, cell);
    Role::Plain
}

fn segments(counters: Counters, cell: &mut CellWriter) {
    cell.number(counters.segs_out);
    cell.escaped("/");
    cell.number(counters.segs_in);
}

/// Writes the time from the first transition to the last, marked if the connection is incomplete.
fn duration(connection: &Connection, cell: &mut CellWriter) -> Role {
    let closed = connection.close.as_ref().map(|close| close.at);
    let duration = connection.opened.zip(closed).map(|(opened, closed)| closed.since(opened));
    if !connection.complete {
        cell.escaped("~");
    }
    if let Some(duration) = duration {
        cell.duration(duration);
    }
    match (duration, connection.complete) {
        (_, false) => Role::Warning,
        (Some(_), true) => Role::Plain,
        (None, true) => row::unknown(cell),
    }
}

fn handshake(connection: &Connection, cell: &mut CellWriter) -> Role {
    let Some((opened, established)) = connection.opened.zip(connection.established) else {
        return row::unknown(cell);
    };
    cell.duration(established.since(opened));
    Role::Plain
}

fn retransmits(connection: &Connection, cell: &mut CellWriter) -> Role {
    let role = counter(connection, cell, |counters, cell| cell.number(counters.retransmits));
    let any = connection.counters.is_some_and(|counters| counters.retransmits > 0);
    if any { Role::Timer } else { role }
}

fn rtt(connection: &Connection, cell: &mut CellWriter) -> Role {
    let Some(srtt) = connection.counters.and_then(|counters| counters.srtt_us) else {
        return row::unknown(cell);
    };
    cell.duration(Duration::from_micros(srtt.into()));
    Role::Plain
}

fn opened(open: Open, cell: &mut CellWriter) -> Role {
    let role = match open {
        Open::Active | Open::Passive => Role::Plain,
        Open::Simultaneous | Open::SelfConnect => Role::Warning,
        Open::Preexisting => Role::Dim,
    };
    row::text(role, open.name(), cell)
}

/// Writes which side closed the connection, with the socket error that resulted; the cause where that says more.
fn closed(connection: &Connection, width: usize, cell: &mut CellWriter) -> Role {
    let cause = connection.close.as_ref().and_then(|close| close.cause);
    let text = match connection.closed_by() {
        Some(ClosedBy::Local) => "closed by us",
        Some(ClosedBy::Remote) => "closed by peer",
        Some(ClosedBy::Both) => "closed by both",
        Some(ClosedBy::ResetLocal) => "RST sent",
        Some(ClosedBy::ResetRemote) => "RST received",
        Some(ClosedBy::Timeout) => "timeout",
        // It is unknown who sent the first FIN, and the cause of the last transition would be misread as that.
        None if matches!(cause, Some(Cause::FinReceived | Cause::AckOfFinReceived)) => {
            return row::unknown(cell);
        }
        Some(ClosedBy::Kernel) | None => return row::cause(cause, width, cell),
    };
    cell.escaped(text);
    let errno = cause.and_then(Cause::errno);
    if let Some(errno) = errno {
        cell.ascii(&format!(" ({errno})"));
    }
    match connection.closed_by() {
        _ if errno.is_some() => Role::Error,
        Some(ClosedBy::ResetLocal | ClosedBy::ResetRemote) => Role::Warning,
        Some(ClosedBy::Timeout) => Role::Timer,
        Some(ClosedBy::Remote | ClosedBy::Both) => Role::Segment,
        _ => Role::Plain,
    }
}
