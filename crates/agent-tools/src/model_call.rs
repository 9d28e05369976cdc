//! Between a model's tool call and a [`Tool`]: the schema that the model sees, and the reading of what it
//! sent. Every tool takes two fields beyond its own: `summary`, and `security_risk` unless it only reads.

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
/// of one.
///
/// # Errors
/// [`ToolError::Arguments`] with the text that the model gets. It ends in
/// `Arguments: unparseable JSON` when the text is not JSON.
pub fn parse_call(tool: &dyn Tool, arguments: &str) -> Result<ParsedCall, ToolError> {
    let parameters = tool.parameters();
    let mut fields = object(tool, arguments)?;
    fields.retain(|_, value| !value.is_null());
    let summary = take(&mut fields, &parameters, SUMMARY)
        .and_then(|value| value.as_str().map(|text| text.trim().to_owned()))
        .filter(|text| !text.is_empty());
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
        summary,
        security_risk,
    })
}

fn object(tool: &dyn Tool, arguments: &str) -> Result<Map<String, Value>, ToolError> {
    if arguments.trim().is_empty() {
        return Ok(Map::new());
    }
    let name = tool.name();
    match serde_json::from_str(arguments) {
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

/// Turns the text of a value into the value where the schema's type is not a string, and a whole number
/// written as `3.0` into `3`; some models write them so.
fn coerce(value: &mut Value, schema: &Value) {
    let wanted = schema["type"].as_str().unwrap_or_default();
    if let (Value::String(text), "array" | "object" | "integer" | "number" | "boolean") =
        (&*value, wanted)
        && let Ok(parsed) = serde_json::from_str::<Value>(text)
        && fits(&parsed, wanted)
    {
        *value = parsed;
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
mod tests {
    use super::*;
    use crate::{Tools, built_in, resolve};

    fn tools() -> Tools {
        built_in::tests::opened(
            &["file_editor", "task_tracker"],
            &["FinishTool", "ThinkTool"],
        )
        .unwrap()
    }

    fn parse(tool: &str, arguments: &str) -> Result<ParsedCall, String> {
        let tools = tools();
        let tool = resolve(&tools, tool).unwrap();
        parse_call(tool.as_ref(), arguments).map_err(|error| error.to_string())
    }

    fn action(tool: &str, arguments: &str) -> String {
        serde_json::to_string(&parse(tool, arguments).unwrap().action).unwrap()
    }

    /// Takes the descriptions out; every property must have one that says something.
    fn without_descriptions(schema: &mut Value) {
        if let Some(Value::Object(properties)) = schema.get_mut("properties") {
            for (name, property) in properties {
                let description = property
                    .as_object_mut()
                    .unwrap()
                    .shift_remove("description");
                let text = description
                    .as_ref()
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                assert!(text.len() > 10, "{name}: {text}");
                without_descriptions(property);
            }
        }
        if let Some(items) = schema.get_mut("items") {
            without_descriptions(items);
        }
    }

    #[test]
    fn schemas_are_those_that_public_clients_send() {
        let risk = json!({"type": "string", "enum": ["UNKNOWN", "LOW", "MEDIUM", "HIGH"]});
        let string = json!({"type": "string"});
        let expected = [
            json!({
                "type": "object",
                "properties": {
                    "security_risk": risk,
                    "summary": string,
                    "command": {
                        "type": "string",
                        "enum": ["view", "create", "str_replace", "insert", "undo_edit"],
                    },
                    "path": string,
                    "file_text": string,
                    "old_str": string,
                    "new_str": string,
                    "insert_line": {"type": "integer"},
                    "view_range": {"type": "array", "items": {"type": "integer"}},
                },
                "required": ["command", "path"],
            }),
            json!({
                "type": "object",
                "properties": {
                    "security_risk": risk,
                    "summary": string,
                    "command": {"type": "string", "enum": ["view", "plan"]},
                    "task_list": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "title": string,
                                "notes": string,
                                "status": {
                                    "type": "string",
                                    "enum": ["todo", "in_progress", "done"],
                                },
                            },
                            "required": ["title"],
                        },
                    },
                },
            }),
            json!({
                "type": "object",
                "properties": {"summary": string, "message": string},
                "required": ["message"],
            }),
            json!({
                "type": "object",
                "properties": {"summary": string, "thought": string},
                "required": ["thought"],
            }),
        ];
        for (tool, expected) in tools().iter().zip(expected) {
            let mut schema = model_schema(tool.as_ref());
            without_descriptions(&mut schema);
            assert_eq!(schema, expected, "{}", tool.name());
            let order = |schema: &Value| -> Vec<String> {
                let fields = schema["properties"].as_object().unwrap();
                fields.keys().cloned().collect()
            };
            assert_eq!(order(&schema), order(&expected));
        }
    }

    #[test]
    fn common_fields_are_taken_out() {
        let call = parse(
            "task_tracker",
            r#"{"summary": " look ", "command": "view", "security_risk": "low", "task_list": null}"#,
        )
        .unwrap();
        assert_eq!(
            call,
            ParsedCall {
                action: json!({"command": "view", "task_list": [], "kind": "TaskTrackerAction"})
                    .as_object()
                    .cloned()
                    .unwrap(),
                summary: Some("look".to_owned()),
                security_risk: SecurityRisk::Low,
            }
        );
        let silent = parse("think", r#"{"thought": "t", "security_risk": "BAD"}"#).unwrap();
        assert_eq!(
            (silent.summary, silent.security_risk),
            (None, SecurityRisk::Unknown)
        );
    }

    #[test]
    fn errors_have_the_shape_that_clients_know() {
        let error = |tool, arguments| parse(tool, arguments).unwrap_err();
        let broken = error("think", "{thought");
        assert!(
            broken.starts_with("Error validating tool 'think': "),
            "{broken}"
        );
        assert!(
            broken.ends_with(". Arguments: unparseable JSON"),
            "{broken}"
        );
        assert_eq!(
            error("think", ""),
            "Error validating tool 'think': missing field `thought`. Parameters provided: []"
        );
        assert_eq!(
            error("think", r#"{"summary": "s", "thought": "a", "it's": 1}"#),
            "Error validating tool 'think': unknown field `it's`, expected `thought`. \
             Parameters provided: ['thought', 'it\\'s']"
        );
        assert_eq!(
            error("finish", "[]"),
            "Error validating tool 'finish': the arguments must be one JSON object, not an array. \
             Parameters provided: []"
        );
        assert_eq!(
            error(
                "task_tracker",
                r#"{"command": "view", "security_risk": "BAD"}"#
            ),
            "Error validating tool 'task_tracker': \"BAD\" is not a valid `security_risk`: use \
             UNKNOWN, LOW, MEDIUM or HIGH. Parameters provided: ['command']"
        );
    }

    #[test]
    fn values_written_as_text_are_read() {
        assert_eq!(
            action(
                "file_editor",
                r#"{"command": "view", "path": "/f", "view_range": "[1.0, -1]"}"#
            ),
            r#"{"command":"view","path":"/f","view_range":[1,-1],"kind":"FileEditorAction"}"#
        );
        assert_eq!(
            action(
                "task_tracker",
                r#"{"command": "plan", "task_list": "[{\"title\": \"12\"}]"}"#
            ),
            r#"{"command":"plan","task_list":[{"title":"12","notes":"","status":"todo"}],"kind":"TaskTrackerAction"}"#
        );
        // Text stays text, whatever it looks like.
        assert_eq!(
            action("think", r#"{"thought": "[1]"}"#),
            r#"{"thought":"[1]","kind":"ThinkAction"}"#
        );
    }

    #[test]
    fn a_missing_editor_command_is_inferred() {
        let command = |rest: &str| {
            let call = parse("file_editor", &format!(r#"{{"path": "/f"{rest}}}"#)).unwrap();
            call.action["command"].clone()
        };
        assert_eq!(command(""), "view");
        assert_eq!(command(r#", "file_text": "x""#), "create");
        assert_eq!(
            command(r#", "old_str": "x", "new_str": "y""#),
            "str_replace"
        );
        assert_eq!(command(r#", "insert_line": "3", "new_str": "y""#), "insert");
        assert_eq!(command(r#", "command": null, "old_str": null"#), "view");
    }

    #[test]
    fn null_means_absent_inside_a_list_too() {
        let list =
            r#"{"command": "plan", "task_list": [{"title": "a", "notes": null, "status": null}]}"#;
        assert!(
            action("task_tracker", list).contains(r#"[{"title":"a","notes":"","status":"todo"}]"#)
        );
        let untitled = r#"{"command": "plan", "task_list": [{"title": null}]}"#;
        let error = parse("task_tracker", untitled).unwrap_err();
        assert!(error.contains("missing field `title`"), "{error}");
    }
}
