//! JSON Lines: one object a line, written as it happens.

use std::io;

use super::{Render, View};
use crate::{
    model::{Clock, Output},
    record::Lines,
};

/// Writes every event of the view as the object that [`record`](crate::record) makes of it.
#[derive(Debug)]
pub struct Json {
    view: View,
    /// Known from [`Output::Ready`] on.
    clock: Option<Clock>,
    lines: Lines,
}

impl Json {
    /// A renderer at the beginning of a stream.
    #[must_use]
    pub fn new(view: View) -> Self {
        Self { view, clock: None, lines: Lines::default() }
    }
}

impl Render for Json {
    fn render(&mut self, event: &Output, out: &mut Vec<u8>) -> io::Result<()> {
        if let Output::Ready { host, .. } = event {
            self.clock = Some(host.clock);
        }
        if self.view.shows(event) {
            self.lines.write(event, self.clock, out)?;
        }
        Ok(())
    }

    /// Every object is written as it comes.
    fn abort(&mut self, _out: &mut Vec<u8>) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::render::testing;

    fn shown(events: impl IntoIterator<Item = Output>) -> String {
        viewed(View::Transitions, events)
    }

    fn viewed(view: View, events: impl IntoIterator<Item = Output>) -> String {
        let mut json = Json::new(view);
        let mut out = Vec::new();
        for event in events {
            json.render(&event, &mut out).expect("memory takes everything");
        }
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn every_kind_of_object() {
        // The first try and its finding stand for the thousands.
        let run = testing::self_connect().into_iter().filter(|event| match event {
            Output::Transition(transition) => transition.seq < 4,
            Output::Finding(finding) => finding.evidence[0] == 1,
            _ => true,
        });
        let events =
            [testing::ready()].into_iter().chain(run).chain(testing::trouble()).chain(testing::outside());
        insta::assert_snapshot!("every_kind", shown(events.chain([testing::end()])));
    }

    #[test]
    fn every_line_is_an_object_with_type_and_version() {
        for line in shown(testing::trouble()).lines() {
            let object: serde_json::Value = serde_json::from_str(line).expect("JSON");
            assert!(object["type"].is_string() && object["v"] == 1, "{line}");
        }
    }

    #[test]
    fn a_view_leaves_out_what_it_is_not_about() {
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
        let without = |left_out: &[&str]| {
            let mut types = types(View::Transitions);
            types.retain(|kind| !left_out.contains(&kind.as_str()));
            types
        };
        assert!(
            types(View::Transitions).is_superset(&["transition", "connection"].map(str::to_owned).into())
        );
        assert_eq!(types(View::Connections), without(&["transition"]));
        assert_eq!(types(View::Findings), without(&["transition", "connection", "reset", "time_wait"]));
    }

    #[test]
    fn the_time_of_day_is_unknown_before_the_host_is() {
        let text = shown(testing::outside());
        assert!(
            text.starts_with(r#"{"type":"transition","v":1,"time":null,"mono_ns":1000000000,"#),
            "{text}"
        );
    }
}
