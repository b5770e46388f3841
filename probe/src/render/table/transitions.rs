//! The transitions of a scenario: in one table if it fits, otherwise in two, of which the first describes the sockets.

use std::{
    collections::{HashMap, hash_map::Entry},
    io::{self, Write},
};

use super::{
    super::style::{Role, Style},
    attempts::{Repeated, Row},
    format,
    text_table::{TextTable, paragraph},
};
use crate::model::{Mono, SocketId, SocketIdentity, Transition};

/// The usual width of all columns but the endpoints.
const OTHER_COLUMNS: usize = 34;

/// The labels that a scenario gives to its sockets.
pub type Labels = HashMap<SocketId, String>;

/// Writes the transitions, with times relative to `start`.
pub fn write(
    rows: &[Row<'_>],
    labels: &Labels,
    start: Mono,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let single = single_table(rows, labels, start, style);
    if single.natural_width() <= style.width {
        single.write(out)?;
        return legend(shown(rows), style, out);
    }
    let sockets = latest(rows);
    socket_table(&sockets, labels, style).write(out)?;
    legend(sockets.into_iter(), style, out)?;
    writeln!(out)?;
    transition_table(rows, labels, start, style).write(out)
}

/// Writes the meaning of the owners' marks, if there are any.
fn legend<'a>(
    shown: impl Iterator<Item = &'a Transition>,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    match shown.map(|transition| &*transition.owner).collect::<format::Legend>().text() {
        Some(legend) => paragraph(style, Role::Dim, &legend).write(out),
        None => Ok(()),
    }
}

/// One table with all columns.
fn single_table(rows: &[Row<'_>], labels: &Labels, start: Mono, style: Style) -> TextTable {
    let names = ["ms", "socket", "local → remote", "old → new", "cause", "owner"];
    let mut table = TextTable::new(style).header(names).align_right(&[0]);
    let old_width = old_width(rows);
    for row in rows {
        table.row(match row {
            Row::Transition(transition) => [
                time(start, transition),
                plain(name(labels, transition.socket)),
                plain(format::endpoints(transition.identity.endpoints)),
                plain(states(transition, old_width)),
                format::cause(transition.cause),
                format::owner(&transition.owner),
            ],
            Row::Repeated(repeated) => [
                last_time(start, repeated),
                more(repeated),
                dim(format!("→ {}", repeated.last.identity.endpoints.remote)),
                dim("CLOSE → SYN_SENT → CLOSE"),
                format::cause(repeated.last.cause),
                format::owner(&repeated.last.owner),
            ],
        });
    }
    table
}

/// The last transition of each socket, in the order of the first ones.
fn latest<'a>(rows: &[Row<'a>]) -> Vec<&'a Transition> {
    let mut indices: HashMap<SocketId, usize> = HashMap::new();
    let mut latest = Vec::new();
    for transition in shown(rows) {
        match indices.entry(transition.socket) {
            Entry::Occupied(index) => latest[*index.get()] = transition,
            Entry::Vacant(entry) => {
                entry.insert(latest.len());
                latest.push(transition);
            }
        }
    }
    latest
}

/// The sockets, as last known. Endpoints that are too long for one line, such as two long IPv6 addresses, take two.
fn socket_table(sockets: &[&Transition], labels: &Labels, style: Style) -> TextTable {
    let room = style.width.saturating_sub(OTHER_COLUMNS);
    let mut table = TextTable::new(style).header(["socket", "local → remote", "owner"]);
    for Transition { socket, identity: SocketIdentity { endpoints, .. }, owner, .. } in
        sockets.iter().copied()
    {
        let name = plain(name(labels, *socket));
        let text = format::endpoints(*endpoints);
        if text.chars().count() <= room || format::has_no_peer(*endpoints) {
            table.row([name, plain(text), format::owner(owner)]);
        } else {
            table.row([name, plain(endpoints.local), format::owner(owner)]);
            table.row([plain(""), plain(format!("→ {}", endpoints.remote)), plain("")]);
        }
    }
    table
}

/// The transitions, with the labels of their sockets.
fn transition_table(rows: &[Row<'_>], labels: &Labels, start: Mono, style: Style) -> TextTable {
    let names = ["ms", "socket", "old → new", "cause"];
    let mut table = TextTable::new(style).header(names).align_right(&[0]).no_wrap(&[0, 1, 2]);
    let old_width = old_width(rows);
    for row in rows {
        table.row(match row {
            Row::Transition(transition) => [
                time(start, transition),
                plain(name(labels, transition.socket)),
                plain(states(transition, old_width)),
                format::cause(transition.cause),
            ],
            Row::Repeated(repeated) => [
                last_time(start, repeated),
                more(repeated),
                dim(format!("to {}", repeated.last.identity.endpoints.remote)),
                format::cause(repeated.last.cause),
            ],
        });
    }
    table
}

/// The socket's label, or its number.
fn name(labels: &Labels, socket: SocketId) -> String {
    labels.get(&socket).cloned().unwrap_or_else(|| format::socket(socket))
}

fn shown<'a>(rows: &[Row<'a>]) -> impl Iterator<Item = &'a Transition> {
    rows.iter().filter_map(|row| match row {
        Row::Transition(transition) => Some(*transition),
        Row::Repeated(_) => None,
    })
}

fn old_width(rows: &[Row<'_>]) -> usize {
    shown(rows).map(|transition| transition.old.name().len()).max().unwrap_or_default()
}

fn states(transition: &Transition, old_width: usize) -> String {
    format!("{:old_width$} → {}", transition.old, transition.new)
}

fn time(start: Mono, transition: &Transition) -> (Role, String) {
    dim(format::milliseconds(start, transition.at))
}

fn last_time(start: Mono, repeated: &Repeated<'_>) -> (Role, String) {
    dim(format!("… {}", format::milliseconds(start, repeated.last.at)))
}

fn more(repeated: &Repeated<'_>) -> (Role, String) {
    dim(format::count(repeated.count as u64, "more", "more"))
}

fn plain(text: impl ToString) -> (Role, String) {
    (Role::Plain, text.to_string())
}

fn dim(text: impl ToString) -> (Role, String) {
    (Role::Dim, text.to_string())
}
