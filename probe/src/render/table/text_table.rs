//! Tables without borders, wrapped to the available width.

use std::io::{self, Write};

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle};

use super::super::style::{Role, Style};
use crate::model::escape;

/// The space between two columns.
const GAP: u16 = 2;

/// The indent of a scenario's parts below its heading.
pub const INDENT: usize = 2;

/// The least table width at which columns can be exempt from wrapping.
const MIN_NO_WRAP_WIDTH: usize = 72;

/// The least width of a table.
const MIN_WIDTH: usize = 20;

/// A table of text. The text of each cell is escaped for the terminal.
pub struct TextTable {
    table: Table,
    style: Style,
    indent: usize,
    align_right: Vec<usize>,
    no_wrap: Vec<usize>,
}

impl TextTable {
    /// An empty, indented table.
    pub fn new(style: Style) -> Self {
        let mut table = Table::new();
        table.load_style(TableStyle::new());
        Self { table, style, indent: INDENT, align_right: Vec::new(), no_wrap: Vec::new() }
    }

    /// Removes the indent.
    pub fn flush_left(self) -> Self {
        Self { indent: 0, ..self }
    }

    /// Sets the headings of the columns, above a rule.
    pub fn header<const N: usize>(mut self, names: [&str; N]) -> Self {
        self.table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─')));
        self.table.set_header(names.map(|name| Role::Dim.cell(name.to_owned())));
        self
    }

    /// Aligns the columns with these indices to the right.
    pub fn align_right(self, columns: &[usize]) -> Self {
        Self { align_right: columns.to_vec(), ..self }
    }

    /// Exempts the columns with these indices from wrapping, if the table is wide enough.
    pub fn no_wrap(self, columns: &[usize]) -> Self {
        Self { no_wrap: columns.to_vec(), ..self }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [(Role, String); N]) {
        self.table.add_row(cells.map(|(role, text)| role.cell(escape(&text))));
    }

    /// The width of the table without wrapping.
    pub fn natural_width(&self) -> usize {
        let widths = self.table.column_max_content_widths();
        let gaps = usize::from(GAP) * widths.len().saturating_sub(1);
        self.indent + gaps + widths.into_iter().map(usize::from).sum::<usize>()
    }

    /// Writes the table.
    pub fn write(mut self, out: &mut dyn Write) -> io::Result<()> {
        let width = self.style.width.max(MIN_WIDTH) - self.indent;
        self.table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(u16::try_from(width).unwrap_or(u16::MAX))
            .force_no_tty()
            .style_text_only();
        if self.style.colour {
            self.table.enforce_styling();
        }
        let last = self.table.column_count().saturating_sub(1);
        for (index, column) in self.table.column_iter_mut().enumerate() {
            column.set_padding((0, if index == last { 0 } else { GAP }));
            if self.align_right.contains(&index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
            if self.no_wrap.contains(&index) && width >= MIN_NO_WRAP_WIDTH {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        for line in self.table.lines() {
            writeln!(out, "{}", format!("{:1$}{line}", "", self.indent).trim_end())?;
        }
        Ok(())
    }
}

/// A table of a single cell: a wrapped text.
pub fn paragraph(style: Style, role: Role, text: &str) -> TextTable {
    let mut table = TextTable::new(style);
    table.row([(role, text.to_owned())]);
    table
}
