//! Replies that go back with the next request.

use core_model::{Message, MessageToolCall, message::Provenance};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{body, called, parsed, response, result, settings, spoken, thought, user};
use crate::{Block, ModelMessage, ModelReply};

/// The items of a request that follow the first user message.
fn items(model: &str, messages: Vec<ModelMessage>) -> Vec<Value> {
    let mut messages = messages;
    messages.insert(0, user("hello"));
    let mut body = body(&settings(model), messages);
    let Value::Array(mut items) = body["input"].take() else {
        panic!("no input");
    };
    items.remove(0);
    items.retain(|item| item["output"] != "[No result of this call was recorded.]");
    items
}

fn reply(output: Value) -> ModelReply {
    parsed(&response(output)).expect("a reply")
}

/// What a reply is after it went through events, which hold the calls that were answered.
fn through_events(reply: &ModelReply, answered: &[&str]) -> ModelMessage {
    let stored = serde_json::to_value(reply.said()).expect("JSON");
    let mut message: Message = serde_json::from_value(stored).expect("a message");
    let calls = reply
        .calls()
        .filter(|call| answered.contains(&call.id.as_str()));
    let calls: Vec<MessageToolCall> = calls.cloned().collect();
    message.tool_calls = Some(calls).filter(|calls| !calls.is_empty());
    message.into()
}

fn without_id(mut item: Value) -> Value {
    let text = item.pointer("/content/0/text").cloned();
    let fields = item.as_object_mut().expect("an item");
    fields.remove("id");
    fields.remove("status");
    if let Some(text) = text {
        fields.insert("content".to_owned(), text);
    }
    item
}

#[test]
fn every_thought_goes_back_before_the_item_it_led_to() {
    let output = json!([
        thought("rs_1"),
        called("fc_1", "call_1"),
        called("fc_2", "call_2"),
        thought("rs_2"),
        thought("rs_3"),
        called("fc_3", "call_3")
    ]);
    let reply = reply(output.clone());
    let answers = ["call_1", "call_2", "call_3"];
    let mut messages = vec![through_events(&reply, &answers)];
    messages.extend(answers.map(result));
    let sent = items("openai/gpt-5.6", messages);
    assert_eq!(Value::Array(sent[..6].to_vec()), output);
    assert_eq!(sent[8]["call_id"], "call_3");
}

#[test]
fn a_message_goes_back_with_its_phase() {
    let phased = |id: &str, text: &str, phase: &str| {
        let mut item = spoken(id, text);
        item["phase"] = json!(phase);
        item
    };
    let output = json!([
        thought("rs_1"),
        phased("msg_1", "looking", "commentary"),
        called("fc_1", "call_1"),
        thought("rs_2"),
        phased("msg_2", "done", "final_answer")
    ]);
    let back = through_events(&reply(output.clone()), &["call_1"]);
    let sent = items("openai/gpt-5.6", vec![back, result("call_1")]);
    assert_eq!(Value::Array(sent[..5].to_vec()), output);
}

#[test]
fn another_model_gets_neither_thoughts_nor_ids() {
    let output = json!([
        thought("rs_1"),
        spoken("msg_1", "looking"),
        called("fc_1", "call_1")
    ]);
    let plain = vec![
        without_id(spoken("msg_1", "looking")),
        without_id(called("fc_1", "call_1")),
    ];
    let back = through_events(&reply(output.clone()), &["call_1"]);
    let ModelMessage::Assistant(said) = &back else {
        panic!("not a reply");
    };
    let mut edited = said.clone();
    edited.forget_provider_state();
    let mut over_chat = said.clone();
    over_chat.made_by = Some(Provenance {
        model: "openai/gpt-5.6".to_owned(),
        format: "chat".to_owned(),
    });
    let same = "openai/gpt-5.6";
    assert_eq!(items("openai/gpt-6", vec![back])[..], plain);
    assert_eq!(items(same, vec![ModelMessage::Assistant(edited)]), plain);
    assert_eq!(items(same, vec![ModelMessage::Assistant(over_chat)]), plain);
}

