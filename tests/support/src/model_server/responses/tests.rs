use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::format::Format;
use super::super::rule::{Asked, SentReply};
use super::super::rules::Rules;

/// What the model said before: two thoughts, words, a call.
fn items() -> Vec<Value> {
    vec![
        json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "e1", "status": null}),
        json!({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
               "phase": "commentary", "content": [{"type": "output_text", "text": "so", "annotations": []}]}),
        json!({"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "e2", "status": null}),
        json!({"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "x", "arguments": "{}"}),
    ]
}

fn good() -> Value {
    let mut input = vec![json!({"role": "user", "content": [
        {"type": "input_text", "text": "look"},
        {"type": "input_image", "image_url": "data:image/png;base64,iVBO", "detail": "auto"}]})];
    input.extend(items().into_iter().map(|mut item| {
        item.as_object_mut()
            .expect("an item")
            .retain(|_, value| !value.is_null());
        item
    }));
    input.push(json!({"type": "function_call_output", "call_id": "call_1", "output": ""}));
    json!({
        "model": "m", "store": false, "include": ["reasoning.encrypted_content"], "input": input,
        "tools": [{"type": "function", "name": "x", "strict": false, "parameters": {"type": "object"}}],
    })
}

fn violations_of(rules: &Rules, body: &Value) -> Vec<String> {
    let sent = [SentReply {
        model: "m".to_owned(),
        items: items(),
        prefix: 0,
    }];
    let asked = Asked {
        body,
        headers: &BTreeMap::new(),
        sent: &sent,
    };
    rules.violations(Format::Responses, &asked)
}

#[test]
fn a_good_request_has_no_violations() {
    let rules = Rules::usual().and("responses.encrypted_reasoning_asked");
    assert_eq!(violations_of(&rules, &good()), [""; 0]);
}

#[test]
fn each_broken_rule_is_named() {
    let words = json!({"role": "user", "content": "x"});
    let table = [
        ("/seed", json!(1), "responses.fields"),
        ("/model", json!(""), "responses.model"),
        ("/stream_options", json!({}), "responses.stream_options"),
        ("/store", json!(true), "responses.stateless"),
        (
            "/previous_response_id",
            json!("resp_1"),
            "responses.stateless",
        ),
        ("/max_output_tokens", json!(15), "responses.length_limit"),
        ("/input", json!([]), "responses.items"),
        ("/input/0/content", json!([]), "responses.items"),
        ("/input/1/status", json!(null), "responses.items"),
        (
            "/input/0/content/1/image_url",
            json!("file:1"),
            "responses.items",
        ),
        (
            "/input/5/call_id",
            json!("call_2"),
            "responses.calls_answered",
        ),
        ("/input/5", words.clone(), "responses.calls_answered"),
        ("/input/4/call_id", json!("a|b"), "responses.call_ids"),
        ("/input/4/id", json!("call_1"), "responses.item_ids"),
        (
            "/input/1/encrypted_content",
            json!("e9"),
            "responses.reasoning_unchanged",
        ),
        ("/model", json!("another"), "responses.reasoning_unchanged"),
        (
            "/input/1/encrypted_content",
            json!(""),
            "responses.reasoning_encrypted",
        ),
        ("/input/2", words.clone(), "responses.reasoning_followed"),
        (
            "/input/3",
            words.clone(),
            "responses.reasoning_before_its_item",
        ),
        ("/input/2/phase", json!("final_answer"), "responses.phase"),
        ("/tools/0/strict", json!(true), "responses.tools"),
        ("/include", json!([]), "responses.encrypted_reasoning_asked"),
        ("/top_p", json!(0.5), "responses.no_sampling"),
        ("/model", json!("m"), "responses.no_images"),
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
