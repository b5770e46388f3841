//! Tables of scenarios.

use super::*;
use crate::render::testing;

fn shown(events: impl IntoIterator<Item = Output>, width: usize, colour: bool) -> String {
    let mut table = Table::new(Style { width, colour }, View::Transitions, TimeFormat::Elapsed);
    let mut out = Vec::new();
    for event in events {
        table.render(&event, &mut out).expect("a Vec accepts every write");
    }
    String::from_utf8(out).expect("UTF-8")
}

/// A whole run: events between start and end.
fn run(events: Vec<Output>) -> Vec<Output> {
    [testing::ready()].into_iter().chain(events).chain([testing::end()]).collect()
}

#[test]
fn a_run_at_80_columns() {
    insta::assert_snapshot!("run_80", shown(run(testing::self_connect()), 80, false));
}

#[test]
fn a_run_at_140_columns() {
    insta::assert_snapshot!("run_140", shown(run(testing::self_connect()), 140, false));
}

#[test]
fn a_run_in_colour() {
    let text = shown(run(testing::self_connect()), 140, true);
    insta::assert_snapshot!("run_colour", text.replace('\x1b', "␛"));
}

#[test]
fn unusual_values_at_80_columns() {
    insta::assert_snapshot!("unusual_80", shown(run(testing::unusual()), 80, false));
}

#[test]
fn unusual_values_at_140_columns() {
    insta::assert_snapshot!("unusual_140", shown(run(testing::unusual()), 140, false));
}

#[test]
fn transitions_outside_of_scenarios() {
    insta::assert_snapshot!("outside_80", shown(run(testing::outside()), 80, false));
}

#[test]
fn no_line_is_too_wide_or_ends_in_spaces() {
    for width in [20, 40, 60, 80, 100, 120, 140, 200] {
        for events in [testing::self_connect(), testing::unusual(), testing::outside()] {
            for line in shown(run(events), width, false).lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
                assert_eq!(line, line.trim_end());
            }
        }
    }
}

#[test]
fn no_control_character_is_written() {
    for width in [40, 80, 140] {
        let text = shown(run(testing::unusual()), width, false);
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text}");
    }
}
