//! Where in a JSON Schema an error lies, which llguidance does not say.

use serde_json::{Map, Value};

/// The most parts of a schema that are tried.
const MOST_TRIES: usize = 256;

/// Keywords whose value is a schema, and those whose value holds some.
const ONE: [&str; 4] = ["items", "additionalProperties", "contains", "not"];
const MANY: [&str; 8] =
    ["properties", "patternProperties", "$defs", "definitions", "anyOf", "oneOf", "allOf", "prefixItems"];

/// The JSON Pointer of the innermost part that fails with the same words as the whole; empty where that is the whole.
/// `fails` compiles a schema and says how it fails.
pub(super) fn place(schema: &Map<String, Value>, error: &str, fails: impl Fn(Value) -> Option<String>) -> String {
    let mut tries = 0;
    let mut fails_alike = |part: &Map<String, Value>| {
        tries += 1;
        let mut part = part.clone();
        // What it refers to.
        for name in ["$defs", "definitions"] {
            if let (Some(definitions), false) = (schema.get(name), part.contains_key(name)) {
                part.insert(name.to_owned(), definitions.clone());
            }
        }
        tries <= MOST_TRIES && fails(Value::Object(part)).as_deref() == Some(error)
    };
    let (mut place, mut current) = (String::new(), schema);
    while let Some((step, part)) = parts(current).into_iter().find(|(_, part)| fails_alike(part)) {
        place.push_str(&step);
        current = part;
    }
    place
}

/// The schemas right within a schema, each with the way to it.
fn parts(schema: &Map<String, Value>) -> Vec<(String, &Map<String, Value>)> {
    let mut parts = Vec::new();
    for (keyword, value) in schema {
        match value {
            Value::Object(part) if ONE.contains(&keyword.as_str()) => parts.push((format!("/{keyword}"), part)),
            Value::Object(named) if MANY.contains(&keyword.as_str()) => {
                let objects = named.iter().filter_map(|(name, part)| Some((name, part.as_object()?)));
                parts.extend(objects.map(|(name, part)| (format!("/{keyword}/{}", escaped(name)), part)));
            }
            Value::Array(list) if MANY.contains(&keyword.as_str()) => {
                let objects = list.iter().enumerate().filter_map(|(index, part)| Some((index, part.as_object()?)));
                parts.extend(objects.map(|(index, part)| (format!("/{keyword}/{index}"), part)));
            }
            _ => {}
        }
    }
    parts
}

/// A name as a step of a JSON Pointer (RFC 6901).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Fails where a part is `{"wrong": true}`, in words that do not say where.
    fn wrong(schema: &Value) -> bool {
        match schema {
            Value::Object(schema) => schema.get("wrong") == Some(&json!(true)) || schema.values().any(wrong),
            Value::Array(list) => list.iter().any(wrong),
            _ => false,
        }
    }

    fn found(schema: Value) -> String {
        let fails = |schema: Value| wrong(&schema).then(|| "wrong".to_owned());
        place(schema.as_object().unwrap(), "wrong", fails)
    }

    #[test]
    fn the_innermost_part_is_named() {
        assert_eq!(found(json!({"wrong": true})), "");
        let inner = json!({"anyOf": [{"type": "null"}, {"items": {"wrong": true}}]});
        assert_eq!(found(json!({"properties": {"a": {}, "b/c": inner}})), "/properties/b~1c/anyOf/1/items");
    }

    #[test]
    fn a_wide_schema_is_not_tried_for_ever() {
        let mut properties: Map<String, Value> = (0..1000).map(|index| (index.to_string(), json!({}))).collect();
        properties.insert("last".into(), json!({"wrong": true}));
        assert_eq!(found(json!({"properties": properties})), "");
    }
}
