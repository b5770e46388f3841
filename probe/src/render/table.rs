//! Tables for a terminal: a section for each scenario, a line for each event outside of scenarios, and totals at the end.
//!
//! A section is written when its scenario ends, because the width of a column depends on all of its rows. Everything else is
//! written at once.

mod attempts;
mod cell_writer;
pub(super) mod format;
mod live;
mod section;
#[cfg(test)]
mod tests;
mod text;
pub(super) mod text_table;
mod totals;
mod transitions;

use std::io::{self, Write};

use self::{
    live::LiveTable,
    section::{Section, heading},
    text_table::paragraph,
    totals::Totals,
};
use super::{
    Render,
    style::{Role, Style},
    view::{TimeFormat, View},
};
use crate::model::{Backend, End, Host, Mono, Output, Phase};

/// Renders a stream as tables.
#[derive(Debug)]
pub struct Table {
    style: Style,
    view: View,
    live: LiveTable,
    section: Section,
    in_scenario: bool,
    /// The first transition of the scenario.
    start: Option<Mono>,
    totals: Totals,
}

impl Table {
    /// A renderer at the start of a stream. `view` and `time` apply to events outside of scenarios.
    #[must_use]
    pub fn new(style: Style, view: View, time: TimeFormat) -> Self {
        Self {
            style,
            view,
            live: LiveTable::new(style, view, time),
            section: Section::default(),
            in_scenario: false,
            start: None,
            totals: Totals::default(),
        }
    }

    fn phase(&mut self, name: &str, phase: &Phase, out: &mut dyn Write) -> io::Result<()> {
        match phase {
            Phase::Start { summary } => {
                self.write_section(out)?;
                self.live.interrupt();
                self.start = None;
                self.in_scenario = true;
                heading(name, summary, self.style, out)?;
            }
            Phase::End { verdict } => {
                let section = self.write_section(out)?;
                section.verdict(verdict, self.style, out)?;
                self.start = None;
                self.in_scenario = false;
                self.totals.verdict(verdict);
            }
        }
        Ok(())
    }

    /// Writes the section and starts a new one.
    fn write_section(&mut self, out: &mut dyn Write) -> io::Result<Section> {
        let section = std::mem::take(&mut self.section);
        section.write(self.start.unwrap_or_default(), self.style, out)?;
        Ok(section)
    }

    /// Writes the host, the number of pre-existing sockets, and what is unavailable.
    fn ready(&mut self, event: &Output, out: &mut dyn Write) -> io::Result<()> {
        let Output::Ready { host, backend, unavailable, existing } = event else { return Ok(()) };
        self.live.ready(host);
        write_title(host, *backend, self.style, out)?;
        if let Some(existing) = existing {
            let sockets = format::count(*existing, "pre-existing socket", "pre-existing sockets");
            paragraph(self.style, Role::Dim, &sockets).write(out)?;
        }
        write_unavailable(unavailable, self.style, out)
    }

    fn end(&mut self, end: &End, out: &mut dyn Write) -> io::Result<()> {
        self.write_section(out)?;
        self.live.end(out)?;
        self.totals.write(end, self.view, self.style, out)
    }
}

/// Writes the first line of the output: the host and the backend.
pub(super) fn write_title(
    host: &Host,
    backend: Backend,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let title =
        format!("probe on {}: Linux {} {}, {}", host.hostname, host.kernel, host.arch, backend.name());
    paragraph(style, Role::Dim, &title).flush_left().write(out)
}

/// Writes what the host cannot provide.
pub(super) fn write_unavailable(unavailable: &[String], style: Style, out: &mut dyn Write) -> io::Result<()> {
    unavailable
        .iter()
        .try_for_each(|reason| paragraph(style, Role::Warning, &format!("– {reason}")).write(out))
}

impl Render for Table {
    fn render(&mut self, event: &Output, out: &mut Vec<u8>) -> io::Result<()> {
        match event {
            Output::Ready { .. } => return self.ready(event, out),
            Output::Scenario { name, phase } => return self.phase(name, phase, out),
            Output::End(end) => return self.end(end, out),
            Output::Finding(finding) => self.totals.finding(finding),
            Output::Transition(transition) if self.in_scenario => {
                self.start.get_or_insert(transition.at);
            }
            _ => {}
        }
        let is_from_scenario = matches!(event, Output::Check(_) | Output::Labels(_) | Output::Sockets(_));
        if !self.in_scenario && !is_from_scenario {
            return self.live.render(event, out);
        }
        self.section.add(event);
        Ok(())
    }

    fn abort(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.write_section(out).map(drop)
    }
}
