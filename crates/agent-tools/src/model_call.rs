//! Between a model's tool call and a [`Tool`]: the schema that the model sees, and the reading of what it
//! sent. Every tool takes two fields beyond its own: `summary`, and `security_risk` unless it only reads.

mod lenient;

use core_model::event::SecurityRisk;
use serde_json::{Map, Value, json};

use crate::{Tool, ToolError, python_list::python_list};

const SUMMARY: &str = "summary";
const SECURITY_RISK: &str = "security_risk";

/// A model's tool call that fits its tool.
#[derive(Clone, Debug, PartialEq)]
pub struct ParsedCall {
    /// As it is logged and carried out.
    pub action: Map<String, Value>,
    /// The arguments as JSON, when they were only nearly that.
    pub repaired: Option<String>,
    /// The model's own words for what the call does, if it gave any.
    pub summary: Option<String>,
    /// The model's own judgement; unknown when it gave none, or when the tool only reads.
    pub security_risk: SecurityRisk,
}

/// The parameters of `tool` as a model sees them: its own, after the two that every tool takes.
#[must_use]
pub fn model_schema(tool: &dyn Tool) -> Value {
    let mut schema = tool.parameters();
    let Some(object) = schema.as_object_mut() else {
        return schema;
    };
    let own = match object.get("properties") {
        Some(Value::Object(own)) => own.clone(),
        Some(_) | None => Map::new(),
    };
    let mut properties = Map::new();
    if !tool.traits().read_only {
        properties.insert(
            SECURITY_RISK.to_owned(),
            json!({
                "type": "string",
                "description": "How much harm this call could do. LOW: reads, or changes only the \
                    workspace. MEDIUM: changes things outside it, installs software, or uses the \
                    network. HIGH: destroys data, exposes secrets, or cannot be undone. UNKNOWN: \
                    you cannot tell.",
                "enum": ["UNKNOWN", "LOW", "MEDIUM", "HIGH"],
            }),
        );
    }
    properties.insert(
        SUMMARY.to_owned(),
        json!({
            "type": "string",
            "description": "What this call does and why, in about ten words, for the user to read.",
        }),
    );
    properties.extend(own);
    object.insert("properties".to_owned(), Value::Object(properties));
    schema
}

/// Reads the arguments text of a model's call to `tool`. Lenient where the meaning is clear: no text at
/// all means no arguments, null means absent, and a list, object, number or boolean may come as the text
/// of one, a text as a number. So may the whole object; and JSON that is nearly right is repaired, but
/// never completed: what was cut off is not guessed. Fields that the tool does not have are ignored when
/// they say nothing.
///
/// `said`: what the model said beside the call. It is the message of a call that ends the turn without
/// one.
///
/// # Errors
/// [`ToolError::Arguments`] with the text that the model gets. It ends in
/// `Arguments: unparseable JSON` when the text is not JSON.
pub fn parse_call(tool: &dyn Tool, arguments: &str, said: &str) -> Result<ParsedCall, ToolError> {
    let parameters = tool.parameters();
    let mut fields = object(tool, arguments)?;
    let is_json = serde_json::from_str::<Map<String, Value>>(arguments).is_ok();
    let repaired = (!is_json).then(|| Value::Object(fields.clone()).to_string());
    let known = &parameters["properties"];
    let common = |name: &str| matches!(name, SUMMARY | SECURITY_RISK);
    fields.retain(|name, value| {
        let counts = known.get(name).is_some() || common(name);
        !value.is_null() && (counts || !is_blank(value))
    });
    let summary = take(&mut fields, &parameters, SUMMARY)
        .and_then(|value| value.as_str().map(|text| text.trim().to_owned()))
        .filter(|text| !text.is_empty());
    if tool.traits().ends_turn {
        add_message(&mut fields, summary.as_deref(), said);
    }
    let risk = take(&mut fields, &parameters, SECURITY_RISK);
    let provided = python_list(fields.keys().map(String::as_str));
    let fail = |reason: &str| {
        ToolError::Arguments(format!(
            "Error validating tool '{}': {}. Parameters provided: {provided}",
            tool.name(),
            reason.trim_end_matches('.'),
        ))
    };
    let security_risk = match risk {
        Some(risk) if !tool.traits().read_only => risk_of(&risk).map_err(|reason| fail(&reason))?,
        Some(_) | None => SecurityRisk::Unknown,
    };
    for (name, value) in &mut fields {
        coerce(value, &parameters["properties"][name.as_str()]);
    }
    let action = tool.action(fields).map_err(|error| match error {
        ToolError::Arguments(reason) => fail(&reason),
        error @ (ToolError::Failed(_) | ToolError::Cancelled) => error,
    })?;
    Ok(ParsedCall {
        action,
        repaired,
        summary,
        security_risk,
    })
}

