//! An audit for a terminal: a table for each group of behaviours, written when all of its results are there.

use std::io::{self, Write};

use super::{
    Render,
    observation::{ABSENT, Gap, Run, gaps},
    style::{Style, Tone},
    table::{
        grid::{Grid, paragraph},
        words,
    },
};
use crate::model::{BehaviourGroup, BehaviourResult, BehaviourStatus, End, Output};

/// Writes the results of an audit as tables, in the order of the plan.
#[derive(Debug)]
pub struct AuditTable {
    style: Style,
    /// What is to come, and what has.
    turns: Vec<(String, Option<BehaviourResult>)>,
    /// How many of them are written.
    written: usize,
    /// So wide is the longest id.
    widest: usize,
}

impl AuditTable {
    /// A table of the behaviours that have these ids.
    #[must_use]
    pub fn new(style: Style, plan: impl IntoIterator<Item = String>) -> Self {
        let turns: Vec<_> = plan.into_iter().map(|id| (id, None)).collect();
        let widest = turns.iter().map(|(id, _)| id.chars().count()).max().unwrap_or_default();
        Self { style, turns, written: 0, widest }
    }

    fn result(&mut self, result: &BehaviourResult, out: &mut dyn Write) -> io::Result<()> {
        if let Some((_, turn)) = self.turns.iter_mut().find(|(id, _)| *id == result.id) {
            *turn = Some(result.clone());
        }
        while let Some(length) = self.next_group() {
            let group = &self.turns[self.written..self.written + length];
            if group.iter().any(|(_, result)| result.is_none()) {
                break;
            }
            self.write(length, out)?;
        }
        Ok(())
    }

    /// How many of what is not yet written are of one group; `None` where all is.
    fn next_group(&self) -> Option<usize> {
        let rest = &self.turns[self.written..];
        let group = |id: &str| id.split('/').next().map(str::to_owned);
        let first = group(&rest.first()?.0);
        Some(rest.iter().take_while(|(id, _)| group(id) == first).count())
    }

    /// Writes what there is of the next turns.
    fn write(&mut self, length: usize, out: &mut dyn Write) -> io::Result<()> {
        let turns = &self.turns[self.written..self.written + length];
        let results: Vec<&BehaviourResult> = turns.iter().filter_map(|(_, result)| result.as_ref()).collect();
        if let Some(first) = results.first() {
            writeln!(out)?;
            heading(first.group, self.style, out)?;
            self.rows(&results, out)?;
        }
        self.written += length;
        Ok(())
    }

    /// A line for each result. What there is to be said of one interrupts the grid; the ids are all as wide as the
    /// widest, so that the lines stay under one another.
    fn rows(&self, results: &[&BehaviourResult], out: &mut dyn Write) -> io::Result<()> {
        let grid = || Grid::new(self.style).whole(&[0, 1, 2]);
        let mut lines = grid();
        for result in results {
            let (tone, mark) = mark(result.status);
            let status_tone = if result.status == BehaviourStatus::AsExpected { Tone::Faint } else { tone };
            let widest = self.widest;
            lines.row([
                (tone, mark.to_owned()),
                (Tone::Plain, format!("{:widest$}", result.id)),
                (status_tone, format!("{:11}", result.status.name())),
                (Tone::Plain, result.description.clone()),
            ]);
            let details = details(result);
            if !details.is_empty() {
                std::mem::replace(&mut lines, grid()).write(out)?;
                write_details(self.style, &details, out)?;
            }
        }
        lines.write(out)
    }

    fn end(&mut self, end: &End, out: &mut dyn Write) -> io::Result<()> {
        self.rest(out)?;
        writeln!(out)?;
        let results = self.turns.iter().filter_map(|(_, result)| result.as_ref());
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
            sums.extend((number > 0).then(|| words::count(number as u64, one, many)));
        }
        let missing = self.turns.iter().filter(|(_, result)| result.is_none()).count();
        sums.extend((missing > 0).then(|| format!("{missing} not done")));
        sums.push(words::count(end.transitions, "transition", "transitions"));
        sums.extend((end.lost > 0).then(|| words::count(end.lost, "report lost", "reports lost")));
        let tone = match bad.iter().map(|(number, ..)| number).sum::<usize>() {
            1.. => Tone::Bad,
            0 if as_expected < self.turns.len() || end.lost > 0 => Tone::Remarkable,
            0 => Tone::Good,
        };
        paragraph(self.style, tone, &sums.join(" · ")).flush_left().write(out)?;
        let attach = end.attach.map(|attach| format!(", attached in {}", words::span(attach)));
        let times = format!("{}{}", words::span(end.duration), attach.unwrap_or_default());
        paragraph(self.style, Tone::Plain, &times).flush_left().write(out)
    }

    /// Writes what has come of groups that did not come whole.
    fn rest(&mut self, out: &mut dyn Write) -> io::Result<()> {
        while let Some(length) = self.next_group() {
            self.write(length, out)?;
        }
        Ok(())
    }
}

