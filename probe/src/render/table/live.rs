//! The table of events outside of scenarios: a line for each event, written when it happens.
//!
//! The columns are those that fit the width, chosen at the start. No line waits for another.

mod column;
mod connection;
mod line_writer;
mod reset;
mod row;
#[cfg(test)]
mod tests;
mod time_wait;
mod time_wait_summary;
mod timestamp;
mod transition;

use std::io::{self, Write};

use self::{
    column::Layout, line_writer::LineWriter, row::Row, time_wait::TimeWaitRow,
    time_wait_summary::TimeWaitSummary, timestamp::Timestamps,
};
use super::{
    super::{
        style::{Role, Style},
        view::{TimeFormat, View},
    },
    cell_writer::CellWriter,
    format::{self, Legend},
    text,
    text_table::paragraph,
};
use crate::model::{Finding, Host, Mono, Output, TimeWaitEntry};

/// The indent of a finding's continuation lines.
const HANGING: usize = 2;

/// A table that is written line by line.
#[derive(Debug)]
pub struct LiveTable {
    style: Style,
    view: View,
    layout: Layout,
    timestamps: Timestamps,
    legend: Legend,
    time_waits: TimeWaitSummary,
    above: Above,
    /// The time of the current line.
    time: CellWriter,
    line: LineWriter,
}

/// What is right above the next line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Above {
    /// Output of another part.
    Other,
    /// A remark without a header above it.
    Remark,
    /// A line of the table.
    Line,
}

impl LiveTable {
    pub fn new(style: Style, view: View, time: TimeFormat) -> Self {
        let timestamps = Timestamps::new(time);
        Self {
            style,
            view,
            layout: Layout::of(view, style.width, timestamps.width()),
            timestamps,
            legend: Legend::default(),
            time_waits: TimeWaitSummary::default(),
            above: Above::Other,
            time: CellWriter::default(),
            line: LineWriter::default(),
        }
    }

    /// Sets the host of the stream.
    pub fn ready(&mut self, host: &Host) {
        self.timestamps.set_clock(host.clock);
        self.time_waits.set_host(host);
    }

    /// Another part writes output: the next line needs a header again.
    pub fn interrupt(&mut self) {
        self.above = Above::Other;
    }

    /// Writes the lines of an event, if it has any in this view.
    pub fn render(&mut self, event: &Output, out: &mut dyn Write) -> io::Result<()> {
        if let Output::TimeWaitEntry(entry) = event {
            self.time_waits.add(entry);
            self.legend.owner(&entry.owner);
        }
        if !self.view.shows(event) {
            return Ok(());
        }
        match event {
            Output::Transition(transition) => {
                self.legend.owner(&transition.owner);
                self.row(transition.at, transition, out)
            }
            // Its transitions are shown.
            Output::Connection(_) if self.view == View::Transitions => Ok(()),
            Output::Connection(connection) => {
                self.legend.connection(connection);
                let closed = connection.close.as_ref().map(|close| close.at);
                let at = closed.or(connection.established).or(connection.opened).unwrap_or_default();
                self.row(at, connection, out)
            }
            // The column `closed` of the connection shows it.
            Output::Reset(_) if self.view == View::Connections => Ok(()),
            Output::Reset(reset) => {
                self.legend.owner(&reset.owner);
                self.row(reset.at, reset, out)
            }
            Output::TimeWaitEntry(entry) => self.time_wait(entry, out),
            Output::Finding(finding) => self.finding(finding, out),
            Output::Lost { count, stage } => self.remark(Role::Error, &format::lost(*count, *stage), out),
            Output::Note(note) => self.remark(Role::Plain, note, out),
            _ => Ok(()),
        }
    }

    /// Writes what follows the last line: the summary of TIME_WAITs, and the legend.
    pub fn end(&self, out: &mut dyn Write) -> io::Result<()> {
        self.time_waits.write(self.style, out)?;
        match self.legend.text() {
            Some(legend) => {
                writeln!(out)?;
                paragraph(self.style, Role::Dim, &legend).flush_left().write(out)
            }
            None => Ok(()),
        }
    }

