//! The JSON Schema of the output, made from the very types that write it.

use schemars::{
    Schema,
    generate::SchemaSettings,
    transform::{Transform, transform_subschemas},
};
use serde_json::{Map, Value, json};

use super::Object;

const TITLE: &str = "The output of probe";

const DESCRIPTION: &str = "One line of `--format json`: an object that says by `type` what it is, and by `v` \
    the version of what its names mean. Within a version, objects and fields may be added; none changes its \
    meaning or goes away. Null is what is not known. `time` is RFC 3339 in UTC with nanoseconds, `mono_ns` the \
    same moment on CLOCK_MONOTONIC. 64-bit identities are decimal text.";

/// The JSON Schema (draft 2020-12) of every object of the output. It refuses a field that it does not name, so
/// that none can be written that is not described.
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

/// Gives each object of the `oneOf` a definition of its own under its type's name, where other schemas can
/// refer to it.
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

/// Takes the line breaks out of descriptions, which come from comments.
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
    use std::sync::LazyLock;

    use jsonschema::{Draft, Validator};
    use proptest::prelude::*;

    use super::*;
    use crate::{
        model::{Clock, Output},
        record::{arbitrary, named::Named},
    };

    static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
        let options = jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true);
        options.build(&schema()).expect("a schema")
    });

    /// None, one that has no date, and one in 2023.
    const CLOCKS: [Option<Clock>; 3] = [
        None,
        Some(Clock { realtime_offset_ns: i128::MAX / 2 }),
        Some(Clock { realtime_offset_ns: 1_700_000_000_000_000_000 }),
    ];

    fn value(object: &Object<'_>) -> Value {
        serde_json::to_value(object).expect("memory takes everything")
    }

    fn objects(event: &Output) -> Vec<Value> {
        CLOCKS.iter().map(|clock| value(&Object::of(event, *clock))).collect()
    }

    /// Every object of one that the output can have.
    fn any_objects() -> impl Strategy<Value = Vec<Value>> {
        prop_oneof![
            6 => arbitrary::output().prop_map(|output| objects(&output)),
            1 => arbitrary::facility().prop_map(|facility| vec![value(&Object::of_facility(&facility))]),
            1 => arbitrary::hazard().prop_map(|hazard| vec![value(&Object::of_hazard(&hazard))]),
            1 => arbitrary::difference().prop_map(|difference| vec![value(&Object::of_difference(&difference))]),
        ]
    }

    proptest! {
        #[test]
        fn every_object_is_as_the_schema_says(objects in any_objects()) {
            for object in objects {
                if let Err(error) = VALIDATOR.validate(&object) {
                    prop_assert!(false, "{error}: {object}");
                }
            }
        }

        #[test]
        fn no_field_can_be_renamed_left_out_or_added(
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
    fn it_is_a_schema_of_the_draft_that_it_names() {
        let schema = schema();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        jsonschema::meta::validate(&schema).expect("the draft's own schema takes it");
    }

    #[test]
    fn every_object_is_defined_under_the_name_of_its_type() {
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
        }
    }

    /// Every field of every object says what it means, in the schema itself or in what it refers to.
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
    fn the_words_are_the_models() {
        fn words<T: Named>(schema: &Value) {
            let names: Vec<_> = T::ALL.iter().map(|value| value.name()).collect();
            assert_eq!(schema["$defs"][T::SCHEMA_NAME]["enum"], json!(names));
        }
        let schema = schema();
        words::<crate::model::State>(&schema);
        words::<crate::model::FindingKind>(&schema);
        assert_eq!(<crate::model::State as Named>::ALL, crate::model::State::ALL);
        assert_eq!(<crate::model::FindingKind as Named>::ALL, crate::model::FindingKind::ALL);
    }
}
