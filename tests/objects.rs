//! The JSON output as values.

use std::ops::Deref;

use serde_json::Value;

/// The object that a line holds.
#[track_caller]
pub fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("no object: {error}: {line}"))
}

/// A stream of objects.
pub struct Objects(Vec<Value>);

impl Objects {
    /// Those of an output, one a line.
    #[track_caller]
    pub fn parse(output: &str) -> Self {
        Self(output.lines().map(parse).collect())
    }

    /// Those of a type, in their order.
    pub fn of(&self, kind: &str) -> impl Iterator<Item = &Value> + Clone {
        self.0.iter().filter(move |object| object["type"] == kind)
    }

    /// The only one of its type.
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

/// The text of a value that is one.
#[track_caller]
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// The number of a value that is one.
#[track_caller]
pub fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}
