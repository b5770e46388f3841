//! The JSON Schema of the output, generated from the types that write it.

use schemars::{
    Schema,
    generate::SchemaSettings,
    transform::{Transform, transform_subschemas},
};
use serde_json::{Map, Value, json};

use super::Object;

const TITLE: &str = "The output of probe";

const DESCRIPTION: &str = "One line of `--format json`: an object with its `type`, the version `v` of the field names \
    and their meaning, and its `time`. Objects and fields may be added within a version; none is removed or changes its \
    meaning. An unknown value is null. `time` is RFC 3339, UTC, with nanoseconds; it comes from the stream, so that a \
    replay prints the same, and is null only before `ready` or if the host's date is out of range. `mono_ns` is the same \
    moment on CLOCK_MONOTONIC. 64-bit identifiers are decimal strings.";

/// The JSON Schema (draft 2020-12) of every object of the output. It rejects unknown fields, so that every field that
/// is written is described.
#[must_use]
pub fn schema() -> Value {
    let mut settings = SchemaSettings::draft2020_12().for_serialize();
    settings.transforms.push(Box::new(OneLine));
    let mut schema = settings.into_generator().into_root_schema_for::<Object<'_>>();
    schema.insert("title".to_owned(), TITLE.into());
    schema.insert("description".to_owned(), DESCRIPTION.into());
    define_objects(&mut schema);
    schema.to_value()
}

/// Moves each object of the `oneOf` to a definition named after its type, so that other schemas can refer to it.
fn define_objects(schema: &mut Schema) {
    let Some(Value::Array(objects)) = schema.get_mut("oneOf").map(Value::take) else { return };
    let mut definitions = Map::new();
    let references = objects.into_iter().map(|object| {
        let Some(name) = object["properties"]["type"]["const"].as_str().map(str::to_owned) else {
            return object;
        };
        let reference = json!({ "$ref": format!("#/$defs/{name}") });
        definitions.insert(name, object);
        reference
    });
    let references: Value = references.collect();
    schema.insert("oneOf".to_owned(), references);
    if let Some(shared) = schema.get_mut("$defs").and_then(Value::as_object_mut) {
        shared.extend(definitions);
    }
}

/// Replaces the line breaks in descriptions, which come from doc comments, with spaces.
#[derive(Clone, Debug)]
struct OneLine;

impl Transform for OneLine {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(Value::String(description)) = schema.get_mut("description") {
            *description = description.replace('\n', " ");
        }
        transform_subschemas(self, schema);
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::LazyLock, time::UNIX_EPOCH};

    use jsonschema::{Draft, Validator};
    use proptest::prelude::*;

    use super::*;
    use crate::{
        model::{Clock, Output},
        record::{StreamTime, arbitrary, named::Named},
    };

    static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
        let options = jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true);
        options.build(&schema()).expect("a schema")
    });

    /// No clock, one whose dates are out of range, and one in 2023.
    const CLOCKS: [Option<Clock>; 3] = [
        None,
        Some(Clock { realtime_offset_ns: i128::MAX / 2 }),
        Some(Clock { realtime_offset_ns: 1_700_000_000_000_000_000 }),
    ];

    fn value(object: &Object<'_>) -> Value {
        serde_json::to_value(object).expect("JSON")
    }

    fn objects(event: &Output) -> Vec<Value> {
        let times = CLOCKS.map(StreamTime::with_clock);
        times.into_iter().map(|time| value(&Object::of(event, time))).collect()
    }

    /// An event of the output as objects, one for each clock.
    fn any_objects() -> impl Strategy<Value = Vec<Value>> {
        prop_oneof![
            6 => arbitrary::output().prop_map(|event| objects(&event)),
            1 => arbitrary::facility().prop_map(|facility| vec![value(&Object::of_facility(&facility, UNIX_EPOCH))]),
            1 => arbitrary::hazard().prop_map(|hazard| vec![value(&Object::of_hazard(&hazard, UNIX_EPOCH))]),
            1 => arbitrary::difference().prop_map(|difference| vec![value(&Object::of_difference(&difference, UNIX_EPOCH))]),
        ]
    }

    proptest! {
        #[test]
        fn every_object_is_valid(objects in any_objects()) {
            for object in objects {
                if let Err(error) = VALIDATOR.validate(&object) {
                    prop_assert!(false, "{error}: {object}");
                }
            }
        }

        #[test]
        fn a_renamed_missing_or_additional_field_is_invalid(
            objects in any_objects(),
            field in any::<prop::sample::Index>(),
        ) {
            let Some(Value::Object(object)) = objects.last() else { return Ok(()) };
            let (name, value) = object.iter().nth(field.index(object.len())).expect("an index into it");
            let mut changed = object.clone();
            changed.remove(name);
            prop_assert!(!VALIDATOR.is_valid(&Value::Object(changed.clone())), "without {}", name);
            changed.insert(format!("{name}_"), value.clone());
            prop_assert!(!VALIDATOR.is_valid(&Value::Object(changed)), "with {} renamed", name);
            let mut more = object.clone();
            more.insert("more".to_owned(), Value::Null);
            prop_assert!(!VALIDATOR.is_valid(&Value::Object(more)), "with one more");
        }
    }

    #[test]
    fn the_schema_is_valid_in_its_draft() {
        let schema = schema();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        jsonschema::meta::validate(&schema).expect("valid in its draft");
    }

    #[test]
    fn every_object_is_defined_under_its_type() {
        let schema = schema();
        let types: Vec<_> = schema["oneOf"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|object| object["$ref"].as_str().expect("a reference").trim_start_matches("#/$defs/"))
            .collect();
        for kind in ["ready", "transition", "reset", "connection", "time_wait", "finding", "lost", "scenario"]
        {
            assert!(types.contains(&kind), "{kind} in {types:?}");
        }
        for kind in types {
            let properties = &schema["$defs"][kind]["properties"];
            assert_eq!(properties["type"]["const"], kind);
            assert_eq!(properties["v"]["const"], 1);
            assert!(properties["time"].is_object(), "{kind} has no time");
        }
    }

    /// Every field of every object has a description of one line, either its own or that of its type.
    #[test]
    fn every_field_is_described() {
        let schema = schema();
        let definitions = schema["$defs"].as_object().expect("definitions");
        for (name, definition) in definitions {
            assert!(definition["description"].is_string(), "{name} is not described");
            for (field, property) in definition["properties"].as_object().into_iter().flatten() {
                let described = property["description"].as_str().is_some_and(|text| !text.contains('\n'));
                assert!(described || field == "type", "{name}.{field} is not described: {property}");
            }
        }
    }

    #[test]
    fn enumerated_names_are_those_of_the_model() {
        fn check<T: Named>(schema: &Value) {
            let names: Vec<_> = T::ALL.iter().map(|value| value.name()).collect();
            assert_eq!(schema["$defs"][T::SCHEMA_NAME]["enum"], json!(names));
        }
        let schema = schema();
        check::<crate::model::State>(&schema);
        check::<crate::model::FindingKind>(&schema);
        assert_eq!(<crate::model::State as Named>::ALL, crate::model::State::ALL);
        assert_eq!(<crate::model::FindingKind as Named>::ALL, crate::model::FindingKind::ALL);
    }
}
