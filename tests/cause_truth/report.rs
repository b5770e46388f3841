//! What was reported and what is proven, by row.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs::File,
    io::Write as _,
};

use super::compare::Pair;
use crate::support::text;

/// Rows of what was reported and what the stack proves, each with what happened and how often.
#[derive(Default)]
pub struct Report {
    rows: BTreeMap<(String, String), (usize, BTreeSet<String>)>,
}

impl Report {
    /// Adds a transition.
    pub fn add(&mut self, pair: &Pair<'_>, label: &str, contradiction: Option<&str>) {
        let transition = pair.reported;
        let proven = pair.proof.map_or_else(|| "nothing".to_owned(), |proof| format!("{proof:?}"));
        let row = format!(
            "{} {}→{}: told `{}`, proven {proven} by {}",
            text(&transition["protocol"]),
            text(&transition["old"]),
            text(&transition["new"]),
            pair.told(),
            pair.frames.join(" < ")
        );
        let key = (contradiction.unwrap_or("").to_owned(), row);
        let (count, labels) = self.rows.entry(key).or_default();
        *count += 1;
        labels.insert(label.to_owned());
    }

    /// Panics where a row has a contradiction.
    pub fn check(&self) {
        let lines = |is_shown: fn(&str) -> bool, examples: usize| {
            let rows = self.rows.iter().filter(|((why, _), _)| is_shown(why));
            rows.fold(String::new(), |mut lines, ((why, row), (count, labels))| {
                let labels: Vec<_> = labels.iter().take(examples).map(String::as_str).collect();
                writeln!(lines, "{why} | {count}x | {} | {row}", labels.join("; ")).unwrap();
                lines
            })
        };
        // The whole matrix, for a person.
        if let Ok(file) = std::env::var("PROBE_TEST_CAUSES") {
            let mut file = File::options().append(true).create(true).open(file).unwrap();
            file.write_all(lines(|_| true, usize::MAX).as_bytes()).unwrap();
        }
        let wrong = lines(|why| !why.is_empty(), 3);
        assert!(wrong.is_empty(), "{wrong}");
    }
}
