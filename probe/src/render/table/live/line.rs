//! One line of a table, laid out by itself: nothing has to be known of the lines that follow.
//!
//! A cell that is too long takes from the room that its neighbours do not need, and the rest of the
//! line moves aside; the next line is in its columns again. Where a line has no room left, both ends
//! and the cause go to lines of their own below it, and only then is anything cut.

use std::io::{self, Write};

use super::{
    super::super::style::{Style, Tone},
    column::{Column, GAP, Layout, Placed},
    text,
};

/// A piece of a line. Its text is safe.
#[derive(Debug)]
pub struct Cell {
    pub tone: Tone,
    pub text: String,
}

impl Cell {
    /// A cell with text that may come from others.
    pub fn new(tone: Tone, text: impl AsRef<str>) -> Self {
        Self { tone, text: text::shut(text::safe(text.as_ref())).into_owned() }
    }

    /// Nothing to show.
    pub fn empty() -> Self {
        Self { tone: Tone::Plain, text: String::new() }
    }

    fn width(&self) -> usize {
        text::width(&self.text)
    }
}

/// What is shown in a line.
pub trait Row {
    /// What belongs into a column with so much room. More is allowed.
    fn cell(&self, column: Column, room: usize) -> Cell;

    /// A cell that may be in two pieces: what is left of it in its column, and what goes below.
    fn split(&self, column: Column) -> Option<[Cell; 2]>;
}

/// Writes a row into its columns; `time` is its time.
pub fn write(
    layout: &Layout,
    style: Style,
    time: &str,
    row: &impl Row,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut cells: Vec<Cell> = layout
        .columns
        .iter()
        .map(|placed| match placed.column {
            // Times stay under one another, whatever the rest of the line needs.
            Column::Time => Cell::new(Tone::Faint, format!("{time:>0$}", placed.width)),
            column => row.cell(column, placed.width),
        })
        .collect();
    let split = split(&mut cells, layout, row);
    squeeze(&mut cells, layout);
    write_cells(&cells, layout, style, out)?;
    split.iter().try_for_each(|cell| below(layout, style, cell, out))
}

/// Writes a text from the first column after the time on, in as many lines as it takes.
pub fn below(layout: &Layout, style: Style, cell: &Cell, out: &mut dyn Write) -> io::Result<()> {
    let indent = layout.indent();
    let room = layout.width - indent;
    for line in text::wrap(&cell.text, room, room).iter().filter(|line| !line.is_empty()) {
        write!(out, "{:indent$}", "")?;
        style.paint(cell.tone, line, out)?;
        writeln!(out)?;
    }
    Ok(())
}

/// The columns' names, over a line.
pub fn header(layout: &Layout, style: Style, time: &str, out: &mut dyn Write) -> io::Result<()> {
    let name = |placed: &Placed| if placed.column == Column::Time { time } else { placed.name };
    let mut cells: Vec<Cell> =
        layout.columns.iter().map(|placed| Cell::new(Tone::Faint, name(placed))).collect();
    squeeze(&mut cells, layout);
    write_cells(&cells, layout, style, out)?;
    writeln!(out, "{}", "─".repeat(layout.end()))
}

/// What the line lacks in room.
fn lack(cells: &[Cell], layout: &Layout) -> usize {
    let gaps = GAP * cells.len().saturating_sub(1);
    (cells.iter().map(Cell::width).sum::<usize>() + gaps).saturating_sub(layout.width)
}

/// Moves what may go below, from cells that are wider than their columns.
fn split(cells: &mut [Cell], layout: &Layout, row: &impl Row) -> Vec<Cell> {
    let mut below = Vec::new();
    for (place, placed) in layout.columns.iter().enumerate() {
        if lack(cells, layout) == 0 {
            break;
        }
        if cells[place].width() > placed.width
            && let Some([stays, goes]) = row.split(placed.column)
        {
            cells[place] = stays;
            below.push(goes);
        }
    }
    below
}

/// Cuts cells that are wider than their columns until the line has room for all, the last ones first.
fn squeeze(cells: &mut [Cell], layout: &Layout) {
    let mut lack = lack(cells, layout);
    for (cell, placed) in cells.iter_mut().zip(&layout.columns).rev() {
        let surplus = cell.width().saturating_sub(placed.width).min(lack);
        if surplus > 0 {
            let room = cell.width() - surplus;
            cell.text = text::cut(std::mem::take(&mut cell.text), room);
            lack -= surplus;
        }
    }
}

/// Each cell where its column is, or as near as the others let it.
fn write_cells(cells: &[Cell], layout: &Layout, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut latest = vec![0; cells.len()];
    let mut end = layout.width + GAP;
    for (place, cell) in cells.iter().enumerate().rev() {
        latest[place] = end.saturating_sub(GAP + cell.width());
        end = latest[place];
    }
    let (mut written, mut earliest) = (0, 0);
    for ((cell, placed), latest) in cells.iter().zip(&layout.columns).zip(latest) {
        let width = cell.width();
        let wanted = if placed.right { placed.at + placed.width.saturating_sub(width) } else { placed.at };
        let at = wanted.min(latest).max(earliest);
        if width > 0 {
            write!(out, "{:1$}", "", at - written)?;
            style.paint(cell.tone, &cell.text, out)?;
            written = at + width;
        }
        earliest = at + width + GAP;
    }
    writeln!(out)
}
