//! Text in columns, wrapped to the width that there is.

use std::io::{self, Write};

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle};

use super::super::style::{Style, Tone};
use crate::model::escape;

/// Between two columns.
const GAP: u16 = 2;

/// What a scenario's parts stand in from its heading.
pub const INDENT: usize = 2;

/// Columns that stay whole leave room for the rest in so many.
const ROOMY: usize = 72;

/// Less cannot hold a table.
const NARROWEST: usize = 20;

/// Rows of cells under one another. Whatever text they are given is made safe for a terminal.
pub struct Grid {
    table: Table,
    style: Style,
    indent: usize,
    right: Vec<usize>,
    whole: Vec<usize>,
}

impl Grid {
    /// An empty one, indented.
    pub fn new(style: Style) -> Self {
        let mut table = Table::new();
        table.load_style(TableStyle::new());
        Self { table, style, indent: INDENT, right: Vec::new(), whole: Vec::new() }
    }

    /// Not indented.
    pub fn flush_left(self) -> Self {
        Self { indent: 0, ..self }
    }

    /// The columns' names, over a line.
    pub fn header<const N: usize>(mut self, names: [&str; N]) -> Self {
        self.table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─')));
        self.table.set_header(names.map(|name| Tone::Faint.cell(name.to_owned())));
        self
    }

    /// Aligns columns, by place, to the right.
    pub fn right(self, columns: &[usize]) -> Self {
        Self { right: columns.to_vec(), ..self }
    }

    /// Leaves the wrapping, where there is some room, to the other columns.
    pub fn whole(self, columns: &[usize]) -> Self {
        Self { whole: columns.to_vec(), ..self }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [(Tone, String); N]) {
        self.table.add_row(cells.map(|(tone, text)| tone.cell(escape(&text))));
    }

    /// How wide it would be if nothing were wrapped.
    pub fn natural_width(&self) -> usize {
        let widths = self.table.column_max_content_widths();
        let gaps = usize::from(GAP) * widths.len().saturating_sub(1);
        self.indent + gaps + widths.into_iter().map(usize::from).sum::<usize>()
    }

    /// Lays it out and writes it.
    pub fn write(mut self, out: &mut dyn Write) -> io::Result<()> {
        let width = self.style.width.max(NARROWEST) - self.indent;
        self.table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(u16::try_from(width).unwrap_or(u16::MAX))
            .force_no_tty()
            .style_text_only();
        if self.style.colour {
            self.table.enforce_styling();
        }
        let last = self.table.column_count().saturating_sub(1);
        for (place, column) in self.table.column_iter_mut().enumerate() {
            column.set_padding((0, if place == last { 0 } else { GAP }));
            if self.right.contains(&place) {
                column.set_cell_alignment(CellAlignment::Right);
            }
            if self.whole.contains(&place) && width >= ROOMY {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        for line in self.table.lines() {
            writeln!(out, "{}", format!("{:1$}{line}", "", self.indent).trim_end())?;
        }
        Ok(())
    }
}

/// One text, wrapped.
pub fn paragraph(style: Style, tone: Tone, text: &str) -> Grid {
    let mut grid = Grid::new(style);
    grid.row([(tone, text.to_owned())]);
    grid
}
