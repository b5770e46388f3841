//! What happens outside of scenarios: a line for each event, as it comes.
//!
//! The columns are those that the width has room for, chosen at the beginning. A line never waits for
//! another.

mod column;
mod connection;
mod line;
mod row;
mod stamp;
mod tally;
#[cfg(test)]
mod tests;

use std::io::{self, Write};

use self::{
    column::Layout,
    line::{Line, Row},
    row::Stayed,
    stamp::Stamps,
    tally::Tally,
};
use super::{
    super::{
        style::{Style, Tone},
        view::{TimeFormat, View},
    },
    grid::paragraph,
    pen::Pen,
    text,
    words::{self, Marks},
};
use crate::model::{Finding, Host, Mono, Output, TimeWaitEntry};

/// What a finding's further lines stand in.
const HANGING: usize = 2;

/// The table that grows.
#[derive(Debug)]
pub struct Live {
    style: Style,
    view: View,
    layout: Layout,
    stamps: Stamps,
    marks: Marks,
    tally: Tally,
    /// What is right above.
    above: Above,
    /// The time of the line that is written…
    time: Pen,
    /// …and the line.
    line: Line,
}

/// What the next line follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Above {
    /// Something else than lines.
    Other,
    /// A remark from before the first line, or after something else.
    Remark,
    /// Lines, with their columns' names at the top.
    Lines,
}

impl Live {
    pub fn new(style: Style, view: View, time: TimeFormat) -> Self {
        let stamps = Stamps::new(time);
        Self {
            style,
            view,
            layout: Layout::of(view, style.width, stamps.width()),
            stamps,
            marks: Marks::default(),
            tally: Tally::default(),
            above: Above::Other,
            time: Pen::default(),
            line: Line::default(),
        }
    }

    /// The stream is this host's.
    pub fn ready(&mut self, host: &Host) {
        self.stamps.set(host.clock);
        self.tally.set(host);
    }

    /// Something else is written: the columns' names are too far above what follows it.
    pub fn interrupt(&mut self) {
        self.above = Above::Other;
    }

    /// Writes the lines of an event, if it has any in this view.
    pub fn render(&mut self, event: &Output, out: &mut dyn Write) -> io::Result<()> {
        if let Output::TimeWaitEntry(remains) = event {
            self.tally.add(remains);
            self.marks.owner(&remains.owner);
        }
        if !self.view.shows(event) {
            return Ok(());
        }
        match event {
            Output::Transition(transition) => {
                self.marks.owner(&transition.owner);
                self.row(transition.at, transition, out)
            }
            // Its transitions tell it all.
            Output::Connection(_) if self.view == View::Transitions => Ok(()),
            Output::Connection(connection) => {
                self.marks.connection(connection);
                let end = connection.close.as_ref().map(|close| close.at);
                let at = end.or(connection.established).or(connection.opened).unwrap_or_default();
                self.row(at, connection, out)
            }
            // The connection says how it ended.
            Output::Reset(_) if self.view == View::Connections => Ok(()),
            Output::Reset(reset) => {
                self.marks.owner(&reset.owner);
                self.row(reset.at, reset, out)
            }
            Output::TimeWaitEntry(remains) => self.remains(remains, out),
            Output::Finding(finding) => self.finding(finding, out),
            Output::Lost { count, stage } => self.remark(Tone::Bad, &words::lost(*count, stage), out),
            Output::Note(note) => self.remark(Tone::Plain, note, out),
            _ => Ok(()),
        }
    }

    /// What there is to say after the last line: who left what behind, and what the marks mean.
    pub fn end(&self, out: &mut dyn Write) -> io::Result<()> {
        self.tally.write(self.style, out)?;
        match self.marks.legend() {
            Some(legend) => {
                writeln!(out)?;
                paragraph(self.style, Tone::Faint, &legend).flush_left().write(out)
            }
            None => Ok(()),
        }
    }

    /// The columns' names and the date, where they are due.
    fn head(&mut self, at: Mono, out: &mut dyn Write) -> io::Result<()> {
        if self.above != Above::Lines {
            self.above = Above::Lines;
            writeln!(out)?;
            self.line.header(&self.layout, self.style, self.stamps.name(), out)?;
        }
        match self.stamps.new_date(at) {
            Some(date) => {
                self.style.paint(Tone::Faint, &date, out)?;
                writeln!(out)
            }
            None => Ok(()),
        }
    }

    /// Writes the time of the next line into its place. When the trace has gone on for so long that its column has
    /// no room for that, the columns are laid out anew.
    fn stamp(&mut self, at: Mono) {
        self.time.clear();
        self.stamps.stamp(at, &mut self.time);
        let (indent, width) = (self.layout.indent(), self.time.text().len());
        if indent > 0 && indent < width + column::GAP {
            self.layout = Layout::of(self.view, self.style.width, width);
            self.interrupt();
        }
    }

    fn row(&mut self, at: Mono, row: &impl Row, out: &mut dyn Write) -> io::Result<()> {
        self.stamp(at);
        self.head(at, out)?;
        self.line.row(&self.layout, self.style, self.time.text(), row, out)
    }

    fn remains(&mut self, remains: &TimeWaitEntry, out: &mut dyn Write) -> io::Result<()> {
        let until = remains.until.map(|gone| self.stamps.until(remains.at, gone));
        self.row(remains.at, &Stayed { remains, until }, out)
    }

    /// A sentence that stands out, and its remedy.
    fn finding(&mut self, finding: &Finding, out: &mut dyn Write) -> io::Result<()> {
        self.stamp(finding.at);
        self.head(finding.at, out)?;
        let indent = self.layout.indent();
        if indent > 0 {
            self.style.paint(Tone::Faint, &format!("{:>1$}", self.time.text(), indent - column::GAP), out)?;
            write!(out, "{:1$}", "", column::GAP)?;
        }
        let kind = finding.kind.name();
        self.hanging(indent, Tone::Remarkable, &format!("! {kind}"), &finding.message, out)?;
        if let Some(remedy) = &finding.remedy {
            write!(out, "{:1$}", "", indent + HANGING)?;
            self.hanging(indent + HANGING, Tone::Faint, "remedy", remedy, out)?;
        }
        Ok(())
    }

    /// A word, and a text beside it and below it. The first line has its indent already.
    fn hanging(
        &self,
        indent: usize,
        tone: Tone,
        word: &str,
        said: &str,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let room = self.layout.width - indent;
        let word = text::cut(word.to_owned(), room);
        self.style.paint(tone, &word, out)?;
        let first = room.saturating_sub(text::width(&word) + column::GAP);
        let lines = text::wrap(&text::safe(said), first, room - HANGING);
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

    /// A text among the lines; before the first of them, above the columns' names.
    fn remark(&mut self, tone: Tone, said: &str, out: &mut dyn Write) -> io::Result<()> {
        if self.above == Above::Lines {
            return line::below(&self.layout, self.style, tone, &text::shut(text::safe(said)), out);
        }
        if self.above == Above::Other {
            self.above = Above::Remark;
            writeln!(out)?;
        }
        paragraph(self.style, tone, &text::safe(said)).write(out)
    }
}
