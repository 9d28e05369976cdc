//! Puts described parameters where their marks stand.

use serde_json::{Map, Value, json};

use crate::{
    describe::{HEADER_MARK, QUERY_MARK, Recorded},
    error::ApiError,
};

/// Replaces each mark by what was recorded for it: a struct of query parameters by one parameter for each
/// field. Shows what the parts of paths look like.
///
/// # Errors
/// When a mark leads nowhere.
pub(super) fn complete(
    operation: &mut Map<String, Value>,
    recorded: &Recorded,
    definitions: &Map<String, Value>,
) -> Result<(), ApiError> {
    let Some(Value::Array(parameters)) = operation.get_mut("parameters") else {
        return Ok(());
    };
    let mut completed = Vec::new();
    for mut parameter in std::mem::take(parameters) {
        let name = parameter["name"].as_str().unwrap_or_default();
        if let Some(placeholder) = name.strip_prefix(QUERY_MARK) {
            let schema = recorded.by_placeholder.get(placeholder);
            let schema = schema.ok_or_else(|| unknown(name))?;
            completed.extend(query_parameters(schema, definitions)?);
        } else if let Some(index) = name.strip_prefix(HEADER_MARK) {
            let index = index.parse().ok();
            let header = index.and_then(|index: usize| recorded.headers.get(index));
            completed.push(header.ok_or_else(|| unknown(name))?.clone());
        } else {
            if let Some(example) = recorded.path_examples.get(name) {
                parameter["example"] = json!(example);
            }
            completed.push(parameter);
        }
    }
    *parameters = completed;
    Ok(())
}

fn query_parameters(
    schema: &Value,
    definitions: &Map<String, Value>,
) -> Result<Vec<Value>, ApiError> {
    let named = schema["$ref"].as_str();
    let schema = match named.and_then(|name| name.strip_prefix("#/components/schemas/")) {
        Some(name) => definitions.get(name).ok_or_else(|| unknown(name))?,
        None => schema,
    };
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let fields = schema["properties"].as_object();
    let fields = fields.ok_or_else(|| unknown(QUERY_MARK))?.iter();
    let parameters = fields.map(|(name, field)| {
        let needed = required.contains(&json!(name)) && field.get("default").is_none();
        query_parameter(name, field, needed)
    });
    Ok(parameters.collect())
}

fn unknown(name: &str) -> ApiError {
    ApiError::Document(format!("nothing was recorded for `{name}`"))
}

fn query_parameter(name: &str, field: &Value, required: bool) -> Value {
    let mut schema = without_null(field);
    let mut parameter = json!({"in": "query", "name": name, "required": required});
    if let Some(fields) = schema.as_object_mut() {
        for moved in ["description", "deprecated"] {
            if let Some(value) = fields.remove(moved) {
                parameter[moved] = value;
            }
        }
    }
    parameter["schema"] = schema;
    parameter
}

/// A query parameter is given or left out; it is never null.
fn without_null(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            schema["type"] = only.clone();
        }
    }
    if let Some(Value::Array(options)) = schema.get_mut("anyOf") {
        options.retain(|option| option["type"] != "null");
        let only = match options.as_slice() {
            [Value::Object(only)] => Some(only.clone()),
            _ => None,
        };
        if let (Some(only), Some(fields)) = (only, schema.as_object_mut()) {
            fields.remove("anyOf");
            fields.extend(only);
        }
    }
    schema
}
