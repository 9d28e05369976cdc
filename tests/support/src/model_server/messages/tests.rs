use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::format::Format;
use super::super::rule::{Asked, SentReply, hash_of, list};
use super::super::rules::Rules;

const THOUGHT: &str = "/messages/1/content/0";

/// A whole turn; its thought and its call were sent before.
fn good() -> Value {
    json!({
        "model": "m", "max_tokens": 4_096,
        "thinking": {"type": "enabled", "budget_tokens": 1_024},
        "system": [{"type": "text", "text": "be good", "cache_control": {"type": "ephemeral"}}],
        "tools": [{"name": "x", "input_schema": {"type": "object"}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "look"}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "tool_use", "id": "a", "name": "x", "input": {}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": [
                    {"type": "text", "text": "1"},
                    {"type": "image", "source": {
                        "type": "base64", "media_type": "image/png", "data": "iVBORw0KGgoA"}}]},
                {"type": "text", "text": "and?"}]},
        ],
    })
}

fn violations_of(rules: &Rules, body: &Value) -> Vec<String> {
    let sent = [SentReply {
        model: "m".to_owned(),
        items: list(&good()["messages"][1]["content"]).to_vec(),
        prefix: hash_of(&list(&good()["messages"])[..1]),
    }];
    let headers = BTreeMap::from([("anthropic-version".to_owned(), "2023-06-01".to_owned())]);
    let asked = Asked {
        body,
        headers: &headers,
        sent: &sent,
    };
    rules.violations(Format::Messages, &asked)
}

#[test]
fn a_good_request_has_no_violations() {
    let rules = Rules::usual()
        .and("messages.no_prefill")
        .and("messages.thoughts_of_this_prefix");
    assert_eq!(violations_of(&rules, &good()), [""; 0]);
}

#[test]
fn each_broken_rule_is_named() {
    let text = json!({"type": "text", "text": "x"});
    let marks = json!(vec![json!({"cache_control": 1}); 5]);
    let forced = json!({"type": "any"});
    let table = [
        ("/seed", json!(1), "messages.fields"),
        ("/model", json!(""), "messages.model"),
        ("/max_tokens", json!(null), "messages.max_tokens"),
        (
            "/messages/1/role",
            json!("user"),
            "messages.roles_alternate",
        ),
        (
            "/messages/0/role",
            json!("assistant"),
            "messages.user_first",
        ),
        ("/messages/0/content/0/text", json!(" "), "messages.content"),
        ("/messages/0/content", json!([]), "messages.content"),
        ("/system/0/text", json!(""), "messages.system"),
        (
            "/messages/2/content/0/tool_use_id",
            json!("b"),
            "messages.calls_answered",
        ),
        (
            "/messages/2/content/0",
            text.clone(),
            "messages.calls_answered",
        ),
        (
            "/messages/1/content/1/id",
            json!("a|b"),
            "messages.call_ids",
        ),
        (
            "/messages/2/content/0/content/1/source/media_type",
            json!("image/gif"),
            "messages.images",
        ),
        ("/tools/0/input_schema", json!({}), "messages.tools"),
        ("/tools", json!([]), "messages.tools_of_calls"),
        ("/metadata", marks, "messages.four_cache_marks"),
        (
            "/messages/1/content/0/cache_control",
            json!({}),
            "messages.no_cached_thoughts",
        ),
        (
            "/messages/1/content/0/thinking",
            json!("other"),
            "messages.thoughts_unchanged",
        ),
        ("/model", json!("another"), "messages.thoughts_unchanged"),
        (THOUGHT, text.clone(), "messages.thoughts_of_this_turn"),
        (
            "/thinking",
            json!({"type": "disabled"}),
            "messages.thoughts_asked",
        ),
        (
            "/thinking/budget_tokens",
            json!(4_096),
            "messages.thinking_budget",
        ),
        (
            "/temperature",
            json!(0.5),
            "messages.thinking_with_sampling",
        ),
        ("/temperature", json!(0.5), "messages.no_sampling"),
        ("/tool_choice", forced, "messages.no_forced_tool"),
        (
            "/messages/0/content/0/text",
            json!("edited"),
            "messages.thoughts_of_this_prefix",
        ),
        ("/thinking/type", json!("enabled"), "messages.always_thinks"),
        ("/model", json!("m"), "messages.no_images"),
    ];
    for (pointer, value, rule) in table {
        let mut body = good();
        let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
        let parent = body.pointer_mut(parent).expect(pointer);
        match field.parse::<usize>() {
            Ok(at) => parent[at] = value,
            Err(_) => parent[field] = value,
        }
        let found = violations_of(&Rules::none().and(rule), &body);
        assert!(
            !found.is_empty() && found[0].starts_with(rule),
            "{pointer}: {found:?}"
        );
    }
}

#[test]
fn results_come_first_and_thoughts_before_their_calls() {
    let mut body = good();
    let swapped = body["messages"][2]["content"]
        .as_array_mut()
        .expect("a list");
    swapped.swap(0, 1);
    let rules = Rules::none().and("messages.results_first");
    assert_eq!(violations_of(&rules, &body).len(), 1);

    let mut body = good();
    let swapped = body["messages"][1]["content"]
        .as_array_mut()
        .expect("a list");
    swapped.swap(0, 1);
    let rules = Rules::none().and("messages.thoughts_in_place");
    assert_eq!(violations_of(&rules, &body).len(), 1);
}
