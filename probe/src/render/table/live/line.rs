//! One line of a table, laid out by itself: nothing has to be known of the lines that follow.
//!
//! A cell that is too long takes from the room that its neighbours do not need, and the rest of the
//! line moves aside; the next line is in its columns again. Where a line has no room left, both ends
//! and the cause go to lines of their own below it, and only then is anything cut.

use std::io::{self, Write};

use super::{
    super::{
        super::style::{Style, Tone},
        pen::{Cell, Pen},
        text,
    },
    column::{Column, GAP, Layout},
};

/// What is shown in a line.
pub trait Row {
    /// Writes what belongs into a column with so much room, and tells how it looks. More is allowed.
    fn cell(&self, column: Column, room: usize, pen: &mut Pen) -> Tone;

    /// A cell that may be in two pieces: what is left of it in its column, and what goes below.
    fn split(&self, column: Column, pen: &mut Pen) -> Option<[Cell; 2]>;
}

/// One line after the other, in the same room.
#[derive(Debug, Default)]
pub struct Line {
    pen: Pen,
    /// One for each column.
    cells: Vec<Cell>,
    /// How far to the right each of them may begin.
    latest: Vec<usize>,
    /// As it is written.
    bytes: Vec<u8>,
}

impl Line {
    /// Writes a row into its columns; `time` is its time.
    pub fn row(
        &mut self,
        layout: &Layout,
        style: Style,
        time: &str,
        row: &impl Row,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        self.begin();
        for placed in &layout.columns {
            let tone = match placed.column {
                // Times stay under one another, whatever the rest of the line needs.
                Column::Time => {
                    self.pen.blanks(placed.width.saturating_sub(time.len()));
                    self.pen.ascii(time);
                    Tone::Faint
                }
                column => row.cell(column, placed.width, &mut self.pen),
            };
            self.cells.push(self.pen.finish(tone));
        }
        let split = self.split(layout, row);
        self.squeeze(layout);
        self.lay_out(layout, style)?;
        for cell in split {
            below(layout, style, cell.tone, self.pen.text_in(cell), &mut self.bytes)?;
        }
        out.write_all(&self.bytes)
    }

    /// The columns' names, over a line.
    pub fn header(
        &mut self,
        layout: &Layout,
        style: Style,
        time: &str,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        self.begin();
        for placed in &layout.columns {
            self.pen.word(if placed.column == Column::Time { time } else { placed.name });
            self.cells.push(self.pen.finish(Tone::Faint));
        }
        self.squeeze(layout);
        self.lay_out(layout, style)?;
        out.write_all(&self.bytes)?;
        writeln!(out, "{}", "─".repeat(layout.end()))
    }

    fn begin(&mut self) {
        self.pen.clear();
        self.cells.clear();
        self.bytes.clear();
    }

    /// What the line lacks in room.
    fn lack(&self, layout: &Layout) -> usize {
        let gaps = GAP * self.cells.len().saturating_sub(1);
        (self.cells.iter().map(|cell| cell.width).sum::<usize>() + gaps).saturating_sub(layout.width)
    }

    /// Moves what may go below, from cells that are wider than their columns.
    fn split(&mut self, layout: &Layout, row: &impl Row) -> Vec<Cell> {
        let mut below = Vec::new();
        for (place, placed) in layout.columns.iter().enumerate() {
            if self.lack(layout) == 0 {
                break;
            }
            if self.cells[place].width > placed.width
                && let Some([stays, goes]) = row.split(placed.column, &mut self.pen)
            {
                self.cells[place] = stays;
                below.push(goes);
            }
        }
        below
    }

    /// Cuts cells that are wider than their columns until the line has room for all, the last ones first.
    fn squeeze(&mut self, layout: &Layout) {
        let mut lack = self.lack(layout);
        for (cell, placed) in self.cells.iter_mut().zip(&layout.columns).rev() {
            let surplus = cell.width.saturating_sub(placed.width).min(lack);
            if surplus > 0 {
                let cut = text::cut(self.pen.text_in(*cell).to_owned(), cell.width - surplus);
                self.pen.word(&cut);
                *cell = self.pen.finish(cell.tone);
                lack -= surplus;
            }
        }
    }

    /// Each cell where its column is, or as near as the others let it.
    fn lay_out(&mut self, layout: &Layout, style: Style) -> io::Result<()> {
        self.latest.clear();
        let mut end = layout.width + GAP;
        for cell in self.cells.iter().rev() {
            end = end.saturating_sub(GAP + cell.width);
            self.latest.push(end);
        }
        let (mut written, mut earliest) = (0, 0);
        for ((cell, placed), latest) in self.cells.iter().zip(&layout.columns).zip(self.latest.iter().rev()) {
            let wanted =
                if placed.right { placed.at + placed.width.saturating_sub(cell.width) } else { placed.at };
            let at = wanted.min(*latest).max(earliest);
            if cell.width > 0 {
                self.bytes.resize(self.bytes.len() + at - written, b' ');
                style.paint(cell.tone, self.pen.text_in(*cell), &mut self.bytes)?;
                written = at + cell.width;
            }
            earliest = at + cell.width + GAP;
        }
        self.bytes.push(b'\n');
        Ok(())
    }
}

/// Writes a text, which is safe, from the first column after the time on, in as many lines as it takes.
pub fn below(
    layout: &Layout,
    style: Style,
    tone: Tone,
    text: &str,
    out: &mut (impl Write + ?Sized),
) -> io::Result<()> {
    let indent = layout.indent();
    let room = layout.width - indent;
    for line in text::wrap(text, room, room).iter().filter(|line| !line.is_empty()) {
        write!(out, "{:indent$}", "")?;
        style.paint(tone, line, out)?;
        writeln!(out)?;
    }
    Ok(())
}
