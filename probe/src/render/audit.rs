//! Renders an audit for a terminal: a table for each group of behaviours, written when its results are complete.

use std::io::{self, Write};

use super::{
    Render,
    comparison::{ABSENT, Chunk, Mismatch, mismatches},
    style::{Role, Style},
    table::{
        self, format,
        text_table::{TextTable, paragraph},
    },
};
use crate::model::{BehaviourGroup, BehaviourResult, BehaviourStatus, End, Output};

/// Writes the results of an audit as tables, in the order of the plan.
#[derive(Debug)]
pub struct AuditTable {
    style: Style,
    /// The ids of the plan, each with its result once it is known.
    results: Vec<(String, Option<BehaviourResult>)>,
    /// The number of behaviours whose groups are written.
    written: usize,
    /// The width of the longest id.
    id_width: usize,
}

impl AuditTable {
    /// A table of the behaviours with these ids.
    #[must_use]
    pub fn new(style: Style, plan: impl IntoIterator<Item = String>) -> Self {
        let results: Vec<_> = plan.into_iter().map(|id| (id, None)).collect();
        let id_width = results.iter().map(|(id, _)| id.chars().count()).max().unwrap_or_default();
        Self { style, results, written: 0, id_width }
    }

    fn result(&mut self, result: &BehaviourResult, out: &mut dyn Write) -> io::Result<()> {
        if let Some((_, slot)) = self.results.iter_mut().find(|(id, _)| *id == result.id) {
            *slot = Some(result.clone());
        }
        while let Some(length) = self.next_group() {
            let group = &self.results[self.written..self.written + length];
            if group.iter().any(|(_, result)| result.is_none()) {
                break;
            }
            self.write_group(length, out)?;
        }
        Ok(())
    }

    /// The number of behaviours in the first group that is not written yet; `None` if all groups are.
    fn next_group(&self) -> Option<usize> {
        let remaining = &self.results[self.written..];
        let group = |id: &str| id.split('/').next().map(str::to_owned);
        let first = group(&remaining.first()?.0);
        Some(remaining.iter().take_while(|(id, _)| group(id) == first).count())
    }

    /// Writes the results of the next group, which has `length` behaviours.
    fn write_group(&mut self, length: usize, out: &mut dyn Write) -> io::Result<()> {
        let group = &self.results[self.written..self.written + length];
        let results: Vec<&BehaviourResult> = group.iter().filter_map(|(_, result)| result.as_ref()).collect();
        if let Some(first) = results.first() {
            writeln!(out)?;
            heading(first.group, self.style, out)?;
            self.rows(&results, out)?;
        }
        self.written += length;
        Ok(())
    }

    /// Writes a row for each result. Details interrupt the table; all ids have the same width, so that rows stay aligned.
    fn rows(&self, results: &[&BehaviourResult], out: &mut dyn Write) -> io::Result<()> {
        let table = || TextTable::new(self.style).no_wrap(&[0, 1, 2]);
        let mut rows = table();
        for result in results {
            let (role, mark) = mark(result.status);
            let status_role = if result.status == BehaviourStatus::AsExpected { Role::Dim } else { role };
            let id_width = self.id_width;
            rows.row([
                (role, mark.to_owned()),
                (Role::Plain, format!("{:id_width$}", result.id)),
                (status_role, format!("{:11}", result.status.name())),
                (Role::Plain, result.description.clone()),
            ]);
            let details = details(result);
            if !details.is_empty() {
                std::mem::replace(&mut rows, table()).write(out)?;
                write_details(self.style, &details, out)?;
            }
        }
        rows.write(out)
    }

