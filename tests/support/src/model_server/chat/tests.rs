use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::format::Format;
use super::super::rule::Asked;
use super::super::rules::Rules;

fn violations_of(body: &Value) -> Vec<String> {
    let asked = Asked {
        body,
        headers: &BTreeMap::new(),
        sent: &[],
    };
    Rules::usual().violations(Format::Chat, &asked)
}

fn good() -> Value {
    json!({
        "model": "m",
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "be good"}]},
            {"role": "user", "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "data:1"}}]},
            {"role": "assistant", "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "x", "arguments": "{}"}},
                {"id": "b", "type": "function", "function": {"name": "y", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "b", "content": ""},
            {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "1"}]},
            {"role": "assistant", "content": ""},
        ],
        "tools": [{"type": "function", "function": {
            "name": "x", "description": "d", "parameters": {"type": "object"}}}],
        "stream": true,
        "stream_options": {"include_usage": true},
    })
}

#[test]
fn a_good_request_has_no_violations() {
    assert_eq!(violations_of(&good()), [""; 0]);
}

#[test]
fn each_broken_rule_is_named() {
    let set = |pointer: &'static str, value: Value, told: &'static str| (pointer, value, told);
    let table = [
        set("/model", json!(""), "`model`"),
        set("/stream", json!(false), "`stream_options`"),
        set("/messages", json!([]), "`messages`"),
        set("/messages/0/role", json!("robot"), "unknown role"),
        set("/messages/1/role", json!("system"), "not the first"),
        set("/messages/1/content", json!([]), "empty list"),
        set("/messages/1/content", json!(""), "is empty"),
        set("/messages/1/content", json!(1), "neither text nor a list"),
        set("/messages/1/content/0/text", json!(""), "without text"),
        set("/messages/1/content/0/type", json!("x"), "unknown type"),
        set(
            "/messages/1/content/1/image_url",
            json!({}),
            "without address",
        ),
        set("/messages/2/tool_calls", json!([]), "not a list of calls"),
        set("/messages/2/tool_calls/0/id", json!("b"), "twice"),
        set("/messages/2/tool_calls/0/id", json!(null), "without id"),
        set(
            "/messages/2/tool_calls/0/type",
            json!("x"),
            "no named function",
        ),
        set(
            "/messages/2/tool_calls/0/function/name",
            json!("a b"),
            "no named function",
        ),
        set(
            "/messages/2/tool_calls/0/function/arguments",
            json!({}),
            "JSON object",
        ),
        set(
            "/messages/2/tool_calls/0/function/arguments",
            json!("[]"),
            "JSON object",
        ),
        set("/messages/3/tool_call_id", json!("a"), "no open call"),
        set("/messages/3/role", json!("user"), "before the answers"),
        set(
            "/messages/4/content/0/type",
            json!("image_url"),
            "may not hold images",
        ),
        set(
            "/messages/5/content",
            json!(null),
            "neither content nor calls",
        ),
        set("/tools", json!([]), "`tools`"),
        set("/tools/0/function/name", json!(null), "no named function"),
        set("/tools/0/function/description", json!(""), "no description"),
        set("/tools/0/function/parameters", json!({}), "type object"),
    ];
    for (pointer, value, told) in table {
        let mut body = good();
        *body.pointer_mut(pointer).expect(pointer) = value;
        let found = violations_of(&body).join("; ");
        assert!(found.contains(told), "{pointer}: {found}");
    }
}

#[test]
fn calls_left_unanswered_at_the_end_are_named() {
    let mut body = good();
    body["messages"].as_array_mut().expect("a list").truncate(4);
    assert_eq!(
        violations_of(&body),
        [r#"chat.calls_answered: the calls {"a"} are not answered"#]
    );
}
