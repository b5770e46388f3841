//! The JSON output and the schema that `probe schema` prints: every object of real streams is valid.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::support::{Objects, Outcome, Probe, fixture};

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let printed = Probe::new("schema").run().exits(0).silently();
    serde_json::from_str(&printed.stdout).expect("the schema is JSON")
});

static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
    jsonschema::options()
        .should_validate_formats(true)
        .build(&SCHEMA)
        .expect("a schema without external references")
});

/// Validates every object of a stream.
#[track_caller]
pub fn validate(objects: &Objects) {
    assert!(!objects.is_empty());
    for object in objects.iter() {
        if let Err(error) = VALIDATOR.validate(object) {
            panic!("{error}, at `{}` of {object}", error.instance_path);
        }
    }
}

fn replay(name: &str) -> Outcome {
    Probe::new("replay --format json").arg(fixture(name)).run().exits(0).silently()
}

#[test]
fn the_schema_is_valid_in_draft_2020_12() {
    assert_eq!(SCHEMA["$schema"], "https://json-schema.org/draft/2020-12/schema");
    jsonschema::meta::validate(&SCHEMA).expect("valid in its draft");
    let text = Probe::new("schema").run().stdout;
    assert!(text.starts_with("{\n  \"") && text.ends_with("\n}\n"), "the schema is indented for people");
}

#[test]
fn replays_of_both_backends_are_valid() {
    for name in [
        "shared-port-tp_btf-ipv4",
        "shared-port-tracepoint-ipv6",
        "simultaneous-open-tp_btf-ipv4",
        "simultaneous-open-tracepoint-ipv6",
        "self-connect-tp_btf-ipv4",
        "self-connect-tracepoint-ipv6",
    ] {
        validate(&replay(&format!("{name}.probe")).objects());
    }
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn live_runs_are_valid() {
    for backend in ["tp_btf", "tracepoint"] {
        let run = format!("run --format json --delay 5ms --backend {backend}");
        let outcome = Probe::new(&run).run().exits(0);
        let objects = outcome.objects();
        validate(&objects);
        for kind in ["ready", "transition", "connection", "finding", "scenario", "check", "end"] {
            assert!(objects.of(kind).next().is_some(), "no {kind} in {outcome}");
        }
    }
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_failing_run_is_valid() {
    let outcome = Probe::new("run --format json --delay 5ms --sabotage").run().exits(1);
    validate(&outcome.objects());
}

/// Checks that a transition is valid, and invalid once changed.
#[track_caller]
fn rejects(transition: &Value, change: impl FnOnce(&mut Value)) {
    assert!(VALIDATOR.is_valid(transition));
    let mut changed = transition.clone();
    change(&mut changed);
    assert!(!VALIDATOR.is_valid(&changed), "{changed}");
}

#[test]
fn invalid_objects_are_rejected() {
    let objects = replay("self-connect-tp_btf-ipv4.probe").objects();
    let transition = objects.of("transition").next().expect("a transition");
    for (field, value) in transition.as_object().expect("an object") {
        let without = |object: &mut Value| object.as_object_mut().and_then(|object| object.remove(field));
        rejects(transition, |object| assert!(without(object).is_some()));
        rejects(transition, |object| {
            without(object);
            object[format!("{field}s")] = value.clone();
        });
        rejects(transition, |object| object[field] = json!([]));
    }
    for (pointer, wrong) in [
        ("/v", json!(2)),
        ("/type", json!("transitions")),
        ("/old", json!("TCP_CLOSE")),
        ("/socket", json!(1)),
        ("/generation", json!(0)),
        ("/time", json!("2026-11-22 12:13:07")),
        ("/local/addr", json!("localhost")),
        ("/local/port", json!(0)),
        ("/cause/kind", json!("accident")),
        ("/owner/known", json!("surely")),
    ] {
        rejects(transition, |object| *object.pointer_mut(pointer).expect("such a field") = wrong);
    }
    for inside in ["", "/local", "/cause", "/owner"] {
        rejects(transition, |object| object.pointer_mut(inside).expect("such a field")["more"] = Value::Null);
    }
}