    fn end(&mut self, end: &End, out: &mut dyn Write) -> io::Result<()> {
        self.write_incomplete_groups(out)?;
        writeln!(out)?;
        let results = self.results.iter().filter_map(|(_, result)| result.as_ref());
        let with = |status| results.clone().filter(|result| result.status == status).count();
        let variants = results.clone().filter(|result| result.variant.is_some()).count();
        let as_expected = with(BehaviourStatus::AsExpected);
        let of_them = if variants > 0 { format!(" ({variants} by a known variant)") } else { String::new() };
        let mut sums = vec![format!("{as_expected} as expected{of_them}")];
        let bad = [
            (with(BehaviourStatus::Differs), "differs", "differ"),
            (with(BehaviourStatus::Failed), "failed", "failed"),
        ];
        let others = [(with(BehaviourStatus::Unsupported), "unsupported", "unsupported")];
        for (number, one, many) in bad.into_iter().chain(others) {
            sums.extend((number > 0).then(|| format::count(number as u64, one, many)));
        }
        let missing = self.results.iter().filter(|(_, result)| result.is_none()).count();
        sums.extend((missing > 0).then(|| format!("{missing} not run")));
        sums.push(format::count(end.transitions, "transition", "transitions"));
        sums.extend((end.lost > 0).then(|| format::count(end.lost, "report lost", "reports lost")));
        let role = match bad.iter().map(|(number, ..)| number).sum::<usize>() {
            1.. => Role::Error,
            0 if as_expected < self.results.len() || end.lost > 0 => Role::Warning,
            0 => Role::Success,
        };
        paragraph(self.style, role, &sums.join(" · ")).flush_left().write(out)?;
        let attach = end.attach.map(|attach| format!(", attached in {}", format::duration(attach)));
        let times = format!("{}{}", format::duration(end.duration), attach.unwrap_or_default());
        paragraph(self.style, Role::Plain, &times).flush_left().write(out)
    }

    /// Writes the results of groups that are incomplete.
    fn write_incomplete_groups(&mut self, out: &mut dyn Write) -> io::Result<()> {
        while let Some(length) = self.next_group() {
            self.write_group(length, out)?;
        }
        Ok(())
    }
}

impl Render for AuditTable {
    fn render(&mut self, event: &Output, out: &mut Vec<u8>) -> io::Result<()> {
        match event {
            Output::Ready { host, backend, unavailable, .. } => {
                table::write_title(host, *backend, self.style, out)?;
                table::write_unavailable(unavailable, self.style, out)
            }
            Output::Behaviour(result) => self.result(result, out),
            Output::Lost { count, stage } => {
                paragraph(self.style, Role::Error, &format::lost(*count, *stage)).write(out)
            }
            Output::End(end) => self.end(end, out),
            _ => Ok(()),
        }
    }

    fn abort(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.write_incomplete_groups(out)
    }
}

/// Writes the name of a group and its subject.
pub fn heading(group: BehaviourGroup, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let title = format!("{}: {}", group.name(), group.about());
    paragraph(style, Role::Heading, &title).flush_left().write(out)
}

/// The mark of a status.
pub fn mark(status: BehaviourStatus) -> (Role, &'static str) {
    match status {
        BehaviourStatus::AsExpected => (Role::Success, "✓"),
        BehaviourStatus::Differs => (Role::Error, "✗"),
        BehaviourStatus::Failed => (Role::Error, "!"),
        BehaviourStatus::Unsupported => (Role::Warning, "–"),
    }
}

/// A line below a behaviour: its label, the name of the path or fact, and the text.
type Detail<'a> = (&'a str, &'a str, (Role, String));

fn details(result: &BehaviourResult) -> Vec<Detail<'_>> {
    let mut details: Vec<Detail<'_>> = Vec::new();
    if let Some(cause) = &result.variant {
        details.push(("variant", "", (Role::Warning, cause.clone())));
    }
    if let Some(reason) = &result.reason {
        details.push(("reason", "", (Role::Plain, reason.clone())));
    }
    if result.status == BehaviourStatus::Differs {
        let mismatches = mismatches(&result.expected, &result.observed);
        let lines =
            mismatches.into_iter().flat_map(|mismatch| both_values(mismatch, ["expected", "observed"]));
        details.extend(lines);
        details.push(("reference", "", (Role::Dim, result.reference.clone())));
    }
    details
}

