//! The reference of the JSON output, generated from the schema: the part of docs/json.md between
//! `<!-- schema -->` and `<!-- /schema -->`.

use std::fmt::Write as _;

use serde_json::Value;

const BEGIN: &str = "<!-- schema -->\n";
const END: &str = "<!-- /schema -->";

/// The page with its generated part as it is now; a page without one is unchanged.
pub fn filled(page: &str) -> String {
    let Some((before, rest)) = page.split_once(BEGIN) else { return page.to_owned() };
    let (_, after) = rest.split_once(END).expect("the generated part has an end");
    [before, BEGIN, "\n", &reference(), END, after].concat()
}

/// Every object, then every type that their fields refer to.
fn reference() -> String {
    let schema = probe::record::schema();
    let definitions = schema["$defs"].as_object().expect("the schema has definitions");
    let objects: Vec<&str> = schema["oneOf"]
        .as_array()
        .expect("the schema lists objects")
        .iter()
        .map(|one| name(text(&one["$ref"])))
        .collect();
    let mut page = "## Objects\n".to_owned();
    for object in &objects {
        section(object, &definitions[*object], &mut page);
    }
    page += "\n## Values\n";
    for (shared, definition) in definitions.iter().filter(|(name, _)| !objects.contains(&name.as_str())) {
        section(shared, definition, &mut page);
    }
    page.push('\n');
    page
}

fn section(name: &str, definition: &Value, page: &mut String) {
    let description = definition["description"].as_str().unwrap_or_default();
    let _ = write!(page, "\n### `{name}`\n\n{description}\n");
    if let Some(fields) = definition["required"].as_array() {
        *page += "\n| field | type | meaning |\n|---|---|---|\n";
        // In the order in which they are written.
        for field in fields.iter().map(text).filter(|field| !["type", "v"].contains(field)) {
            let property = &definition["properties"][field];
            let meaning = property["description"].as_str().unwrap_or_default().replace('|', "\\|");
            let _ = writeln!(page, "| `{field}` | {} | {meaning} |", kind(property));
        }
    } else if let Some(words) = words(definition) {
        let _ = write!(page, "\n{words}\n");
    }
}

/// A field's type, in terms of JSON.
fn kind(property: &Value) -> String {
    if let Some(reference) = property["$ref"].as_str() {
        let name = name(reference);
        return format!("[{name}](#{name})");
    }
    if let Some(words) = words(property) {
        return words;
    }
    if let Some(choices) = property["anyOf"].as_array() {
        let is_format = |choice: &Value| choice.get("type").is_none() && choice.get("$ref").is_none();
        if !choices.iter().all(is_format) {
            return choices.iter().map(kind).collect::<Vec<_>>().join(" or ");
        }
    }
    match &property["type"] {
        Value::Array(types) => types.iter().map(text).collect::<Vec<_>>().join(" or "),
        Value::String(one) if one == "array" => format!("list of {}", kind(&property["items"])),
        Value::String(one) => one.clone(),
        _ => "any".to_owned(),
    }
}

fn words(definition: &Value) -> Option<String> {
    let words = definition["enum"].as_array()?;
    let quoted = words.iter().map(|word| word.as_str().map_or("null".to_owned(), |word| format!("`{word}`")));
    Some(quoted.collect::<Vec<_>>().join(", "))
}

fn name(reference: &str) -> &str {
    reference.trim_start_matches("#/$defs/")
}

#[track_caller]
fn text(value: &Value) -> &str {
    value.as_str().expect("the schema has a text here")
}
