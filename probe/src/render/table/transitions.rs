//! The transitions: in one table where it fits, else in two, with what seldom changes in the first.

use std::{
    collections::{HashMap, hash_map::Entry},
    io::{self, Write},
};

use super::{
    super::style::{Style, Tone},
    fold::{Folded, Row},
    grid::{Grid, paragraph},
    words,
};
use crate::model::{Mono, SocketId, Transition};

/// What a socket's number, its owner and the gaps need, as a rule.
const BESIDE_ENDS: usize = 34;

/// What a scenario calls its sockets.
pub type Labels = HashMap<SocketId, String>;

/// Writes them, with times since `start`.
pub fn write(
    rows: &[Row<'_>],
    labels: &Labels,
    start: Mono,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let together = together(rows, labels, start, style);
    if together.natural_width() <= style.width {
        together.write(out)?;
        return legend(shown(rows), style, out);
    }
    let sockets = latest(rows);
    table_of_sockets(&sockets, labels, style).write(out)?;
    legend(sockets.into_iter(), style, out)?;
    writeln!(out)?;
    moves(rows, labels, start, style).write(out)
}

/// What the marks of the owners mean, where there are any.
fn legend<'a>(
    shown: impl Iterator<Item = &'a Transition>,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    match shown.map(|transition| &*transition.owner).collect::<words::Marks>().legend() {
        Some(legend) => paragraph(style, Tone::Faint, &legend).write(out),
        None => Ok(()),
    }
}

/// Everything of a transition in one row.
fn together(rows: &[Row<'_>], labels: &Labels, start: Mono, style: Style) -> Grid {
    let names = ["ms", "socket", "local → remote", "old → new", "cause", "owner"];
    let mut grid = Grid::new(style).header(names).right(&[0]);
    let pad = widest_old(rows);
    for row in rows {
        grid.row(match row {
            Row::One(transition) => [
                time(start, transition),
                plain(name(labels, transition.socket)),
                plain(words::ends(transition.ends)),
                plain(edge(transition, pad)),
                words::cause(transition.cause),
                words::owner(&transition.owner),
            ],
            Row::Folded(folded) => [
                until(start, folded),
                more(folded),
                faint(format!("→ {}", folded.last.ends.remote)),
                faint("CLOSE → SYN_SENT → CLOSE"),
                words::cause(folded.last.cause),
                words::owner(&folded.last.owner),
            ],
        });
    }
    grid
}

/// Of each socket the last transition, in the order of the first ones.
fn latest<'a>(rows: &[Row<'a>]) -> Vec<&'a Transition> {
    let mut places: HashMap<SocketId, usize> = HashMap::new();
    let mut latest = Vec::new();
    for transition in shown(rows) {
        match places.entry(transition.socket) {
            Entry::Occupied(place) => latest[*place.get()] = transition,
            Entry::Vacant(place) => {
                place.insert(latest.len());
                latest.push(transition);
            }
        }
    }
    latest
}

/// The sockets, each once, as last known. Where the ends are too long for one line, as two IPv6
/// addresses with all their digits are, the remote one has a line of its own.
fn table_of_sockets(sockets: &[&Transition], labels: &Labels, style: Style) -> Grid {
    let room = style.width.saturating_sub(BESIDE_ENDS);
    let mut grid = Grid::new(style).header(["socket", "local → remote", "owner"]);
    for Transition { socket, ends: both, owner, .. } in sockets.iter().copied() {
        let name = plain(name(labels, *socket));
        let together = words::ends(*both);
        if together.chars().count() <= room || words::is_alone(*both) {
            grid.row([name, plain(together), words::owner(owner)]);
        } else {
            grid.row([name, plain(both.local), words::owner(owner)]);
            grid.row([plain(""), plain(format!("→ {}", both.remote)), plain("")]);
        }
    }
    grid
}

/// The transitions by the sockets' names.
fn moves(rows: &[Row<'_>], labels: &Labels, start: Mono, style: Style) -> Grid {
    let names = ["ms", "socket", "old → new", "cause"];
    let mut grid = Grid::new(style).header(names).right(&[0]).whole(&[0, 1, 2]);
    let pad = widest_old(rows);
    for row in rows {
        grid.row(match row {
            Row::One(transition) => [
                time(start, transition),
                plain(name(labels, transition.socket)),
                plain(edge(transition, pad)),
                words::cause(transition.cause),
            ],
            Row::Folded(folded) => [
                until(start, folded),
                more(folded),
                faint(format!("to {}", folded.last.ends.remote)),
                words::cause(folded.last.cause),
            ],
        });
    }
    grid
}

/// The scenario's name for the socket, else its number.
fn name(labels: &Labels, socket: SocketId) -> String {
    labels.get(&socket).cloned().unwrap_or_else(|| words::socket(socket))
}

fn shown<'a>(rows: &[Row<'a>]) -> impl Iterator<Item = &'a Transition> {
    rows.iter().filter_map(|row| match row {
        Row::One(transition) => Some(*transition),
        Row::Folded(_) => None,
    })
}

fn widest_old(rows: &[Row<'_>]) -> usize {
    shown(rows).map(|transition| transition.old.name().len()).max().unwrap_or_default()
}

fn edge(transition: &Transition, pad: usize) -> String {
    format!("{:pad$} → {}", transition.old, transition.new)
}

fn time(start: Mono, transition: &Transition) -> (Tone, String) {
    faint(words::milliseconds(start, transition.at))
}

fn until(start: Mono, folded: &Folded<'_>) -> (Tone, String) {
    faint(format!("… {}", words::milliseconds(start, folded.last.at)))
}

fn more(folded: &Folded<'_>) -> (Tone, String) {
    faint(words::count(folded.count as u64, "more", "more"))
}

fn plain(text: impl ToString) -> (Tone, String) {
    (Tone::Plain, text.to_string())
}

fn faint(text: impl ToString) -> (Tone, String) {
    (Tone::Faint, text.to_string())
}
