use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use crate::validation::Problem;

const SECRET_SOURCES: [&str; 2] = ["StaticSecret", "LookupSecret"];

/// A secret's text, or where to get it from.
#[derive(JsonSchema)]
pub(super) struct Secret(#[schemars(schema_with = "secret_schema")] Value);

fn secret_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"anyOf": [
        {"type": "string"},
        {
            "type": "object",
            "properties": {
                "kind": {"type": ["string", "null"]},
                "value": {"type": ["string", "null"]},
                "description": {"type": ["string", "null"]}
            }
        }
    ]})
}

/// Brings each secret into the form `{kind, value, description, …}`.
///
/// # Errors
/// All that is wrong with them.
pub(super) fn secrets(given: Map<String, Value>) -> Result<Map<String, Value>, Vec<Problem>> {
    let mut read = Map::new();
    let mut problems = Vec::new();
    for (name, secret) in given {
        let at = ["body", "secrets", name.as_str()];
        match Secret(secret).into_source(&at) {
            Ok(source) => {
                read.insert(name, source);
            }
            Err(more) => problems.extend(more),
        }
    }
    if problems.is_empty() {
        Ok(read)
    } else {
        Err(problems)
    }
}

impl Secret {
    fn into_source(self, at: &[&str]) -> Result<Value, Vec<Problem>> {
        match self.0 {
            Value::String(value) => Ok(static_secret(&json!(value), &Value::Null)),
            Value::Object(fields) => secret_source(fields, at),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
                let msg = "Input should be a string or a secret source";
                Err(vec![Problem::new("value_error", at, msg)])
            }
        }
    }
}

fn secret_source(fields: Map<String, Value>, at: &[&str]) -> Result<Value, Vec<Problem>> {
    let null = Value::Null;
    let field = |name: &str| fields.get(name).unwrap_or(&null);
    match field("kind").as_str().unwrap_or("StaticSecret") {
        "StaticSecret" if field("value").is_string() => {
            Ok(static_secret(field("value"), field("description")))
        }
        "StaticSecret" => Err(vec![Problem::missing(&[at, &["value"]].concat())]),
        "LookupSecret" if field("url").is_string() => Ok(Value::Object(fields)),
        "LookupSecret" => Err(vec![Problem::missing(&[at, &["url"]].concat())]),
        _ => Err(vec![Problem::choice(
            &[at, &["kind"]].concat(),
            &SECRET_SOURCES,
        )]),
    }
}

fn static_secret(value: &Value, description: &Value) -> Value {
    json!({"kind": "StaticSecret", "description": description, "value": value})
}