#[test]
fn a_thought_without_the_item_it_led_to_is_left_out() {
    let search = json!({"type": "web_search_call", "id": "ws_1", "status": "completed"});
    // What the model made, which of its calls were answered, what goes back.
    let table = [
        // The reply was cut in a thought.
        (
            json!([called("fc_1", "a"), thought("rs_1")]),
            vec!["a"],
            json!([called("fc_1", "a")]),
        ),
        // The call that a thought led to was never answered.
        (
            json!([thought("rs_1"), called("fc_1", "a"), called("fc_2", "b")]),
            vec!["b"],
            json!([without_id(called("fc_2", "b"))]),
        ),
        // One that was answered, and a later one that was not.
        (
            json!([
                thought("rs_1"),
                called("fc_1", "a"),
                thought("rs_2"),
                called("fc_2", "b")
            ]),
            vec!["a"],
            json!([thought("rs_1"), called("fc_1", "a")]),
        ),
        // It led to an item that cannot go back.
        (
            json!([
                thought("rs_1"),
                search,
                spoken("msg_1", "found"),
                called("fc_1", "a")
            ]),
            vec!["a"],
            json!([
                without_id(spoken("msg_1", "found")),
                without_id(called("fc_1", "a"))
            ]),
        ),
        // The provider keeps what it thought to itself.
        (
            json!([{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": null},
                   called("fc_1", "a")]),
            vec!["a"],
            json!([without_id(called("fc_1", "a"))]),
        ),
    ];
    for (output, answered, expected) in table {
        let back = through_events(&reply(output.clone()), &answered);
        let sent = items("openai/gpt-5.6", vec![back]);
        assert_eq!(Value::Array(sent), expected, "{output}");
    }
}

#[test]
fn thoughts_that_a_server_shows_go_back_as_they_are() {
    let shown = json!({"type": "reasoning", "id": "rs_1", "summary": [],
                       "content": [{"type": "reasoning_text", "text": "hm"}]});
    let output = json!([shown, called("fc_1", "a")]);
    let back = through_events(&reply(output.clone()), &["a"]);
    assert_eq!(Value::Array(items("openai/gpt-5.6", vec![back])), output);
}

#[test]
fn state_in_another_form_is_left_out() {
    let strange = |state: Value| {
        let blocks = vec![
            Block::reasoning("hm").with_state(Some(state.clone())),
            Block::text("aloud").with_state(Some(state)),
        ];
        items("openai/gpt-5.6", vec![super::said(blocks)])
    };
    for state in [
        json!({"type": "thinking", "thinking": "hm", "signature": "s"}),
        json!({"id": "rs_1", "summary": ["as public clients know it"], "encrypted_content": "e"}),
        json!("text"),
        json!(["rs_1"]),
    ] {
        assert_eq!(strange(state), [without_id(spoken("", "aloud"))]);
    }
}

/// The rules by which OpenAI refuses a list of items.
fn check(items: &[Value]) {
    for (at, item) in items.iter().enumerate() {
        if item["type"] == "reasoning" {
            let next = items.get(at + 1).unwrap_or(&Value::Null);
            let sealed = item["encrypted_content"].is_string();
            let led_to = ["reasoning", "message", "function_call"].map(Value::from);
            assert!(
                sealed && led_to.contains(&next["type"]),
                "{item} before {next}"
            );
            let goes_back = next["id"].is_string();
            assert!(
                goes_back,
                "{item} is not followed by what it led to: {next}"
            );
        }
        if item["type"] == "function_call" {
            let id = &item["call_id"];
            let answer =
                |other: &&Value| other["type"] == "function_call_output" && &other["call_id"] == id;
            assert_eq!(items[at..].iter().filter(answer).count(), 1, "{item}");
        }
    }
}

/// An item asks by its id for what it directly follows from.
fn check_ids(output: &[Value], sent: &[Value]) {
    let goes_back = |item: &Value| sent.iter().any(|sent| sent["id"] == item["id"]);
    for (at, item) in output.iter().enumerate() {
        let thought = output[..at]
            .iter()
            .rfind(|item| item["type"] == "reasoning");
        let before = output[..at]
            .last()
            .filter(|item| item["type"] == "web_search_call");
        if item["type"] != "reasoning" && goes_back(item) {
            let missing = thought
                .into_iter()
                .chain(before)
                .find(|item| !goes_back(item));
            assert_eq!(missing, None, "asked for by {item}");
        }
    }
}

proptest! {
    #[test]
    fn no_reply_goes_back_in_a_form_that_is_refused(
        kinds in proptest::collection::vec(0..5_u8, 0..9),
        answered in proptest::collection::vec(any::<bool>(), 9),
        same_model in any::<bool>(),
    ) {
        let output = kinds.iter().enumerate().map(|(at, kind)| match kind {
            0 => thought(&format!("rs_{at}")),
            1 => spoken(&format!("msg_{at}"), "text"),
            2 => spoken(&format!("msg_{at}"), ""),
            3 => json!({"type": "web_search_call", "id": format!("ws_{at}")}),
            _ => called(&format!("fc_{at}"), &format!("call_{at}")),
        });
        let output: Vec<Value> = output.collect();
        let reply = reply(json!(output));
        let answered: Vec<&str> = reply.calls().zip(answered)
            .filter_map(|(call, answered)| answered.then_some(call.id.as_str()))
            .collect();
        let mut messages = vec![through_events(&reply, &answered)];
        messages.extend(answered.iter().map(|id| result(id)));
        let model = if same_model { "openai/gpt-5.6" } else { "openai/gpt-6" };
        let sent = items(model, messages);
        check(&sent);
        check_ids(&output, &sent);
        let ids = sent.iter().filter(|item| !item["id"].is_null()).count();
        prop_assert!(same_model || ids == 0);
    }
}
