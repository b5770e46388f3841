//! Lays out one line independently of the lines after it.
//!
//! A cell that is wider than its column uses space that the cells after it do not need, and shifts them; the next line is
//! aligned with its columns again. If the line is too long, the remote endpoint and the cause go below it on lines of their
//! own. Only if it still is too long are cells shortened.

use std::io::{self, Write};

use super::{
    super::{
        super::style::{Role, Style},
        cell_writer::{Cell, CellWriter},
        text,
    },
    column::{Column, GAP, Layout},
    row::Row,
};

/// Writes lines, reusing its buffers.
#[derive(Debug, Default)]
pub struct LineWriter {
    writer: CellWriter,
    /// The cell of each column.
    cells: Vec<Cell>,
    /// The rightmost start of each cell that leaves room for those after it, in reverse order.
    max_starts: Vec<usize>,
    /// The line as it is written.
    bytes: Vec<u8>,
}

impl LineWriter {
    /// Writes a row; `time` is the text of its time.
    pub fn row(
        &mut self,
        layout: &Layout,
        style: Style,
        time: &str,
        row: &impl Row,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        self.clear();
        for column in &layout.columns {
            let role = match column.column {
                // Padded, so that times are aligned whatever the width of the other cells.
                Column::Time => {
                    self.writer.spaces(column.width.saturating_sub(time.len()));
                    self.writer.ascii(time);
                    Role::Dim
                }
                kind => row.cell(kind, column.width, &mut self.writer),
            };
            self.cells.push(self.writer.finish(role));
        }
        let below = self.split(layout, row);
        self.shorten(layout);
        self.lay_out(layout, style)?;
        for cell in below {
            write_below(layout, style, cell.role, self.writer.text_in(cell), &mut self.bytes)?;
        }
        out.write_all(&self.bytes)
    }

    /// Writes the headings of the columns above a rule; `time` is the heading of the time column.
    pub fn header(
        &mut self,
        layout: &Layout,
        style: Style,
        time: &str,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        self.clear();
        for column in &layout.columns {
            self.writer.escaped(if column.column == Column::Time { time } else { column.heading });
            self.cells.push(self.writer.finish(Role::Dim));
        }
        self.shorten(layout);
        self.lay_out(layout, style)?;
        out.write_all(&self.bytes)?;
        writeln!(out, "{}", "─".repeat(layout.end()))
    }

    fn clear(&mut self) {
        self.writer.clear();
        self.cells.clear();
        self.bytes.clear();
    }

    /// The number of columns by which the line is too long.
    fn excess(&self, layout: &Layout) -> usize {
        let gaps = GAP * self.cells.len().saturating_sub(1);
        (self.cells.iter().map(|cell| cell.width).sum::<usize>() + gaps).saturating_sub(layout.width)
    }

    /// Splits cells that are wider than their columns while the line is too long. Returns the parts that go below it.
    fn split(&mut self, layout: &Layout, row: &impl Row) -> Vec<Cell> {
        let mut below = Vec::new();
        for (index, column) in layout.columns.iter().enumerate() {
            if self.excess(layout) == 0 {
                break;
            }
            if self.cells[index].width > column.width
                && let Some([first, second]) = row.split(column.column, &mut self.writer)
            {
                self.cells[index] = first;
                below.push(second);
            }
        }
        below
    }

    /// Shortens cells that are wider than their columns while the line is too long, starting with the last.
    fn shorten(&mut self, layout: &Layout) {
        let mut excess = self.excess(layout);
        for (cell, column) in self.cells.iter_mut().zip(&layout.columns).rev() {
            let surplus = cell.width.saturating_sub(column.width).min(excess);
            if surplus > 0 {
                let text = text::ellipsize(self.writer.text_in(*cell).to_owned(), cell.width - surplus);
                self.writer.escaped(&text);
                *cell = self.writer.finish(cell.role);
                excess -= surplus;
            }
        }
    }

    /// Writes each cell at the start of its column, or as near to it as the other cells allow.
    fn lay_out(&mut self, layout: &Layout, style: Style) -> io::Result<()> {
        self.max_starts.clear();
        let mut end = layout.width + GAP;
        for cell in self.cells.iter().rev() {
            end = end.saturating_sub(GAP + cell.width);
            self.max_starts.push(end);
        }
        let (mut written, mut min_start) = (0, 0);
        let max_starts = self.max_starts.iter().rev();
        for ((cell, column), max_start) in self.cells.iter().zip(&layout.columns).zip(max_starts) {
            let padding = if column.align_right { column.width.saturating_sub(cell.width) } else { 0 };
            let start = (column.start + padding).min(*max_start).max(min_start);
            if cell.width > 0 {
                self.bytes.resize(self.bytes.len() + start - written, b' ');
                style.paint(cell.role, self.writer.text_in(*cell), &mut self.bytes)?;
                written = start + cell.width;
            }
            min_start = start + cell.width + GAP;
        }
        self.bytes.push(b'\n');
        Ok(())
    }
}

/// Writes escaped text on lines of its own, indented to the first column after the time.
pub fn write_below(
    layout: &Layout,
    style: Style,
    role: Role,
    text: &str,
    out: &mut (impl Write + ?Sized),
) -> io::Result<()> {
    let indent = layout.indent();
    let room = layout.width - indent;
    for line in text::wrap(text, room, room).iter().filter(|line| !line.is_empty()) {
        write!(out, "{:indent$}", "")?;
        style.paint(role, line, out)?;
        writeln!(out)?;
    }
    Ok(())
}