/// Both values of a mismatch, one above the other.
pub fn both_values<'a>(mismatch: Mismatch<'a>, labels: [&'a str; 2]) -> [Detail<'a>; 2] {
    let Mismatch { name, values: [first, second] } = mismatch;
    let text =
        |chunks: Option<Vec<Chunk>>| chunks.map_or_else(|| ABSENT.to_owned(), |chunks| Chunk::join(&chunks));
    [(labels[0], name, (Role::Success, text(first))), (labels[1], name, (Role::Error, text(second)))]
}

/// Writes indented lines below a behaviour.
pub fn write_details(style: Style, details: &[Detail<'_>], out: &mut dyn Write) -> io::Result<()> {
    for lines in details.chunk_by(|a, b| a.1.is_empty() == b.1.is_empty()) {
        // Only the last column is wrapped.
        let no_wrap: &[usize] = if lines[0].1.is_empty() { &[0] } else { &[0, 1] };
        let mut table = TextTable::new(style).no_wrap(no_wrap);
        for (label, name, text) in lines {
            let label = (Role::Dim, format!("   {label:9}"));
            match name.is_empty() {
                true => table.row([label, text.clone()]),
                false => table.row([label, (Role::Plain, (*name).to_owned()), text.clone()]),
            }
        }
        table.write(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr as _;

    use super::*;
    use crate::{model::testing, record::arbitrary, render::testing as stream};

    fn shown(width: usize, results: Vec<BehaviourResult>, plan: &[BehaviourResult], end: bool) -> String {
        let plan = plan.iter().map(|result| result.id.clone());
        let mut table = AuditTable::new(Style { width, colour: false }, plan);
        let mut out = Vec::new();
        let results = results.into_iter().map(|result| Output::Behaviour(Box::new(result)));
        let closing = if end { Some(stream::end()) } else { None };
        for event in [stream::ready()].into_iter().chain(results).chain(closing) {
            table.render(&event, &mut out).expect("a Vec accepts every write");
        }
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn every_status_at_every_width() {
        let plan = testing::results();
        insta::assert_snapshot!("80", shown(80, testing::results(), &plan, true));
        insta::assert_snapshot!("140", shown(140, testing::results(), &plan, true));
        for width in [1, 20, 40, 200] {
            assert!(
                shown(width, testing::results(), &plan, true).contains("by a known variant") || width < 60
            );
        }
    }

    #[test]
    fn results_in_any_order_are_written_in_that_of_the_plan() {
        let plan = testing::results();
        let mut results = testing::results();
        results.reverse();
        assert_eq!(shown(100, results, &plan, true), shown(100, plan.clone(), &plan, true));
    }

    #[test]
    fn a_group_is_written_when_it_is_complete() {
        let plan = testing::results();
        let mut results = testing::results();
        results.truncate(2);
        assert!(!shown(100, results.clone(), &plan, false).contains("open/refused"));
        assert!(shown(100, results, &plan, true).contains("4 not run"));
        let mut results = testing::results();
        results.truncate(3);
        assert!(shown(100, results, &plan, false).contains("open/refused"));
    }

    #[test]
    fn totals_are_green_if_everything_is_as_expected() {
        let plan: Vec<_> = testing::results().into_iter().take(2).collect();
        let mut table =
            AuditTable::new(Style { width: 80, colour: true }, plan.iter().map(|result| result.id.clone()));
        let mut out = Vec::new();
        for result in plan {
            table.render(&Output::Behaviour(Box::new(result)), &mut out).expect("a Vec accepts every write");
        }
        table.render(&stream::end(), &mut out).expect("a Vec accepts every write");
        let text = String::from_utf8(out).expect("UTF-8");
        assert!(text.contains("\x1b[38;5;2m2 as expected"), "{text:?}");
    }

    proptest::proptest! {
        #[test]
        fn no_line_is_too_wide_and_no_control_character_is_written(
            event in arbitrary::derived(),
            width in 80..200_usize,
        ) {
            let Output::Behaviour(mut result) = event else { return Ok(()) };
            result.id = "open/any".to_owned();
            let text = shown(width, vec![*result.clone()], &[*result], true);
            for line in text.lines() {
                proptest::prop_assert!(line.width() <= width, "{width} < {}: {line}", line.width());
            }
            proptest::prop_assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text}");
        }
    }
}
