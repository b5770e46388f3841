//! The JSON output as `probe schema` describes it: every object of real streams, held against the schema that
//! the tool itself prints.

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
        .expect("a schema, and all that it refers to is in it")
});

/// Holds every object of a stream against the schema.
#[track_caller]
pub fn hold(objects: &Objects) {
    assert!(!objects.is_empty());
    for object in objects.iter() {
        if let Err(breach) = VALIDATOR.validate(object) {
            panic!("{breach}, at `{}` of {object}", breach.instance_path);
        }
    }
}

fn replay(name: &str) -> Outcome {
    Probe::new("replay --format json").arg(fixture(name)).run().exits(0).silently()
}

#[test]
fn it_is_printed_as_a_schema_of_draft_2020_12() {
    assert_eq!(SCHEMA["$schema"], "https://json-schema.org/draft/2020-12/schema");
    jsonschema::meta::validate(&SCHEMA).expect("the draft's own schema takes it");
    let text = Probe::new("schema").run().stdout;
    assert!(text.starts_with("{\n  \"") && text.ends_with("\n}\n"), "it is for people, too");
}

#[test]
fn recordings_of_either_backend_hold_to_it() {
    for name in [
        "shared-port-tp_btf-ipv4",
        "shared-port-tracepoint-ipv6",
        "simultaneous-open-tp_btf-ipv4",
        "simultaneous-open-tracepoint-ipv6",
        "self-connect-tp_btf-ipv4",
        "self-connect-tracepoint-ipv6",
    ] {
        hold(&replay(&format!("{name}.probe")).objects());
    }
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn live_runs_hold_to_it() {
    for backend in ["tp_btf", "tracepoint"] {
        let run = format!("run --format json --delay 5ms --backend {backend}");
        let outcome = Probe::new(&run).run().exits(0);
        let objects = outcome.objects();
        hold(&objects);
        for kind in ["ready", "transition", "connection", "finding", "scenario", "check", "end"] {
            assert!(objects.of(kind).next().is_some(), "no {kind} in {outcome}");
        }
    }
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_run_that_fails_holds_to_it() {
    let outcome = Probe::new("run --format json --delay 5ms --sabotage").run().exits(1);
    hold(&outcome.objects());
}

/// A transition as it is, and then changed: the one is valid, the other is not.
#[track_caller]
fn refused(transition: &Value, change: impl FnOnce(&mut Value)) {
    assert!(VALIDATOR.is_valid(transition));
    let mut changed = transition.clone();
    change(&mut changed);
    assert!(!VALIDATOR.is_valid(&changed), "{changed}");
}

#[test]
fn it_can_be_broken() {
    let objects = replay("self-connect-tp_btf-ipv4.probe").objects();
    let transition = objects.of("transition").next().expect("there are some");
    for (field, value) in transition.as_object().expect("an object") {
        let without = |object: &mut Value| object.as_object_mut().and_then(|object| object.remove(field));
        refused(transition, |object| assert!(without(object).is_some()));
        refused(transition, |object| {
            without(object);
            object[format!("{field}s")] = value.clone();
        });
        refused(transition, |object| object[field] = json!([]));
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
        refused(transition, |object| *object.pointer_mut(pointer).expect("it is there") = wrong);
    }
    for inside in ["", "/local", "/cause", "/owner"] {
        refused(transition, |object| object.pointer_mut(inside).expect("it is there")["more"] = Value::Null);
    }
}
