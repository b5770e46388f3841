//! What belongs together in the output: a scenario from its start to its end.

use std::{
    collections::HashMap,
    io::{self, Write},
};

use super::{
    super::style::{Style, Tone},
    fold::fold,
    grid::{INDENT, paragraph},
    parts, transitions, words,
};
use crate::model::{Check, Finding, Mono, Output, SocketId, SocketRow, Transition, Verdict};

/// A section that is being gathered: a table needs all of its rows before it has its widths.
#[derive(Debug, Default)]
pub struct Section {
    /// Of what it shows, in its order.
    pub transitions: Vec<Transition>,
    /// What the scenario calls their sockets.
    pub labels: HashMap<SocketId, String>,
    /// Expectations against observations.
    pub checks: Vec<Check>,
    /// What the detectors said.
    pub findings: Vec<Finding>,
    /// Lists of sockets, one after the other.
    pub sockets: Vec<SocketRow>,
    /// Lines of explanation.
    pub notes: Vec<String>,
    /// Reports that were lost meanwhile, and where.
    pub lost: Vec<(u64, String)>,
}

impl Section {
    /// Takes what belongs to it. A connection does not: its transitions tell it all.
    pub fn add(&mut self, event: &Output) {
        match event {
            Output::Transition(transition) => self.transitions.push(transition.clone()),
            Output::Finding(finding) => self.findings.push(finding.clone()),
            Output::Check(check) => self.checks.push(check.clone()),
            Output::Labels(labels) => self.labels.extend(labels.iter().cloned()),
            Output::Sockets(rows) => self.sockets.extend_from_slice(rows),
            Output::Note(text) => self.notes.push(text.clone()),
            Output::Lost { count, stage } => self.lost.push((*count, stage.clone())),
            _ => {}
        }
    }

    /// Writes everything but the heading and the verdict. Times are since `start`.
    pub fn write(&self, start: Mono, style: Style, out: &mut dyn Write) -> io::Result<()> {
        for (count, place) in &self.lost {
            part(out, |out| paragraph(style, Tone::Bad, &words::lost(*count, place)).write(out))?;
        }
        if !self.transitions.is_empty() {
            part(out, |out| transitions::write(&fold(&self.transitions), &self.labels, start, style, out))?;
        }
        if !self.notes.is_empty() {
            part(out, |out| parts::notes(&self.notes, style, out))?;
        }
        if !self.checks.is_empty() {
            part(out, |out| parts::checks(&self.checks, style, out))?;
        }
        if !self.findings.is_empty() {
            part(out, |out| parts::findings(&self.findings, style, out))?;
        }
        if !self.sockets.is_empty() {
            part(out, |out| parts::sockets(&self.sockets, style, out))?;
        }
        Ok(())
    }

    /// Writes how the scenario ended.
    pub fn verdict(&self, verdict: &Verdict, style: Style, out: &mut dyn Write) -> io::Result<()> {
        let failed = self.checks.iter().filter(|check| !check.pass).count() as u64;
        let all = words::count(self.checks.len() as u64, "check", "checks");
        let (tone, text) = match verdict {
            Verdict::Passed => (Tone::Good, format!("✓ passed: {all}")),
            Verdict::Failed if failed == 0 => (Tone::Bad, format!("✗ failed, after {all}")),
            Verdict::Failed => (Tone::Bad, format!("✗ failed: {failed} of {all}")),
            Verdict::Unsupported(why) => (Tone::Remarkable, format!("– unsupported: {why}")),
            Verdict::Interrupted => (Tone::Remarkable, "– interrupted".to_owned()),
        };
        part(out, |out| paragraph(style, tone, &text).write(out))
    }
}

/// A part with an empty line before it.
fn part(out: &mut dyn Write, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    writeln!(out)?;
    write(out)
}

/// A scenario's name between lines, and what it shows.
pub fn heading(name: &str, summary: &str, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let rule = "━".repeat(style.width.saturating_sub(name.chars().count() + INDENT + 2));
    let title = format!("━━ {name} {rule}");
    writeln!(out)?;
    paragraph(style, Tone::Heading, &title).flush_left().write(out)?;
    paragraph(style, Tone::Plain, summary).write(out)
}
