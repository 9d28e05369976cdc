use core_model::{Agent, Content, ExecutionStatus};

use serde_json::json;

use super::*;

fn first<T: DeserializeOwned + std::fmt::Debug>(value: Value) -> Value {
    json!(typed::<T>(&value, &["body"]).unwrap_err()[0])
}

#[test]
fn broken_json_is_located() {
    let problem = json!(json(b"{bad").unwrap_err()[0]);
    assert_eq!(problem["type"], "json_invalid");
    assert_eq!(problem["loc"], json!(["body", 1]));
    assert_eq!(problem["msg"], "JSON decode error");
    let problem = json!(json(b"{\n \"a\": ]}").unwrap_err()[0]);
    assert_eq!(problem["loc"], json!(["body", 8]));
}

#[test]
fn an_enum_names_its_choices() {
    let problem = first::<ExecutionStatus>(json!("bogus"));
    assert_eq!(
        problem["msg"],
        "Input should be 'idle', 'running', 'paused', 'waiting_for_confirmation', 'finished', \
         'error', 'stuck' or 'deleting'"
    );
    assert_eq!(problem["input"], "bogus");
}

#[test]
fn the_path_leads_into_the_body() {
    let problem = first::<Vec<Content>>(json!([{"type": "text"}]));
    assert_eq!(problem["type"], "missing");
    assert_eq!(problem["loc"], json!(["body", 0, "text"]));
}

#[test]
fn a_number_that_is_too_large_is_told_the_range() {
    let problem = first::<Agent>(json!({"tool_concurrency_limit": 1_u64 << 32}));
    assert_eq!(
        problem["msg"],
        "Input should be an integer from 0 to 4294967295"
    );
    let problem = first::<Agent>(json!({"tool_concurrency_limit": "x"}));
    assert_eq!(problem["msg"], "Input should be a valid integer");
}

#[test]
fn a_secret_in_the_wrong_place_is_not_echoed() {
    for body in [
        json!({"llm": {"num_retries": "sk-secret"}}),
        json!({"llm": "sk-secret"}),
        json!({"mcp_config": "sk-secret"}),
        json!({"llm": {"api_mode": "sk-secret"}}),
    ] {
        let text = first::<Agent>(body).to_string();
        assert!(!text.contains("sk-secret"), "{text}");
    }
}

#[test]
fn ids_are_dashed_or_hex_and_nothing_else() {
    let id = conversation_id("4ed7564ac4654319ba19ee162b106852", &["path"]).unwrap();
    assert_eq!(id.to_string(), "4ed7564a-c465-4319-ba19-ee162b106852");
    assert_eq!(Ok(id), conversation_id(&id.to_string(), &["path"]));
    let problem = conversation_id("not-a-uuid", &["path", "conversation_id"]).unwrap_err();
    assert_eq!(
        json!(problem[0]),
        json!({
            "type": "uuid_parsing",
            "loc": ["path", "conversation_id"],
            "msg": "Input should be a valid UUID, invalid character: found `n` at 0",
            "input": "not-a-uuid",
            "ctx": {"error": "invalid character: found `n` at 0"}
        })
    );
    assert!(conversation_id(&format!("{{{id}}}"), &["path"]).is_err());
}