    /// Writes the header and the date if the next line needs them.
    fn header(&mut self, at: Mono, out: &mut dyn Write) -> io::Result<()> {
        if self.above != Above::Line {
            self.above = Above::Line;
            writeln!(out)?;
            self.line.header(&self.layout, self.style, self.timestamps.heading(), out)?;
        }
        match self.timestamps.new_date(at) {
            Some(date) => {
                self.style.paint(Role::Dim, &date, out)?;
                writeln!(out)
            }
            None => Ok(()),
        }
    }

    /// Formats the time of the next line. If it has outgrown its column, the columns are laid out again.
    fn format_time(&mut self, at: Mono) {
        self.time.clear();
        self.timestamps.write(at, &mut self.time);
        let (indent, width) = (self.layout.indent(), self.time.text().len());
        if indent > 0 && indent < width + column::GAP {
            self.layout = Layout::of(self.view, self.style.width, width);
            self.interrupt();
        }
    }

    fn row(&mut self, at: Mono, row: &impl Row, out: &mut dyn Write) -> io::Result<()> {
        self.format_time(at);
        self.header(at, out)?;
        self.line.row(&self.layout, self.style, self.time.text(), row, out)
    }

    fn time_wait(&mut self, entry: &TimeWaitEntry, out: &mut dyn Write) -> io::Result<()> {
        let expiry = entry.until.map(|until| self.timestamps.expiry(entry.at, until));
        self.row(entry.at, &TimeWaitRow { entry, expiry }, out)
    }

    /// Writes the message of a finding across the columns, and its remedy below.
    fn finding(&mut self, finding: &Finding, out: &mut dyn Write) -> io::Result<()> {
        self.format_time(finding.at);
        self.header(finding.at, out)?;
        let indent = self.layout.indent();
        if indent > 0 {
            self.style.paint(Role::Dim, &format!("{:>1$}", self.time.text(), indent - column::GAP), out)?;
            write!(out, "{:1$}", "", column::GAP)?;
        }
        let kind = finding.kind.name();
        self.hanging(indent, Role::Warning, &format!("! {kind}"), &finding.message, out)?;
        if let Some(remedy) = &finding.remedy {
            write!(out, "{:1$}", "", indent + HANGING)?;
            self.hanging(indent + HANGING, Role::Dim, "remedy", remedy, out)?;
        }
        Ok(())
    }

    /// Writes a label and a text with a hanging indent. The first line is indented already.
    fn hanging(
        &self,
        indent: usize,
        role: Role,
        label: &str,
        text: &str,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let room = self.layout.width - indent;
        let label = text::ellipsize(label.to_owned(), room);
        self.style.paint(role, &label, out)?;
        let first = room.saturating_sub(text::width(&label) + column::GAP);
        let lines = text::wrap(&text::escape_invisible(text), first, room - HANGING);
        for (number, line) in lines.iter().enumerate() {
            match number {
                _ if line.is_empty() => {}
                0 => write!(out, "{:1$}", "", column::GAP)?,
                _ => write!(out, "{:1$}", "", indent + HANGING)?,
            }
            writeln!(out, "{line}")?;
        }
        Ok(())
    }

    /// Writes a text between the lines, or above the header if there is no line yet.
    fn remark(&mut self, role: Role, text: &str, out: &mut dyn Write) -> io::Result<()> {
        if self.above == Above::Line {
            let text = text::escape_trailing_space(text::escape_invisible(text));
            return line_writer::write_below(&self.layout, self.style, role, &text, out);
        }
        if self.above == Above::Other {
            self.above = Above::Remark;
            writeln!(out)?;
        }
        paragraph(self.style, role, &text::escape_invisible(text)).write(out)
    }
}