impl Render for AuditTable {
    fn render(&mut self, event: &Output, out: &mut Vec<u8>) -> io::Result<()> {
        match event {
            Output::Ready { host, backend, unavailable, .. } => {
                super::table::greet(host, *backend, self.style, out)?;
                unavailable.iter().try_for_each(|lack| {
                    paragraph(self.style, Tone::Remarkable, &format!("– {lack}")).write(out)
                })
            }
            Output::Behaviour(result) => self.result(result, out),
            Output::Lost { count, stage } => {
                paragraph(self.style, Tone::Bad, &words::lost(*count, stage)).write(out)
            }
            Output::End(end) => self.end(end, out),
            _ => Ok(()),
        }
    }

    fn abort(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.rest(out)
    }
}

/// The name of a group, and what it is about.
pub fn heading(group: BehaviourGroup, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let title = format!("{}: {}", group.name(), group.about());
    paragraph(style, Tone::Heading, &title).flush_left().write(out)
}

/// The sign of a status.
pub fn mark(status: BehaviourStatus) -> (Tone, &'static str) {
    match status {
        BehaviourStatus::AsExpected => (Tone::Good, "✓"),
        BehaviourStatus::Differs => (Tone::Bad, "✗"),
        BehaviourStatus::Failed => (Tone::Bad, "!"),
        BehaviourStatus::Unsupported => (Tone::Remarkable, "–"),
    }
}

/// A line below a behaviour: what it is, whose, and the text.
type Detail<'a> = (&'a str, &'a str, (Tone, String));

fn details(result: &BehaviourResult) -> Vec<Detail<'_>> {
    let mut details: Vec<Detail<'_>> = Vec::new();
    if let Some(cause) = &result.variant {
        details.push(("variant", "", (Tone::Remarkable, cause.clone())));
    }
    if let Some(reason) = &result.reason {
        details.push(("because", "", (Tone::Plain, reason.clone())));
    }
    if result.status == BehaviourStatus::Differs {
        let gaps = gaps(&result.expected, &result.observed);
        details.extend(gaps.into_iter().flat_map(|gap| pair(gap, ["expected", "observed"])));
        details.push(("reference", "", (Tone::Faint, result.reference.clone())));
    }
    details
}

/// Both sides of a gap, one above the other.
pub fn pair<'a>(gap: Gap<'a>, words: [&'a str; 2]) -> [Detail<'a>; 2] {
    let Gap { name, sides: [first, second] } = gap;
    let text = |runs: Option<Vec<Run>>| runs.map_or_else(|| ABSENT.to_owned(), |runs| Run::line(&runs));
    [(words[0], name, (Tone::Good, text(first))), (words[1], name, (Tone::Bad, text(second)))]
}

/// Writes lines below a behaviour, which stand in from it.
pub fn write_details(style: Style, details: &[Detail<'_>], out: &mut dyn Write) -> io::Result<()> {
    let indent = |word: &str| format!("   {word:9}");
    for alike in details.chunk_by(|one, next| one.1.is_empty() == next.1.is_empty()) {
        // Neither words nor names are wrapped; the text, which comes last, is.
        let whole: &[usize] = if alike[0].1.is_empty() { &[0] } else { &[0, 1] };
        let mut grid = Grid::new(style).whole(whole);
        for (word, name, text) in alike {
            let word = (Tone::Faint, indent(word));
            match name.is_empty() {
                true => grid.row([word, text.clone()]),
                false => grid.row([word, (Tone::Plain, (*name).to_owned()), text.clone()]),
            }
        }
        grid.write(out)?;
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
            table.render(&event, &mut out).expect("memory takes everything");
        }
        String::from_utf8(out).expect("text")
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
    fn results_come_in_any_order_and_are_told_in_that_of_the_plan() {
        let plan = testing::results();
        let mut results = testing::results();
        results.reverse();
        assert_eq!(shown(100, results, &plan, true), shown(100, plan.clone(), &plan, true));
    }

    #[test]
    fn a_group_is_told_when_it_is_whole() {
        let plan = testing::results();
        let mut results = testing::results();
        results.truncate(2);
        assert!(!shown(100, results.clone(), &plan, false).contains("open/refused"));
        assert!(shown(100, results, &plan, true).contains("4 not done"));
        let mut results = testing::results();
        results.truncate(3);
        assert!(shown(100, results, &plan, false).contains("open/refused"));
    }

    #[test]
    fn what_is_all_as_expected_is_good() {
        let plan: Vec<_> = testing::results().into_iter().take(2).collect();
        let mut table =
            AuditTable::new(Style { width: 80, colour: true }, plan.iter().map(|result| result.id.clone()));
        let mut out = Vec::new();
        for result in plan {
            table.render(&Output::Behaviour(Box::new(result)), &mut out).expect("memory takes everything");
        }
        table.render(&stream::end(), &mut out).expect("memory takes everything");
        let text = String::from_utf8(out).expect("text");
        assert!(text.contains("\x1b[38;5;2m2 as expected"), "{text:?}");
    }

    proptest::proptest! {
        #[test]
        fn no_line_is_too_wide_and_no_control_character_gets_through(
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
