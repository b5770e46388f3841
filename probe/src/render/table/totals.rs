//! The last lines: the totals of the stream, and its duration.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use super::{
    super::{
        style::{Role, Style},
        view::View,
    },
    format,
    text_table::paragraph,
};
use crate::model::{End, Finding, FindingKind, Verdict};

/// Totals that the table counts itself.
#[derive(Debug, Default)]
pub struct Totals {
    passed: u64,
    failed: u64,
    unsupported: u64,
    interrupted: u64,
    findings: BTreeMap<FindingKind, u64>,
}

impl Totals {
    /// Counts the result of a scenario.
    pub fn verdict(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Passed => self.passed += 1,
            Verdict::Failed => self.failed += 1,
            Verdict::Unsupported(_) => self.unsupported += 1,
            Verdict::Interrupted => self.interrupted += 1,
        }
    }

    /// Counts a finding.
    pub fn finding(&mut self, finding: &Finding) {
        *self.findings.entry(finding.kind).or_default() += 1;
    }

    /// Writes them together with the totals of the stream.
    pub fn write(&self, end: &End, view: View, style: Style, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out)?;
        paragraph(style, self.role(end), &self.sums(end, view).join(" · ")).flush_left().write(out)?;
        let attach = end.attach.map(|attach| format!(", attached in {}", format::duration(attach)));
        let times = format!("{}{}", format::duration(end.duration), attach.unwrap_or_default());
        paragraph(style, Role::Plain, &times).flush_left().write(out)
    }

    fn scenarios(&self) -> u64 {
        self.passed + self.failed + self.unsupported + self.interrupted
    }

    fn role(&self, end: &End) -> Role {
        let bad = self.failed + end.checks_failed + end.lost;
        match (bad, self.unsupported + self.interrupted, self.passed) {
            (1.., ..) => Role::Error,
            (0, 1.., _) => Role::Warning,
            (0, 0, 1..) => Role::Success,
            (0, 0, 0) => Role::Plain,
        }
    }

    fn sums(&self, end: &End, view: View) -> Vec<String> {
        let mut sums = Vec::new();
        let mut sum = |number: u64, one: &str, many: &str| {
            if number > 0 {
                sums.push(format::count(number, one, many));
            }
        };
        sum(self.passed, "scenario passed", "scenarios passed");
        sum(self.failed, "scenario failed", "scenarios failed");
        sum(self.unsupported, "scenario unsupported", "scenarios unsupported");
        sum(self.interrupted, "scenario interrupted", "scenarios interrupted");
        sum(end.checks_passed, "check passed", "checks passed");
        sum(end.checks_failed, "check failed", "checks failed");
        if let Some(recorded) = end.recorded {
            sums.push(format::count(recorded, "report recorded", "reports recorded"));
            return with_lost(sums, end);
        }
        let is_trace = self.scenarios() == 0;
        // With `--connections`, the kernel usually reports no transitions.
        if end.transitions > 0 || view != View::Connections {
            sums.push(format::count(end.transitions, "transition", "transitions"));
        }
        if is_trace {
            sums.push(format::count(end.connections, "connection", "connections"));
        }
        let kinds = if is_trace { self.kinds() } else { None };
        sums.push(format::count(end.findings, "finding", "findings") + &kinds.unwrap_or_default());
        with_lost(sums, end)
    }

    /// The number of findings of each kind, if there are any.
    fn kinds(&self) -> Option<String> {
        let kind =
            |(kind, number): (&FindingKind, &u64)| format!("{} {}", format::number(*number), kind.name());
        let kinds: Vec<String> = self.findings.iter().map(kind).collect();
        (!kinds.is_empty()).then(|| format!(" ({})", kinds.join(", ")))
    }
}

fn with_lost(mut sums: Vec<String>, end: &End) -> Vec<String> {
    if end.lost > 0 {
        sums.push(format::count(end.lost, "report lost", "reports lost"));
    }
    sums
}
