//! For a terminal: a section for every scenario, and the totals at the end.
//!
//! A section is gathered until it ends, and written at once. What happens outside of scenarios is
//! written in pieces of a screenful or more.

mod fold;
mod grid;
mod parts;
mod section;
#[cfg(test)]
mod tests;
mod transitions;
mod words;

use std::io::{self, Write};

use self::{
    grid::paragraph,
    section::{Section, heading},
};
use super::{
    Render,
    style::{Style, Tone},
};
use crate::model::{Backend, End, Event, Host, Mono, Phase, Verdict};

/// So many transitions outside of scenarios make a table.
const PIECE: usize = 256;

/// Writes the stream as tables.
#[derive(Debug)]
pub struct Table {
    style: Style,
    section: Section,
    in_scenario: bool,
    /// The first transition of the scenario; outside of any, of the stream.
    start: Option<Mono>,
    scenarios: Scenarios,
}

/// How the scenarios ended.
#[derive(Debug, Default)]
struct Scenarios {
    passed: u64,
    failed: u64,
    unsupported: u64,
    interrupted: u64,
}

impl Table {
    /// A renderer at the beginning of a stream.
    #[must_use]
    pub fn new(style: Style) -> Self {
        Self {
            style,
            section: Section::default(),
            in_scenario: false,
            start: None,
            scenarios: Scenarios::default(),
        }
    }

    fn phase(&mut self, name: &str, phase: &Phase, out: &mut dyn Write) -> io::Result<()> {
        match phase {
            Phase::Start { summary } => {
                self.write(out)?;
                self.start = None;
                self.in_scenario = true;
                heading(name, summary, self.style, out)?;
            }
            Phase::End { verdict } => {
                let section = self.write(out)?;
                section.verdict(verdict, self.style, out)?;
                self.start = None;
                self.in_scenario = false;
                match verdict {
                    Verdict::Passed => self.scenarios.passed += 1,
                    Verdict::Failed => self.scenarios.failed += 1,
                    Verdict::Unsupported(_) => self.scenarios.unsupported += 1,
                    Verdict::Interrupted => self.scenarios.interrupted += 1,
                }
            }
        }
        out.flush()
    }

    /// Writes what was gathered, and begins anew.
    fn write(&mut self, out: &mut dyn Write) -> io::Result<Section> {
        let section = std::mem::take(&mut self.section);
        section.write(self.start.unwrap_or_default(), self.style, out)?;
        Ok(section)
    }

    fn ready(&self, host: &Host, backend: Backend, off: &[String], out: &mut dyn Write) -> io::Result<()> {
        let title =
            format!("probe on {}: Linux {} {}, {}", host.hostname, host.kernel, host.arch, backend.name());
        paragraph(self.style, Tone::Faint, &title).flush_left().write(out)?;
        off.iter()
            .try_for_each(|lack| paragraph(self.style, Tone::Remarkable, &format!("– {lack}")).write(out))
    }

    /// The last lines: what there was, and how long it took.
    fn end(&mut self, end: &End, out: &mut dyn Write) -> io::Result<()> {
        self.write(out)?;
        writeln!(out)?;
        let (tone, sums) = self.sums(end);
        paragraph(self.style, tone, &sums.join(" · ")).flush_left().write(out)?;
        let attach = end.attach.map(|attach| format!(", attached in {}", words::span(attach)));
        let times = format!("{}{}", words::span(end.duration), attach.unwrap_or_default());
        paragraph(self.style, Tone::Plain, &times).flush_left().write(out)?;
        out.flush()
    }

    fn sums(&self, end: &End) -> (Tone, Vec<String>) {
        let Scenarios { passed, failed, unsupported, interrupted } = self.scenarios;
        let mut sums = Vec::new();
        let mut sum = |number: u64, one: &str, many: &str| {
            if number > 0 {
                sums.push(words::count(number, one, many));
            }
        };
        sum(passed, "scenario passed", "scenarios passed");
        sum(failed, "scenario failed", "scenarios failed");
        sum(unsupported, "scenario unsupported", "scenarios unsupported");
        sum(interrupted, "scenario interrupted", "scenarios interrupted");
        sum(end.checks_passed, "check passed", "checks passed");
        sum(end.checks_failed, "check failed", "checks failed");
        sums.push(words::count(end.transitions, "transition", "transitions"));
        sums.push(words::count(end.findings, "finding", "findings"));
        if end.lost > 0 {
            sums.push(words::count(end.lost, "report lost", "reports lost"));
        }
        let tone = match (failed + end.checks_failed + end.lost, unsupported + interrupted, passed) {
            (1.., ..) => Tone::Bad,
            (0, 1.., _) => Tone::Remarkable,
            (0, 0, 1..) => Tone::Good,
            (0, 0, 0) => Tone::Plain,
        };
        (tone, sums)
    }
}

impl Render for Table {
    fn event(&mut self, event: &Event, out: &mut dyn Write) -> io::Result<()> {
        match event {
            Event::Ready { host, backend, off, .. } => return self.ready(host, *backend, off, out),
            Event::Scenario { name, phase } => return self.phase(name, phase, out),
            Event::End(end) => return self.end(end, out),
            Event::Transition(transition) => {
                self.start.get_or_insert(transition.at);
                self.section.transitions.push(transition.clone());
            }
            Event::Finding(finding) => self.section.findings.push(finding.clone()),
            Event::Check(check) => self.section.checks.push(check.clone()),
            Event::Labels(labels) => self.section.labels.extend(labels.iter().cloned()),
            Event::Sockets(rows) => self.section.sockets.extend_from_slice(rows),
            Event::Note(text) => self.section.notes.push(text.clone()),
            Event::Lost { count, place } => self.section.lost.push((*count, place.clone())),
            // Its transitions tell it all.
            Event::Connection(_) | Event::Report(_) => {}
            Event::Existing { .. }
            | Event::Cgroup(_)
            | Event::Summary(_)
            | Event::BindFailed(_)
            | Event::Reset(_)
            | Event::Remains(_)
            | Event::Tick(_) => {}
        }
        if !self.in_scenario && self.section.transitions.len() >= PIECE {
            self.write(out)?;
        }
        Ok(())
    }

    fn broken_off(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.write(out).map(drop)
    }
}
