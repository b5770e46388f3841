//! In what two profiles differ: for a terminal, the facts and then the behaviours, both sides one above the other;
//! for programs, an object for each.

use std::io::{self, Write};

use super::{
    audit::{pair, write_details},
    observation::gaps,
    style::{Style, Tone},
    table::{
        grid::{Grid, paragraph},
        words,
    },
};
use crate::{
    model::{Difference, Profile, ProfileEntry},
    record::Object,
};

/// Writes the differences as JSON Lines.
///
/// # Errors
/// Whatever `out` returns.
pub fn json(differences: &[Difference], out: &mut dyn Write) -> io::Result<()> {
    for difference in differences {
        serde_json::to_writer(&mut *out, &Object::of_difference(difference))?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// Writes the differences between these profiles as tables.
///
/// # Errors
/// Whatever `out` returns.
pub fn table(
    profiles: [&Profile; 2],
    differences: &[Difference],
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    for (side, profile) in ["A", "B"].into_iter().zip(profiles) {
        let facts = &profile.facts;
        let number = words::count(profile.behaviours.len() as u64, "behaviour", "behaviours");
        let title =
            format!("{side}: Linux {} {}, {}, {number}", facts.kernel, facts.arch, facts.backend.name());
        paragraph(style, Tone::Faint, &title).flush_left().write(out)?;
    }
    facts(differences, style, out)?;
    let mut tally = Tally::default();
    let mut alone = [Vec::new(), Vec::new()];
    for difference in differences {
        let Difference::Behaviour { id, a, b, why } = difference else { continue };
        match (a.as_deref(), b.as_deref()) {
            (Some(a), Some(b)) => {
                tally.count(a, b);
                writeln!(out)?;
                behaviour(id, [a, b], why, style, out)?;
            }
            (a, _) => alone[usize::from(a.is_none())].push(id.as_str()),
        }
    }
    for (side, ids) in ["A", "B"].into_iter().zip(&alone) {
        if !ids.is_empty() {
            writeln!(out)?;
            let title = format!("in {side} alone: {}", ids.join(", "));
            paragraph(style, Tone::Faint, &title).flush_left().write(out)?;
        }
    }
    writeln!(out)?;
    let (tone, sum) = match differences.is_empty() {
        true => (Tone::Good, "no difference".to_owned()),
        false => tally.sum(alone.iter().map(Vec::len).sum()),
    };
    paragraph(style, tone, &sum).flush_left().write(out)?;
    out.flush()
}

/// What the behaviours that both profiles have come to.
#[derive(Default)]
struct Tally {
    differing: u64,
    incomparable: u64,
}

impl Tally {
    fn count(&mut self, a: &ProfileEntry, b: &ProfileEntry) {
        match a.is_complete() && b.is_complete() {
            true => self.differing += 1,
            false => self.incomparable += 1,
        }
    }

    fn sum(&self, alone: usize) -> (Tone, String) {
        let mut sums = vec![match self.differing {
            0 => "no behaviour differs".to_owned(),
            number => words::count(number, "behaviour differs", "behaviours differ"),
        }];
        sums.extend((self.incomparable > 0).then(|| format!("{} not compared", self.incomparable)));
        sums.extend((alone > 0).then(|| format!("{alone} in one profile alone")));
        let tone = match (self.differing, sums.len()) {
            (1.., _) => Tone::Bad,
            (0, 1) => Tone::Good,
            (0, _) => Tone::Remarkable,
        };
        (tone, sums.join(" · "))
    }
}

fn facts(differences: &[Difference], style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut grid = Grid::new(style).header(["what", "name", "A", "B"]).whole(&[0, 1]);
    let mut any = false;
    for difference in differences {
        let Difference::Fact { kind, name, a, b } = difference else { continue };
        any = true;
        let value = |value: &Option<String>| match value {
            Some(value) if value.is_empty() => (Tone::Faint, "empty".to_owned()),
            Some(value) => (Tone::Plain, value.clone()),
            None => (Tone::Faint, "absent".to_owned()),
        };
        grid.row([(Tone::Faint, kind.name().to_owned()), (Tone::Plain, name.clone()), value(a), value(b)]);
    }
    if any {
        writeln!(out)?;
        grid.write(out)?;
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
    paragraph(style, Tone::Heading, &format!("{id}: {}", a.description)).flush_left().write(out)?;
    let mut details = Vec::new();
    if a.status != b.status || a.reason.is_some() || b.reason.is_some() {
        details.extend([("A", a), ("B", b)].map(|(side, kept)| (side, "", status(kept))));
    }
    if a.is_complete() && b.is_complete() {
        details.extend(gaps(&a.observed, &b.observed).into_iter().flat_map(|gap| pair(gap, ["A", "B"])));
    }
    details.extend(why.iter().map(|why| ("why", "", (Tone::Remarkable, why.clone()))));
    write_details(style, &details, out)
}

fn status(kept: &ProfileEntry) -> (Tone, String) {
    let (tone, _) = super::audit::mark(kept.status);
    let reason = kept.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    (tone, format!("{}{reason}", kept.status.name()))
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
            .expect("memory takes everything");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn both_sides_stand_one_above_the_other() {
        let [a, b] = testing::profiles();
        insta::assert_snapshot!("80", shown([&a, &b], 80));
        insta::assert_snapshot!("140", shown([&b, &a], 140));
    }

    #[test]
    fn nothing_is_said_of_what_is_the_same() {
        let [a, _] = testing::profiles();
        assert!(shown([&a, &a], 80).ends_with("\n\nno difference\n"));
        assert_eq!(compare(&a, &a), []);
    }

    #[test]
    fn each_is_an_object_a_line() {
        let [a, b] = testing::profiles();
        let mut out = Vec::new();
        json(&compare(&a, &b), &mut out).expect("memory takes everything");
        insta::assert_snapshot!("json", String::from_utf8(out).expect("text"));
    }

    proptest::proptest! {
        #[test]
        fn no_line_is_too_wide_and_no_control_character_gets_through(
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
