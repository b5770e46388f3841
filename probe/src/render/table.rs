//! For a terminal: a section for every scenario, a line for every event outside of them, and the
//! totals at the end.
//!
//! A section is gathered until it ends, and written at once: its columns are as wide as what is in them.
//! Nothing else is held back.

mod fold;
pub(super) mod grid;
mod live;
mod parts;
mod pen;
mod section;
#[cfg(test)]
mod tests;
mod text;
mod totals;
mod transitions;
pub(super) mod words;

use std::io::{self, Write};

use self::{
    grid::paragraph,
    live::Live,
    section::{Section, heading},
    totals::Totals,
};
use super::{
    Render,
    style::{Style, Tone},
    view::{TimeFormat, View},
};
use crate::model::{Backend, End, Host, Mono, Output, Phase};

/// Writes the stream as tables.
#[derive(Debug)]
pub struct Table {
    style: Style,
    view: View,
    live: Live,
    section: Section,
    in_scenario: bool,
    /// The scenario's first transition.
    start: Option<Mono>,
    totals: Totals,
}

impl Table {
    /// A renderer at the beginning of a stream. View and format of the times are those of what happens
    /// outside of scenarios.
    #[must_use]
    pub fn new(style: Style, view: View, time: TimeFormat) -> Self {
        Self {
            style,
            view,
            live: Live::new(style, view, time),
            section: Section::default(),
            in_scenario: false,
            start: None,
            totals: Totals::default(),
        }
    }

    fn phase(&mut self, name: &str, phase: &Phase, out: &mut dyn Write) -> io::Result<()> {
        match phase {
            Phase::Start { summary } => {
                self.write(out)?;
                self.live.interrupt();
                self.start = None;
                self.in_scenario = true;
                heading(name, summary, self.style, out)?;
            }
            Phase::End { verdict } => {
                let section = self.write(out)?;
                section.verdict(verdict, self.style, out)?;
                self.start = None;
                self.in_scenario = false;
                self.totals.verdict(verdict);
            }
        }
        Ok(())
    }

    /// Writes what was gathered, and begins anew.
    fn write(&mut self, out: &mut dyn Write) -> io::Result<Section> {
        let section = std::mem::take(&mut self.section);
        section.write(self.start.unwrap_or_default(), self.style, out)?;
        Ok(section)
    }

    /// Where this is, and what is known from the beginning.
    fn ready(&mut self, event: &Output, out: &mut dyn Write) -> io::Result<()> {
        let Output::Ready { host, backend, unavailable, existing } = event else { return Ok(()) };
        self.live.ready(host);
        greet(host, *backend, self.style, out)?;
        if let Some(existing) = existing {
            let sockets = words::count(*existing, "socket was", "sockets were");
            let known = format!("{sockets} there already");
            paragraph(self.style, Tone::Faint, &known).write(out)?;
        }
        unavailable
            .iter()
            .try_for_each(|lack| paragraph(self.style, Tone::Remarkable, &format!("– {lack}")).write(out))
    }

    fn end(&mut self, end: &End, out: &mut dyn Write) -> io::Result<()> {
        self.write(out)?;
        self.live.end(out)?;
        self.totals.write(end, self.view, self.style, out)
    }
}

/// The first line of all: what runs where.
pub(super) fn greet(host: &Host, backend: Backend, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let title =
        format!("probe on {}: Linux {} {}, {}", host.hostname, host.kernel, host.arch, backend.name());
    paragraph(style, Tone::Faint, &title).flush_left().write(out)
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
        let is_scenarios = matches!(event, Output::Check(_) | Output::Labels(_) | Output::Sockets(_));
        if !self.in_scenario && !is_scenarios {
            return self.live.render(event, out);
        }
        self.section.add(event);
        Ok(())
    }

    fn abort(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.write(out).map(drop)
    }
}
