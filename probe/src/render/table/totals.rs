//! The last lines: what there was, and how long it took.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use super::{
    super::{
        style::{Style, Tone},
        view::View,
    },
    grid::paragraph,
    words,
};
use crate::model::{End, Finding, FindingKind, Verdict};

/// What is summed up on the way.
#[derive(Debug, Default)]
pub struct Totals {
    passed: u64,
    failed: u64,
    unsupported: u64,
    interrupted: u64,
    findings: BTreeMap<FindingKind, u64>,
}

impl Totals {
    /// A scenario ended.
    pub fn verdict(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Passed => self.passed += 1,
            Verdict::Failed => self.failed += 1,
            Verdict::Unsupported(_) => self.unsupported += 1,
            Verdict::Interrupted => self.interrupted += 1,
        }
    }

    /// Something was found.
    pub fn finding(&mut self, finding: &Finding) {
        *self.findings.entry(finding.kind).or_default() += 1;
    }

    /// Writes them beside the stream's own figures.
    pub fn write(&self, end: &End, view: View, style: Style, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out)?;
        paragraph(style, self.tone(end), &self.sums(end, view).join(" · ")).flush_left().write(out)?;
        let attach = end.attach.map(|attach| format!(", attached in {}", words::span(attach)));
        let times = format!("{}{}", words::span(end.duration), attach.unwrap_or_default());
        paragraph(style, Tone::Plain, &times).flush_left().write(out)
    }

    fn scenarios(&self) -> u64 {
        self.passed + self.failed + self.unsupported + self.interrupted
    }

    fn tone(&self, end: &End) -> Tone {
        let bad = self.failed + end.checks_failed + end.lost;
        match (bad, self.unsupported + self.interrupted, self.passed) {
            (1.., ..) => Tone::Bad,
            (0, 1.., _) => Tone::Remarkable,
            (0, 0, 1..) => Tone::Good,
            (0, 0, 0) => Tone::Plain,
        }
    }

    fn sums(&self, end: &End, view: View) -> Vec<String> {
        let mut sums = Vec::new();
        let mut sum = |number: u64, one: &str, many: &str| {
            if number > 0 {
                sums.push(words::count(number, one, many));
            }
        };
        sum(self.passed, "scenario passed", "scenarios passed");
        sum(self.failed, "scenario failed", "scenarios failed");
        sum(self.unsupported, "scenario unsupported", "scenarios unsupported");
        sum(self.interrupted, "scenario interrupted", "scenarios interrupted");
        sum(end.checks_passed, "check passed", "checks passed");
        sum(end.checks_failed, "check failed", "checks failed");
        if let Some(recorded) = end.recorded {
            sums.push(words::count(recorded, "report recorded", "reports recorded"));
            return with_losses(sums, end);
        }
        let is_trace = self.scenarios() == 0;
        // Who asks for connections alone has the kernel report nothing else.
        if end.transitions > 0 || view != View::Connections {
            sums.push(words::count(end.transitions, "transition", "transitions"));
        }
        if is_trace {
            sums.push(words::count(end.connections, "connection", "connections"));
        }
        let kinds = if is_trace { self.kinds() } else { None };
        sums.push(words::count(end.findings, "finding", "findings") + &kinds.unwrap_or_default());
        with_losses(sums, end)
    }

    /// The findings by kind, where there are any.
    fn kinds(&self) -> Option<String> {
        let kind =
            |(kind, number): (&FindingKind, &u64)| format!("{} {}", words::number(*number), kind.name());
        let kinds: Vec<String> = self.findings.iter().map(kind).collect();
        (!kinds.is_empty()).then(|| format!(" ({})", kinds.join(", ")))
    }
}

fn with_losses(mut sums: Vec<String>, end: &End) -> Vec<String> {
    if end.lost > 0 {
        sums.push(words::count(end.lost, "report lost", "reports lost"));
    }
    sums
}
