//! The JSON output as values.

use std::ops::Deref;

use serde_json::Value;

/// Parses a line.
#[track_caller]
pub fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("not JSON: {error}: {line}"))
}

/// The objects of an output.
pub struct Objects(Vec<Value>);

impl Objects {
    /// Parses an output of one object per line.
    #[track_caller]
    pub fn parse(output: &str) -> Self {
        Self(output.lines().map(parse).collect())
    }

    /// The same, with each child's first transition under the child's identity, which the kernel sets after it before Linux
    /// 6.15 (`socket` is null): that of the transition which leaves its state, by the time in between.
    pub fn with_named_children(mut self) -> Self {
        let leaves = |child: &Value, later: &Value| {
            let duration = later["state_duration_ns"].as_u64();
            later["old"] == child["new"]
                && (&later["netns"], &later["local"]) == (&child["netns"], &child["local"])
                && duration
                    .is_some_and(|duration| number(&later["mono_ns"]) - duration == number(&child["mono_ns"]))
        };
        for index in 0..self.0.len() {
            if self.0[index]["type"] != "transition" || !self.0[index]["socket"].is_null() {
                continue;
            }
            let (child, later) = self.0[index..].split_first_mut().expect("it is there");
            let same = later.iter().find(|later| leaves(child, later));
            let same = same.unwrap_or_else(|| panic!("no transition names the child of {child}"));
            for field in ["socket", "generation"] {
                child[field] = same[field].clone();
            }
        }
        self
    }

    /// The objects of a type, in order.
    pub fn of(&self, kind: &str) -> impl Iterator<Item = &Value> + Clone {
        self.0.iter().filter(move |object| object["type"] == kind)
    }

    /// The only object of a type.
    #[track_caller]
    pub fn one(&self, kind: &str) -> &Value {
        let all: Vec<_> = self.of(kind).collect();
        assert_eq!(all.len(), 1, "objects of type {kind}");
        all[0]
    }

    /// Each scenario's verdict.
    pub fn verdicts(&self) -> Vec<(&str, &str)> {
        let ends = self.of("scenario").filter(|scenario| scenario["phase"] == "end");
        ends.map(|end| (text(&end["name"]), text(&end["verdict"]))).collect()
    }
}

impl Deref for Objects {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        &self.0
    }
}

/// A value's string.
#[track_caller]
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a string"))
}

/// A value's number.
#[track_caller]
pub fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is not a number"))
}
