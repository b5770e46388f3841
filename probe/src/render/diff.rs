//! Renders the differences between two profiles: for a terminal, first facts and then behaviours, with both values one above
//! the other; for programs, an object for each.

use std::{
    io::{self, Write},
    time::SystemTime,
};

use super::{
    audit::{both_values, write_details},
    comparison::mismatches,
    style::{Role, Style},
    table::{
        format,
        text_table::{TextTable, paragraph},
    },
};
use crate::{
    model::{Difference, Profile, ProfileEntry},
    record::Object,
};

/// Writes differences that were determined at `at` as JSON Lines.
///
/// # Errors
/// Whatever `out` returns.
pub fn json(differences: &[Difference], at: SystemTime, out: &mut dyn Write) -> io::Result<()> {
    for difference in differences {
        serde_json::to_writer(&mut *out, &Object::of_difference(difference, at))?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// Writes the differences between two profiles as tables.
///
/// # Errors
/// Whatever `out` returns.
pub fn table(
    profiles: [&Profile; 2],
    differences: &[Difference],
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    for (name, profile) in ["A", "B"].into_iter().zip(profiles) {
        let facts = &profile.facts;
        let number = format::count(profile.behaviours.len() as u64, "behaviour", "behaviours");
        let title =
            format!("{name}: Linux {} {}, {}, {number}", facts.kernel, facts.arch, facts.backend.name());
        paragraph(style, Role::Dim, &title).flush_left().write(out)?;
    }
    facts(differences, style, out)?;
    let is_fact = |difference: &&Difference| {
        matches!(difference, Difference::Fact { .. }) && difference.is_significant()
    };
    let mut totals = Totals { facts: differences.iter().filter(is_fact).count() as u64, ..Totals::default() };
    let mut only_in = [Vec::new(), Vec::new()];
    for difference in differences {
        let Difference::Behaviour { id, a, b, why } = difference else { continue };
        match (a.as_deref(), b.as_deref()) {
            (Some(a), Some(b)) => {
                totals.count(a, b);
                writeln!(out)?;
                behaviour(id, [a, b], why, style, out)?;
            }
            (a, _) => only_in[usize::from(a.is_none())].push(id.as_str()),
        }
    }
    for (name, ids) in ["A", "B"].into_iter().zip(&only_in) {
        if !ids.is_empty() {
            writeln!(out)?;
            let title = format!("only in {name}: {}", ids.join(", "));
            paragraph(style, Role::Dim, &title).flush_left().write(out)?;
        }
    }
    writeln!(out)?;
    let (role, text) = match (differences.is_empty(), differences.iter().any(Difference::is_significant)) {
        (true, _) => (Role::Success, "no difference".to_owned()),
        (false, false) => (Role::Success, "no difference but the release".to_owned()),
        (false, true) => totals.text(only_in.iter().map(Vec::len).sum()),
    };
    paragraph(style, role, &text).flush_left().write(out)?;
    out.flush()
}

/// The numbers of differences.
#[derive(Default)]
struct Totals {
    /// Facts, but for the release.
    facts: u64,
    /// Behaviours that both profiles have.
    differing: u64,
    /// Those that one of the audits did not complete.
    incomparable: u64,
}

impl Totals {
    fn count(&mut self, a: &ProfileEntry, b: &ProfileEntry) {
        match a.is_complete() && b.is_complete() {
            true => self.differing += 1,
            false => self.incomparable += 1,
        }
    }

    fn text(&self, only_in_one: usize) -> (Role, String) {
        let mut sums = vec![match self.differing {
            0 => "no behaviour differs".to_owned(),
            number => format::count(number, "behaviour differs", "behaviours differ"),
        }];
        sums.extend((self.facts > 0).then(|| format::count(self.facts, "fact differs", "facts differ")));
        sums.extend((self.incomparable > 0).then(|| format!("{} not compared", self.incomparable)));
        sums.extend((only_in_one > 0).then(|| format!("{only_in_one} only in one profile")));
        let role = match (self.differing, sums.len()) {
            (1.., _) => Role::Error,
            (0, 1) => Role::Success,
            (0, _) => Role::Warning,
        };
        (role, sums.join(" · "))
    }
}

fn facts(differences: &[Difference], style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut table = TextTable::new(style).header(["fact", "name", "A", "B"]).no_wrap(&[0, 1]);
    let mut any = false;
    for difference in differences {
        let Difference::Fact { kind, name, a, b } = difference else { continue };
        any = true;
        let value = |value: &Option<String>| match value {
            Some(value) if value.is_empty() => (Role::Dim, "empty".to_owned()),
            Some(value) => (Role::Plain, value.clone()),
            None => (Role::Dim, "absent".to_owned()),
        };
        table.row([(Role::Dim, kind.name().to_owned()), (Role::Plain, name.clone()), value(a), value(b)]);
    }
    if any {
        writeln!(out)?;
        table.write(out)?;
    }
    Ok(())
}

fn behaviour(
    id: &str,
    [a, b]: [&ProfileEntry; 2],
    why: &[String],
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    paragraph(style, Role::Heading, &format!("{id}: {}", a.description)).flush_left().write(out)?;
    let mut details = Vec::new();
    if a.status != b.status || a.reason.is_some() || b.reason.is_some() {
        details.extend([("A", a), ("B", b)].map(|(name, entry)| (name, "", status(entry))));
    }
    if a.is_complete() && b.is_complete() {
        let mismatches = mismatches(&a.observed, &b.observed);
        details.extend(mismatches.into_iter().flat_map(|mismatch| both_values(mismatch, ["A", "B"])));
    }
    details.extend(why.iter().map(|why| ("why", "", (Role::Warning, why.clone()))));
    write_details(style, &details, out)
}

fn status(entry: &ProfileEntry) -> (Role, String) {
    let (role, _) = super::audit::mark(entry.status);
    let reason = entry.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    (role, format!("{}{reason}", entry.status.name()))
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr as _;

    use super::*;
    use crate::{
        model::testing,
        record::{arbitrary, profile::compare},
    };

    fn shown(profiles: [&Profile; 2], width: usize) -> String {
        let mut out = Vec::new();
        let differences = compare(profiles[0], profiles[1]);
        table(profiles, &differences, Style { width, colour: false }, &mut out)
            .expect("a Vec accepts every write");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn both_values_are_one_above_the_other() {
        let [a, b] = testing::profiles();
        insta::assert_snapshot!("80", shown([&a, &b], 80));
        insta::assert_snapshot!("140", shown([&b, &a], 140));
    }

    #[test]
    fn equal_profiles_have_no_differences() {
        let [a, _] = testing::profiles();
        assert!(shown([&a, &a], 80).ends_with("\n\nno difference\n"));
        assert_eq!(compare(&a, &a), []);
    }

    #[test]
    fn every_difference_is_an_object() {
        let [a, b] = testing::profiles();
        let mut out = Vec::new();
        json(&compare(&a, &b), std::time::UNIX_EPOCH, &mut out).expect("a Vec accepts every write");
        insta::assert_snapshot!("json", String::from_utf8(out).expect("UTF-8"));
    }

    proptest::proptest! {
        #[test]
        fn no_line_is_too_wide_and_no_control_character_is_written(
            a in arbitrary::profile(),
            b in arbitrary::profile(),
            width in 80..200_usize,
        ) {
            let text = shown([&a, &b], width);
            for line in text.lines() {
                proptest::prop_assert!(line.width() <= width, "{width} < {}: {line}", line.width());
            }
            proptest::prop_assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text}");
        }
    }
}
