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
    parse_call(tool.as_ref(), arguments, "").map_err(|error| error.to_string())
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
            repaired: None,
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
    assert!(action("task_tracker", list).contains(r#"[{"title":"a","notes":"","status":"todo"}]"#));
    let untitled = r#"{"command": "plan", "task_list": [{"title": null}]}"#;
    let error = parse("task_tracker", untitled).unwrap_err();
    assert!(error.contains("missing field `title`"), "{error}");
}

#[test]
fn json_that_is_nearly_right_is_read() {
    for arguments in [
        "{\"thought\": \"a\nb\"}",
        "{\"thought\": \"a\\nb\",}",
        "```json\n{\"thought\": \"a\\nb\"}\n```",
        r#""{\"thought\": \"a\\nb\"}""#,
    ] {
        let expected = r#"{"thought":"a\nb","kind":"ThinkAction"}"#;
        assert_eq!(action("think", arguments), expected, "{arguments}");
    }
    let repaired = parse("think", "{\"thought\": \"a\",}").unwrap().repaired;
    assert_eq!(repaired.as_deref(), Some(r#"{"thought":"a"}"#));
    let cut = parse("think", r#"{"thought": "a"#).unwrap_err();
    assert!(cut.ends_with("unparseable JSON"), "{cut}");
}

#[test]
fn booleans_and_numbers_may_be_written_in_other_ways() {
    let number = r#"{"command": "str_replace", "path": "/f", "old_str": 5, "new_str": "6"}"#;
    assert!(action("file_editor", number).contains(r#""old_str":"5""#));
    let terminal = built_in::tests::opened(&["terminal"], &[]).unwrap();
    let arguments = r#"{"command": "ls", "is_input": "False", "reset": "True"}"#;
    let call = parse_call(terminal[0].as_ref(), arguments, "").unwrap();
    assert_eq!(
        [&call.action["is_input"], &call.action["reset"]],
        [false, true]
    );
}

#[test]
fn an_extra_field_that_says_nothing_is_ignored() {
    let extra = r#"{"thought": "a", "explanation": "", "tags": [], "more": {}}"#;
    assert_eq!(
        action("think", extra),
        r#"{"thought":"a","kind":"ThinkAction"}"#
    );
}

#[test]
fn the_last_words_may_stand_beside_the_call_that_ends_the_turn() {
    let tools = tools();
    let finish = resolve(&tools, "finish").unwrap();
    let message = |arguments: &str, said: &str| {
        let call = parse_call(finish.as_ref(), arguments, said).map_err(|error| error.to_string());
        call.map(|call| call.action["message"].clone())
    };
    assert_eq!(message("{}", " all done\n"), Ok("all done".into()));
    assert_eq!(message(r#"{"summary": "did it"}"#, ""), Ok("did it".into()));
    assert_eq!(message(r#"{"message": "m"}"#, "said"), Ok("m".into()));
    let missing = message("{}", "").unwrap_err();
    assert!(missing.contains("missing field `message`"), "{missing}");
}
