//! Whatever is in a conversation, its next request is one that Anthropic takes.

use std::collections::HashSet;

use core_model::{Content, MessageToolCall};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    ALWAYS, UNKNOWN, body, call, calling, image, reply, result, settings, signed, system, text,
    thought, tool_result, tool_use, user,
};
use crate::{Block, ModelMessage};

fn messages(messages: Vec<ModelMessage>) -> Value {
    body(&settings(UNKNOWN), messages)["messages"].clone()
}

#[test]
fn a_conversation_begins_and_ends_with_the_user() {
    let begins = json!({"role": "user", "content": [text("[The conversation begins here.]")]});
    let goes_on = json!({"role": "user", "content": [text("Continue.")]});
    let said = |said: &str| json!({"role": "assistant", "content": [text(said)]});
    let says = |text: &str| reply(UNKNOWN, vec![Block::text(text)]);
    assert_eq!(messages(vec![]), json!([begins]));
    assert_eq!(messages(vec![user(" "), says("")]), json!([begins]));
    assert_eq!(
        messages(vec![says("a")]),
        json!([begins, said("a"), goes_on])
    );
    // As it was asked for: see above.
    assert_eq!(
        messages(vec![says("a"), says("b")]),
        json!([begins, said("a"), goes_on, said("b"), goes_on])
    );
}

#[test]
fn what_comes_from_one_side_is_one_message() {
    let late = ModelMessage::System(vec![Content::text("be brief")]);
    assert_eq!(
        messages(vec![system(&["be good"]), user("a"), user("b"), late]),
        json!([{"role": "user", "content": [text("a"), text("b"), text("be brief")]}])
    );
}

#[test]
fn every_call_is_answered_once_and_first() {
    let none = "[No result of this call was recorded.]";
    let sent = messages(vec![
        user("a"),
        calling(&["c1", "c2"]),
        user("wait"),
        result("c2", "late"),
        result("c2", "again"),
        calling(&["c1"]),
    ]);
    assert_eq!(
        sent,
        json!([
            {"role": "user", "content": [text("a")]},
            {"role": "assistant", "content": [tool_use("c1"), tool_use("c2")]},
            {"role": "user", "content": [
                tool_result("c2", "late"), tool_result("c1", none), text("wait"),
                text("[A result of the tool think:]"), text("again")]},
            {"role": "assistant", "content": [tool_use("c1_2")]},
            {"role": "user", "content": [tool_result("c1_2", none)]},
        ])
    );
}

#[test]
fn calls_that_no_provider_takes_go_back_in_a_form_that_it_does() {
    let sent = |name: &str, arguments: &str| {
        let call = Block::call(MessageToolCall::new("a|b c", name, arguments));
        let said = reply(UNKNOWN, vec![call]);
        messages(vec![user("a"), said, result("a|b c", " ")])
    };
    let odd = sent("functions.terminal<|x|>", "{\"a\": 1}");
    assert_eq!(
        odd[1]["content"],
        json!([{"type": "tool_use", "id": "a_b_c", "name": "functions_terminal_x", "input": {"a": 1}}])
    );
    assert_eq!(
        odd[2]["content"],
        json!([tool_result("a_b_c", "[no output]")])
    );
    let long = sent(&"ls -la; ".repeat(50), "{\"a\": ");
    assert_eq!(
        long[1]["content"][0]["name"].as_str().map(str::len),
        Some(64)
    );
    assert_eq!(
        long[1]["content"][0]["input"],
        json!({"malformed": "{\"a\": "})
    );
    assert_eq!(sent("", "[]")[1]["content"][0]["name"], "unknown_tool");
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), Just(" \n".to_owned()), "[a-zé ]{1,8}"]
}

fn any_id() -> impl Strategy<Value = String> {
    prop_oneof![
        "c[0-3]",
        Just("a|b".to_owned()),
        Just("x".repeat(80)),
        Just(String::new())
    ]
}

fn any_block() -> impl Strategy<Value = Block> {
    let arguments = prop_oneof![Just("{\"a\":1}"), Just("{"), Just(""), Just("[1]")];
    prop_oneof![
        any_text().prop_map(Block::text),
        any_text().prop_map(Block::reasoning),
        Just(thought(signed("hm"))),
        Just(thought(json!({"type": "thinking", "thinking": "hm"}))),
        (any_id(), any_text(), arguments).prop_map(|(id, name, arguments)| Block::call(
            MessageToolCall::new(id, name, arguments)
        )),
    ]
}

