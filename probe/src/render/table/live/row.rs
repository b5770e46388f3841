//! What a line shows, and the cells that several kinds of lines have in common.

use super::{
    super::{
        super::style::Role,
        cell_writer::{Cell, CellWriter},
        format,
    },
    column::Column,
};
use crate::model::{Cause, CauseKind, Cgroup, Endpoints, Owner, Protocol, SocketId};

/// The content of a line.
pub trait Row {
    /// Writes the cell of a column that is `width` wide, and returns its role. It may be wider.
    fn cell(&self, column: Column, width: usize, cell: &mut CellWriter) -> Role;

    /// Splits a cell that is too wide: the first part stays in its column, the second goes below the line. `None` if the cell
    /// cannot be split.
    fn split(&self, column: Column, cell: &mut CellWriter) -> Option<[Cell; 2]>;
}

/// In a narrower column, `SYN received` becomes `SYN`.
const FULL_CAUSE_WIDTH: usize = 19;

/// The end of a segment's cause, where there is room.
const RECEIVED: &str = " received";

/// The length of a short container id.
const SHORT_ID: usize = 12;

/// Writes escaped text.
pub fn text(role: Role, text: &str, cell: &mut CellWriter) -> Role {
    cell.escaped(text);
    role
}

pub fn number(number: impl itoa::Integer, cell: &mut CellWriter) -> Role {
    cell.number(number);
    Role::Dim
}

pub fn unknown(cell: &mut CellWriter) -> Role {
    text(Role::Dim, "–", cell)
}

pub fn socket(socket: SocketId, cell: &mut CellWriter) -> Role {
    if socket.number >> 48 == 0 && socket.generation <= 1 {
        return number(socket.number, cell);
    }
    text(Role::Dim, &format::socket(socket), cell)
}

pub fn owner(owner: &Owner, cell: &mut CellWriter) -> Role {
    let (role, mark) = format::owner_mark(owner.known);
    match &owner.task {
        Some(task) => {
            cell.unescaped(&task.comm.to_text());
            cell.ascii("[");
            cell.number(task.pid);
            cell.ascii("]");
        }
        None => cell.ascii("unknown"),
    }
    cell.ascii(mark);
    role
}

/// Writes a cause. In a narrow column, a segment has no "received": a cause is never a segment that was sent.
pub fn cause(cause: Option<Cause>, width: usize, cell: &mut CellWriter) -> Role {
    let Some(cause) = cause else { return unknown(cell) };
    let errno = cause.errno().map(|errno| format!(" ({errno})")).unwrap_or_default();
    let is_narrow = width < FULL_CAUSE_WIDTH || width < cause.detail().len() + errno.len();
    let is_shortened = is_narrow && cause.kind() == CauseKind::Segment;
    match is_shortened.then(|| cause.detail().split_once(RECEIVED)).flatten() {
        Some((before, after)) => {
            cell.unescaped(before);
            cell.unescaped(after);
        }
        None => cell.unescaped(cause.detail()),
    }
    cell.ascii(&errno);
    format::cause_role(cause)
}

/// Writes both endpoints as the column shows them, marked if the socket is MPTCP's own.
pub fn endpoints(column: Column, endpoints: Endpoints, protocol: Protocol, cell: &mut CellWriter) -> Role {
    cell.ascii(protocol_mark(protocol));
    if format::has_no_peer(endpoints) {
        cell.endpoint(endpoints.local);
        return Role::Plain;
    }
    local(column, endpoints, cell);
    cell.escaped(" → ");
    cell.endpoint(endpoints.remote);
    Role::Plain
}

/// Writes the local endpoint, or its port if the column does not show the local address.
fn local(column: Column, endpoints: Endpoints, cell: &mut CellWriter) {
    match column {
        Column::Remote => cell.port(endpoints.local),
        _ => cell.endpoint(endpoints.local),
    }
}

fn protocol_mark(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "",
        Protocol::Mptcp => "mptcp ",
    }
}

/// Splits endpoints before the remote one; moves a cause, which `cause` writes, below the line as a whole.
pub fn split(
    column: Column,
    endpoints: Endpoints,
    protocol: Protocol,
    cell: &mut CellWriter,
    cause: impl FnOnce(&mut CellWriter) -> Role,
) -> Option<[Cell; 2]> {
    match column {
        Column::Remote | Column::Endpoints if format::has_no_peer(endpoints) => None,
        Column::Remote | Column::Endpoints => {
            cell.ascii(protocol_mark(protocol));
            local(column, endpoints, cell);
            let first = cell.finish(Role::Plain);
            cell.escaped("→ ");
            cell.endpoint(endpoints.remote);
            Some([first, cell.finish(Role::Plain)])
        }
        Column::Cause | Column::Closed => {
            cell.escaped("… ");
            let role = cause(cell);
            let second = cell.finish(role);
            cell.escaped("…");
            Some([cell.finish(role), second])
        }
        _ => None,
    }
}

fn number_or_unknown(value: Option<u32>, cell: &mut CellWriter) -> Role {
    match value {
        Some(value) => number(value, cell),
        None => unknown(cell),
    }
}

/// Writes the columns that describe where the owner runs; any other column stays empty.
pub fn environment(column: Column, owner: &Owner, netns: Option<u32>, cell: &mut CellWriter) -> Role {
    match column {
        Column::Uid => number_or_unknown(owner.task.as_ref().map(|task| task.uid), cell),
        Column::Netns => number_or_unknown(netns, cell),
        Column::Cgroup => match &owner.cgroup {
            Some(group) => cgroup(group, cell),
            None => unknown(cell),
        },
        _ => Role::Plain,
    }
}

/// Writes the short id of the container, or else the last component of the cgroup's path.
fn cgroup(cgroup: &Cgroup, cell: &mut CellWriter) -> Role {
    if let Some(id) = cgroup.container().and_then(|id| id.get(..SHORT_ID)) {
        return text(Role::Dim, id, cell);
    }
    let Some(path) = &cgroup.path else { return unknown(cell) };
    let path = path.to_text();
    cell.unescaped(path.rsplit('/').find(|component| !component.is_empty()).unwrap_or("/"));
    Role::Dim
}
