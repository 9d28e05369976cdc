//! The parameters of a tool as every provider takes them.

use serde_json::{Map, Value, json};

/// A larger schema loses its descriptions; if that is not enough, all it says.
const LARGEST: usize = 32 * 1024;
/// References are followed no deeper: a schema may contain itself.
const DEEPEST: usize = 12;
const LONGEST_PROPERTY: usize = 64;
/// What says nothing to a model, or is refused by some providers.
const DROPPED: [&str; 7] = [
    "$schema",
    "$id",
    "$defs",
    "definitions",
    "$comment",
    "$anchor",
    "examples",
];
/// Combinations that providers refuse at the top, and what a value has to fit of their parts.
const COMBINATIONS: [(&str, bool); 3] = [("allOf", true), ("anyOf", false), ("oneOf", false)];

/// The schema of an object: references are replaced by what they refer to, and what stands in combinations
/// at the top becomes properties of one object.
pub(crate) fn plain(schema: &Map<String, Value>) -> Value {
    let root = Value::Object(schema.clone());
    let mut plain = resolved(&root, &root, DEEPEST);
    merge_combinations(&mut plain);
    let Some(object) = plain.as_object_mut() else {
        return open();
    };
    let properties = match object.shift_remove("properties") {
        Some(Value::Object(properties)) => properties,
        Some(_) | None => Map::new(),
    };
    let properties: Map<String, Value> = properties
        .into_iter()
        .filter(|(name, schema)| is_legal(name) && (schema.is_object() || schema.is_boolean()))
        .map(|(name, schema)| {
            (
                name,
                if schema.is_boolean() {
                    json!({})
                } else {
                    schema
                },
            )
        })
        .collect();
    let required = match object.shift_remove("required") {
        Some(Value::Array(names)) => names,
        Some(_) | None => Vec::new(),
    };
    let required: Vec<Value> = required
        .into_iter()
        .filter(|name| {
            name.as_str()
                .is_some_and(|name| properties.contains_key(name))
        })
        .collect();
    object.insert("type".to_owned(), "object".into());
    object.insert("properties".to_owned(), Value::Object(properties));
    if !required.is_empty() {
        object.insert("required".to_owned(), Value::Array(required));
    }
    bounded(plain)
}

/// Of a tool whose parameters are not known.
pub(crate) fn open() -> Value {
    json!({"type": "object", "properties": {}})
}

fn is_legal(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (1..=LONGEST_PROPERTY).contains(&name.len()) && name.bytes().all(fits)
}

fn resolved(schema: &Value, root: &Value, depth: usize) -> Value {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                return referred(reference, fields, root, depth);
            }
            let mut plain = Map::new();
            for (name, value) in fields {
                if DROPPED.contains(&name.as_str()) {
                    continue;
                }
                let value = if name == "properties" {
                    named(value, root, depth)
                } else if matches!(name.as_str(), "enum" | "const" | "default") {
                    value.clone()
                } else {
                    resolved(value, root, depth)
                };
                plain.insert(name.clone(), value);
            }
            Value::Object(plain)
        }
        Value::Array(items) => items
            .iter()
            .map(|item| resolved(item, root, depth))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => schema.clone(),
    }
}

/// Properties may be called as a keyword is.
fn named(properties: &Value, root: &Value, depth: usize) -> Value {
    let Some(properties) = properties.as_object() else {
        return properties.clone();
    };
    properties
        .iter()
        .map(|(name, schema)| (name.clone(), resolved(schema, root, depth)))
        .collect()
}

fn referred(reference: &str, beside: &Map<String, Value>, root: &Value, depth: usize) -> Value {
    let target = reference
        .strip_prefix('#')
        .and_then(|pointer| root.pointer(pointer))
        .filter(|_| depth > 0);
    let mut plain = match target.map(|target| resolved(target, root, depth - 1)) {
        Some(Value::Object(plain)) => plain,
        Some(_) | None => Map::new(),
    };
    for (name, value) in beside {
        if name != "$ref" && !DROPPED.contains(&name.as_str()) {
            plain.insert(name.clone(), value.clone());
        }
    }
    Value::Object(plain)
}