fn any_message() -> impl Strategy<Value = ModelMessage> {
    let blocks = || proptest::collection::vec(any_block(), 0..5);
    let content = || {
        let part = prop_oneof![
            any_text().prop_map(Content::text),
            prop_oneof![Just("https://h/a"), Just("http://h/a"), Just("")].prop_map(image),
        ];
        proptest::collection::vec(part, 0..3)
    };
    prop_oneof![
        1 => content().prop_map(ModelMessage::System),
        2 => content().prop_map(ModelMessage::User),
        3 => blocks().prop_map(|blocks| reply(ALWAYS, blocks)),
        1 => blocks().prop_map(|blocks| reply(UNKNOWN, blocks)),
        3 => (any_id(), content()).prop_map(|(call_id, content)| ModelMessage::ToolResult {
            call_id, tool: "t".to_owned(), content,
        }),
    ]
}

proptest! {
    #[test]
    fn any_history_makes_a_request_that_is_taken(
        history in proptest::collection::vec(any_message(), 0..14),
    ) {
        let body = body(&settings(ALWAYS), history);
        prop_assert_eq!(fault(&body), None, "{}", body);
    }

    /// Caches and signatures are of what was sent before.
    #[test]
    fn a_later_request_begins_with_what_an_earlier_one_was(
        steps in proptest::collection::vec((any_text(), any_id(), any_block()), 1..8),
    ) {
        let mut history = vec![user("begin")];
        let mut before: Option<Vec<Value>> = None;
        for (said, id, block) in steps {
            let uncached = core_model::LlmSettings { caching_prompt: false, ..settings(ALWAYS) };
            let body = body(&uncached, history.clone());
            let sent = body["messages"].as_array().unwrap().clone();
            if let Some(before) = before {
                prop_assert_eq!(&sent[..before.len()], &before[..]);
            }
            before = Some(sent);
            let blocks = vec![thought(signed("hm")), block, Block::text("x"), call(&id)];
            history.push(reply(ALWAYS, blocks.clone()));
            let ids = blocks.iter().filter_map(|block| match &block.part {
                crate::Part::Call(call) => Some(call.id.clone()),
                crate::Part::Text(_) | crate::Part::Reasoning(_) => None,
            });
            history.extend(ids.map(|id| result(&id, &said)));
        }
    }
}

/// What Anthropic would refuse of a request.
fn fault(body: &Value) -> Option<String> {
    let messages = body["messages"].as_array()?;
    let mut ids = HashSet::new();
    let mut open: Vec<String> = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        let role = if at % 2 == 0 { "user" } else { "assistant" };
        if message["role"] != role {
            return Some(format!("messages.{at} is not of the {role}"));
        }
        let content = message["content"].as_array()?;
        if content.is_empty() {
            return Some(format!("messages.{at} is empty"));
        }
        let kind = |block: &Value| block["type"].as_str().unwrap_or_default().to_owned();
        let results: Vec<&Value> = content
            .iter()
            .take_while(|block| kind(block) == "tool_result")
            .collect();
        let answered: HashSet<&str> = results
            .iter()
            .filter_map(|block| block["tool_use_id"].as_str())
            .collect();
        let wanted: HashSet<&str> = open.iter().map(String::as_str).collect();
        if answered != wanted || results.len() != open.len() {
            return Some(format!(
                "messages.{at} answers {answered:?}, not {wanted:?}"
            ));
        }
        open.clear();
        for block in content.iter().skip(results.len()) {
            match (role, kind(block).as_str()) {
                (_, "text") => {}
                ("user", "image") => {}
                ("assistant", "thinking") if block["signature"] == "c2ln" => {}
                ("assistant", "tool_use") => {
                    let (id, name) = (block["id"].as_str()?, block["name"].as_str()?);
                    let legal = |text: &str| {
                        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
                        !text.is_empty() && text.chars().all(allowed)
                    };
                    if !legal(id) || id.len() > 64 || !legal(name) || !block["input"].is_object() {
                        return Some(format!("messages.{at} calls {block}"));
                    }
                    if !ids.insert(id.to_owned()) {
                        return Some(format!("messages.{at} uses the id {id} again"));
                    }
                    open.push(id.to_owned());
                }
                (_, other) => return Some(format!("messages.{at} has {other:?}")),
            }
        }
        if content
            .last()
            .is_some_and(|block| kind(block) == "thinking")
        {
            return Some(format!("messages.{at} ends with a thought"));
        }
    }
    if messages.len() % 2 == 0 {
        return Some("the last message is not the user's".to_owned());
    }
    let system = body["system"].as_array().into_iter().flatten();
    if system.clone().any(|block| block["type"] != "text") {
        return Some("the system prompt is not all text".to_owned());
    }
    let text = body.to_string();
    if text.matches("\"cache_control\"").count() > 4 {
        return Some("more than four prefixes are marked".to_owned());
    }
    blank_text(body).map(|text| format!("a text is {text:?}"))
}

fn blank_text(value: &Value) -> Option<String> {
    match value {
        Value::Object(fields) => {
            let text = fields.get("text").and_then(Value::as_str);
            let blank = text
                .filter(|text| text.trim().is_empty())
                .map(str::to_owned);
            blank.or_else(|| fields.values().find_map(blank_text))
        }
        Value::Array(items) => items.iter().find_map(blank_text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
