//! JSON Lines: one object per line, written as it happens.

use std::io;

use super::{Render, View};
use crate::{
    model::{Mono, Output},
    record::Lines,
};

/// Writes the events of a view as the objects that [`record`](crate::record) defines.
#[derive(Debug)]
pub struct Json {
    view: View,
    lines: Lines,
}

impl Json {
    /// A renderer at the start of a stream.
    #[must_use]
    pub fn new(view: View) -> Self {
        let lines = if view == View::Connections { Lines::of_connections() } else { Lines::default() };
        Self { view, lines }
    }
}

impl Render for Json {
    fn render(&mut self, event: &Output, out: &mut Vec<u8>) -> io::Result<()> {
        if self.view.shows(event) {
            self.lines.write(event, out)?;
        } else {
            self.lines.observe(event);
        }
        Ok(())
    }

    fn advance(&mut self, latest: Mono) {
        self.lines.advance(latest);
    }

    /// Nothing is buffered.
    fn abort(&mut self, _out: &mut Vec<u8>) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{model::LossStage, render::testing};

    fn shown(events: impl IntoIterator<Item = Output>) -> String {
        viewed(View::Transitions, events)
    }

    fn viewed(view: View, events: impl IntoIterator<Item = Output>) -> String {
        let mut json = Json::new(view);
        let mut out = Vec::new();
        for event in events {
            json.render(&event, &mut out).expect("a Vec accepts every write");
        }
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn every_type_of_object() {
        // Of thousands of attempts, the first one with its finding.
        let run = testing::self_connect().into_iter().filter(|event| match event {
            Output::Transition(transition) => transition.seq < 4,
            Output::Finding(finding) => finding.evidence[0] == 1,
            _ => true,
        });
        let events =
            [testing::ready()].into_iter().chain(run).chain(testing::unusual()).chain(testing::outside());
        insta::assert_snapshot!("every_kind", shown(events.chain([testing::end()])));
    }

    #[test]
    fn every_line_is_an_object_with_type_version_and_time() {
        for line in shown([testing::ready()].into_iter().chain(testing::unusual())).lines() {
            let object: serde_json::Value = serde_json::from_str(line).expect("JSON");
            assert!(object["type"].is_string() && object["v"] == 1 && object["time"].is_string(), "{line}");
        }
    }

    #[test]
    fn a_view_of_connections_has_no_number_of_transitions() {
        let end = |view| viewed(view, [testing::ready(), testing::end()]);
        assert!(end(View::Connections).contains(r#""transitions":null,"connections":3814,"open":null,"#));
        assert!(end(View::Findings).contains(r#""transitions":7650,"connections":3814,"open":0,"#));
    }

    #[test]
    fn a_view_omits_the_events_of_others() {
        let types = |view| {
            let stream =
                [testing::ready()].into_iter().chain(testing::trace()).chain(testing::self_connect());
            let types: BTreeSet<String> = viewed(view, stream.chain([testing::end()]))
                .lines()
                .map(|line| {
                    let object: serde_json::Value = serde_json::from_str(line).expect("JSON");
                    object["type"].as_str().expect("a type").to_owned()
                })
                .collect();
            types
        };
        let without = |omitted: &[&str]| {
            let mut types = types(View::Transitions);
            types.retain(|kind| !omitted.contains(&kind.as_str()));
            types
        };
        assert!(
            types(View::Transitions).is_superset(&["transition", "connection"].map(str::to_owned).into())
        );
        assert_eq!(types(View::Connections), without(&["transition"]));
        assert_eq!(types(View::Findings), without(&["transition", "connection", "reset", "time_wait"]));
    }

    #[test]
    fn a_loss_is_dated_by_the_latest_event_even_if_that_is_not_shown() {
        let mut json = Json::new(View::Findings);
        let mut out = Vec::new();
        let lost = Output::Lost { count: 1, stage: LossStage::Ring };
        json.render(&testing::ready(), &mut out).expect("a Vec accepts every write");
        json.advance(Mono(2_000_000_000));
        json.render(&lost, &mut out).expect("a Vec accepts every write");
        let text = String::from_utf8(out).expect("UTF-8");
        let line = text.lines().last().expect("two lines");
        assert!(
            line.starts_with(r#"{"type":"lost","v":1,"time":"2026-11-18T11:06:42.000000000Z","#),
            "{line}"
        );
    }

    #[test]
    fn the_time_is_null_before_ready() {
        let text = shown(testing::outside());
        assert!(
            text.starts_with(r#"{"type":"transition","v":1,"time":null,"mono_ns":1000000000,"#),
            "{text}"
        );
    }
}