fn merge_combinations(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    for (keyword, all) in COMBINATIONS {
        let Some(Value::Array(parts)) = object.shift_remove(keyword) else {
            continue;
        };
        for mut part in parts {
            merge_combinations(&mut part);
            let more = part.get("properties").and_then(Value::as_object);
            let known = object.entry("properties").or_insert_with(|| json!({}));
            if let (Some(more), Some(known)) = (more, known.as_object_mut()) {
                for (name, schema) in more {
                    known.entry(name.clone()).or_insert_with(|| schema.clone());
                }
            }
            let needed = part
                .get("required")
                .and_then(Value::as_array)
                .filter(|_| all);
            let required = object.entry("required").or_insert_with(|| json!([]));
            if let (Some(needed), Some(required)) = (needed, required.as_array_mut()) {
                required.extend(needed.iter().cloned());
            }
        }
    }
    for keyword in ["not", "if", "then", "else", "enum", "const"] {
        object.shift_remove(keyword);
    }
}

fn bounded(mut schema: Value) -> Value {
    if schema.to_string().len() <= LARGEST {
        return schema;
    }
    drop_descriptions(&mut schema);
    if schema.to_string().len() <= LARGEST {
        return schema;
    }
    open()
}

fn drop_descriptions(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.retain(|name, value| name != "description" || !value.is_string());
            fields.values_mut().for_each(drop_descriptions);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_descriptions),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain_of(schema: Value) -> Value {
        plain(schema.as_object().unwrap())
    }

    #[test]
    fn references_are_replaced_and_circles_end() {
        let schema = plain_of(json!({
            "$schema": "x", "type": "object", "required": ["at", "gone"],
            "properties": {"at": {"$ref": "#/$defs/Point", "description": "where"},
                           "bad name!": {"type": "string"}, "any": true},
            "$defs": {"Point": {"type": "object", "properties": {"x": {"type": "number"}}}},
        }));
        assert_eq!(
            schema,
            json!({
                "type": "object", "required": ["at"],
                "properties": {
                    "at": {"type": "object", "properties": {"x": {"type": "number"}},
                           "description": "where"},
                    "any": {},
                },
            })
        );
        let circle = plain_of(json!({
            "type": "object", "properties": {"tree": {"$ref": "#/$defs/Tree"}},
            "$defs": {"Tree": {"properties": {"child": {"$ref": "#/$defs/Tree"}}}},
        }));
        assert!(!circle.to_string().contains("$ref"));
    }

    #[test]
    fn combinations_at_the_top_become_one_object_and_deeper_ones_stay() {
        let schema = plain_of(json!({
            "allOf": [{"properties": {"a": {"type": "string"}}, "required": ["a"]}],
            "anyOf": [{"properties": {"b": {"anyOf": [{"type": "null"}, {"type": "integer"}]}},
                       "required": ["b"]}],
        }));
        assert_eq!(
            schema,
            json!({
                "type": "object", "required": ["a"],
                "properties": {"a": {"type": "string"},
                               "b": {"anyOf": [{"type": "null"}, {"type": "integer"}]}},
            })
        );
    }

    #[test]
    fn what_is_too_large_is_cut_down() {
        let long = "x".repeat(40_000);
        let schema =
            plain_of(json!({"properties": {"a": {"type": "string", "description": long}}}));
        assert_eq!(schema["properties"], json!({"a": {"type": "string"}}));
        let names = (0..4_000).map(|n| (format!("p{n}"), json!({"type": "string"})));
        let properties: Map<String, Value> = names.collect();
        assert_eq!(plain_of(json!({"properties": properties})), open());
        assert_eq!(plain_of(json!({"type": "string"})), open());
    }
}