fn object(tool: &dyn Tool, arguments: &str) -> Result<Map<String, Value>, ToolError> {
    if arguments.trim().is_empty() {
        return Ok(Map::new());
    }
    let name = tool.name();
    match lenient::read(arguments) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(other) => Err(ToolError::Arguments(format!(
            "Error validating tool '{name}': the arguments must be one JSON object, not {}. \
             Parameters provided: []",
            type_of(&other)
        ))),
        Err(error) => Err(ToolError::Arguments(format!(
            "Error validating tool '{name}': {error}. Arguments: unparseable JSON"
        ))),
    }
}

/// The last words of a call that ends the turn, where they stand elsewhere.
fn add_message(fields: &mut Map<String, Value>, summary: Option<&str>, said: &str) {
    const MESSAGE: &str = "message";
    let said = Some(said.trim()).filter(|said| !said.is_empty());
    if let Some(message) = said.or(summary)
        && !fields.contains_key(MESSAGE)
    {
        fields.insert(MESSAGE.to_owned(), message.into());
    }
}

fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Removes a field that every tool takes, unless this tool has its own of that name.
fn take(fields: &mut Map<String, Value>, parameters: &Value, name: &str) -> Option<Value> {
    if parameters["properties"].get(name).is_some() {
        return None;
    }
    fields.shift_remove(name)
}

fn risk_of(value: &Value) -> Result<SecurityRisk, String> {
    match value.as_str().map(str::to_ascii_uppercase).as_deref() {
        Some("UNKNOWN") => Ok(SecurityRisk::Unknown),
        Some("LOW") => Ok(SecurityRisk::Low),
        Some("MEDIUM") => Ok(SecurityRisk::Medium),
        Some("HIGH") => Ok(SecurityRisk::High),
        Some(_) | None => Err(format!(
            "{value} is not a valid `{SECURITY_RISK}`: use UNKNOWN, LOW, MEDIUM or HIGH"
        )),
    }
}

/// Turns the text of a value into the value where the schema's type is not a string, a number into its text
/// where it is, and a whole number written as `3.0` into `3`; some models write them so.
fn coerce(value: &mut Value, schema: &Value) {
    let wanted = schema["type"].as_str().unwrap_or_default();
    if let (Value::String(text), "array" | "object" | "integer" | "number" | "boolean") =
        (&*value, wanted)
        && let Ok(parsed) = lenient::read(text)
        && fits(&parsed, wanted)
    {
        *value = parsed;
    }
    if wanted == "string" && value.is_number() {
        *value = Value::String(value.to_string());
    }
    if wanted == "integer"
        && let Some(number) = value.as_f64()
        && value.is_f64()
        && number.fract() == 0.0
        && let Ok(whole) = format!("{number:.0}").parse::<i64>()
    {
        *value = whole.into();
    }
    match value {
        Value::Array(items) => {
            for item in items {
                coerce(item, &schema["items"]);
            }
        }
        Value::Object(fields) => {
            let known = &schema["properties"];
            fields.retain(|name, field| !field.is_null() || known.get(name).is_none());
            for (name, field) in fields {
                coerce(field, &schema["properties"][name.as_str()]);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn fits(value: &Value, wanted: &str) -> bool {
    match value {
        Value::Array(_) => wanted == "array",
        Value::Object(_) => wanted == "object",
        Value::Number(_) => matches!(wanted, "integer" | "number"),
        Value::Bool(_) => wanted == "boolean",
        Value::Null | Value::String(_) => false,
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests;
