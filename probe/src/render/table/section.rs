//! The output of one scenario, from its start to its end.

use std::{
    collections::HashMap,
    io::{self, Write},
};

use super::{
    super::style::{Role, Style},
    attempts::collapse,
    format,
    text_table::{INDENT, TextTable, paragraph},
    transitions,
};
use crate::model::{Check, Finding, LossStage, Mono, Output, SocketId, SocketRow, Transition, Verdict};

/// What a scenario has reported so far. It is collected because the width of a column depends on all of its rows.
#[derive(Debug, Default)]
pub struct Section {
    transitions: Vec<Transition>,
    /// The labels that the scenario gives to its sockets.
    labels: HashMap<SocketId, String>,
    checks: Vec<Check>,
    findings: Vec<Finding>,
    /// All lists of sockets, one after the other.
    sockets: Vec<SocketRow>,
    notes: Vec<String>,
    /// The number of reports lost, with the stage.
    lost: Vec<(u64, LossStage)>,
}

impl Section {
    /// Adds an event. A connection is not shown, because its transitions are.
    pub fn add(&mut self, event: &Output) {
        match event {
            Output::Transition(transition) => self.transitions.push(transition.clone()),
            Output::Finding(finding) => self.findings.push(finding.clone()),
            Output::Check(check) => self.checks.push(check.clone()),
            Output::Labels(labels) => self.labels.extend(labels.iter().cloned()),
            Output::Sockets(rows) => self.sockets.extend_from_slice(rows),
            Output::Note(text) => self.notes.push(text.clone()),
            Output::Lost { count, stage } => self.lost.push((*count, *stage)),
            _ => {}
        }
    }

    /// Writes everything except heading and verdict. Times are relative to `start`.
    pub fn write(&self, start: Mono, style: Style, out: &mut dyn Write) -> io::Result<()> {
        for (count, stage) in &self.lost {
            part(out, |out| paragraph(style, Role::Error, &format::lost(*count, *stage)).write(out))?;
        }
        if !self.transitions.is_empty() {
            let rows = collapse(&self.transitions);
            part(out, |out| transitions::write(&rows, &self.labels, start, style, out))?;
        }
        if !self.notes.is_empty() {
            part(out, |out| {
                self.notes.iter().try_for_each(|note| paragraph(style, Role::Plain, note).write(out))
            })?;
        }
        if !self.checks.is_empty() {
            part(out, |out| checks(&self.checks, style, out))?;
        }
        if !self.findings.is_empty() {
            part(out, |out| findings(&self.findings, style, out))?;
        }
        if !self.sockets.is_empty() {
            part(out, |out| sockets(&self.sockets, style, out))?;
        }
        Ok(())
    }

    /// Writes the result of the scenario.
    pub fn verdict(&self, verdict: &Verdict, style: Style, out: &mut dyn Write) -> io::Result<()> {
        let failed = self.checks.iter().filter(|check| !check.pass).count() as u64;
        let all = format::count(self.checks.len() as u64, "check", "checks");
        let (role, text) = match verdict {
            Verdict::Passed => (Role::Success, format!("✓ passed: {all}")),
            Verdict::Failed if failed == 0 => (Role::Error, format!("✗ failed, after {all}")),
            Verdict::Failed => (Role::Error, format!("✗ failed: {failed} of {all}")),
            Verdict::Unsupported(why) => (Role::Warning, format!("– unsupported: {why}")),
            Verdict::Interrupted => (Role::Warning, "– interrupted".to_owned()),
        };
        part(out, |out| paragraph(style, role, &text).write(out))
    }
}

/// Writes a part below an empty line.
fn part(out: &mut dyn Write, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    writeln!(out)?;
    write(out)
}

/// Writes the name of a scenario in a rule, and what it demonstrates.
pub fn heading(name: &str, summary: &str, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let rule = "━".repeat(style.width.saturating_sub(name.chars().count() + INDENT + 2));
    let title = format!("━━ {name} {rule}");
    writeln!(out)?;
    paragraph(style, Role::Heading, &title).flush_left().write(out)?;
    paragraph(style, Role::Plain, summary).write(out)
}

fn checks(checks: &[Check], style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut table = TextTable::new(style).header(["", "check", "expected", "observed"]);
    for check in checks {
        let (mark, role) = if check.pass { ("✓", Role::Success) } else { ("✗", Role::Error) };
        let observed = if check.pass { Role::Plain } else { Role::Error };
        table.row([
            (role, mark.to_owned()),
            (Role::Plain, check.name.clone()),
            (Role::Plain, check.expected.clone()),
            (observed, check.observed.clone()),
        ]);
    }
    table.write(out)
}

fn findings(findings: &[Finding], style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut table = TextTable::new(style);
    for finding in findings {
        table.row([(Role::Warning, finding.kind.name().to_owned()), (Role::Plain, finding.message.clone())]);
        if let Some(remedy) = &finding.remedy {
            table.row([(Role::Dim, "remedy".to_owned()), (Role::Plain, remedy.clone())]);
        }
    }
    table.write(out)
}

/// Writes a socket per row, with the headings of `ss`.
fn sockets(rows: &[SocketRow], style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut table = TextTable::new(style).header(["State", "Local", "Peer", "Process", ""]);
    for row in rows {
        table.row([
            (Role::Plain, row.state.to_string()),
            (Role::Plain, row.endpoints.local.to_string()),
            (Role::Plain, row.endpoints.remote.to_string()),
            format::owner(&row.owner),
            (Role::Dim, row.label.clone()),
        ]);
    }
    table.write(out)
}
