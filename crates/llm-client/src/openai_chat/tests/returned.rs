//! What a provider wants back of a reply, from its answer to the next request.

use core_model::{Content, LlmSettings, MessageToolCall, message::Provenance};
use serde_json::{Value, json};

use super::super::OpenAiChat;
use crate::adjustments::{ContentBesideCalls, ReasoningText};
use crate::format::{Format, RawReply};
use crate::provider::{Route, route};
use crate::transport::stream::StreamedReply;
use crate::{AssistantMessage, Block, ModelMessage, ModelRequest, StopReason};

fn settings(model: &str) -> LlmSettings {
    LlmSettings {
        model: model.to_owned(),
        base_url: Some("http://localhost:1/v1".to_owned()),
        ..LlmSettings::default()
    }
}

fn route_to(model: &str) -> Route {
    route(&settings(model), &OpenAiChat).expect("a route")
}

fn messages(route: &Route, messages: Vec<ModelMessage>) -> Vec<Value> {
    let request = ModelRequest::of(messages);
    let body = OpenAiChat.body(&settings("m"), route, &request);
    body["messages"].as_array().expect("a list").clone()
}

/// A reply as it goes back to the model behind `route`; made by that behind `maker`.
fn returned(raw: RawReply, maker: &Route, route: &Route) -> Value {
    let reply = ModelMessage::Assistant(AssistantMessage {
        blocks: raw.blocks,
        made_by: Some(maker.made_by.clone()),
    });
    messages(route, vec![reply]).remove(0)
}

fn whole(message: &Value) -> RawReply {
    let answer = json!({"id": "r", "choices": [{"message": message, "finish_reason": "stop"}]});
    OpenAiChat.read_reply(&answer).expect("a reply")
}

fn streamed(deltas: &[Value]) -> RawReply {
    let mut reply = StreamedReply::new(OpenAiChat.stream_reader());
    for delta in deltas {
        let chunk = json!({"choices": [{"delta": delta}]});
        let event = format!("data: {chunk}\n\n");
        reply.push(event.as_bytes(), &|_| {}).expect("an event");
    }
    reply.push(b"data: [DONE]\n\n", &|_| {}).expect("an event");
    reply.finish(&|_| {}).expect("a reply")
}

fn call(index: u64, id: &str, extra: Option<&str>) -> Value {
    let mut call = json!({"index": index, "id": id, "type": "function",
                          "function": {"name": "think", "arguments": "{}"}});
    if let Some(signature) = extra {
        call["extra_content"] = json!({"google": {"thought_signature": signature}});
    }
    call
}

fn signatures(message: &Value) -> Vec<Value> {
    let calls = message["tool_calls"].as_array().expect("calls").iter();
    calls
        .map(|call| {
            let signature = call.pointer("/extra_content/google/thought_signature");
            signature.cloned().unwrap_or(Value::Null)
        })
        .collect()
}

#[test]
fn a_signature_goes_back_with_its_call() {
    let gemini = route_to("gemini/gemini-3-pro");
    let calls = [call(0, "a", Some("s")), call(1, "b", None)];
    let (first, second) = (
        json!({"tool_calls": [calls[0]]}),
        json!({"tool_calls": [calls[1]]}),
    );
    for raw in [
        whole(&json!({"tool_calls": calls})),
        streamed(&[first, second]),
    ] {
        let back = returned(raw, &gemini, &gemini);
        assert_eq!(signatures(&back), [json!("s"), Value::Null]);
    }
}

#[test]
fn calls_that_another_model_made_are_marked_for_gemini_3() {
    let other = route_to("openai/gpt-4o");
    let unsigned = || whole(&json!({"tool_calls": [call(0, "a", Some("s")), call(1, "b", None)]}));
    let marked = json!("skip_thought_signature_validator");
    for model in ["gemini/gemini-3-flash", "openrouter/google/gemini-3.1-pro"] {
        let back = returned(unsigned(), &other, &route_to(model));
        assert_eq!(signatures(&back), [marked.clone(), Value::Null], "{model}");
    }
    for model in ["gemini/gemini-2.5-pro", "openai/gpt-5"] {
        let back = returned(unsigned(), &other, &route_to(model));
        assert_eq!(signatures(&back), [Value::Null, Value::Null], "{model}");
    }
    let mut taught = route_to("openai/proxied");
    taught.adjustments.marks_unsigned_calls = true;
    let back = returned(unsigned(), &other, &taught);
    assert_eq!(signatures(&back), [marked, Value::Null]);
}

#[test]
fn thoughts_go_back_with_calls_if_they_came_as_reasoning_content() {
    let (own, other) = (route_to("openai/kimi-k9"), route_to("openai/other"));
    let reply = |field: &str, calls: Value| whole(&json!({field: "hm", "tool_calls": calls}));
    let calls = json!([call(0, "a", None)]);
    let back = |raw, maker: &Route, route: &Route| {
        returned(raw, maker, route)["reasoning_content"].clone()
    };
    assert_eq!(
        back(reply("reasoning_content", calls.clone()), &own, &own),
        "hm"
    );
    let pieces = [
        json!({"reasoning_content": "h"}),
        json!({"reasoning_content": "m"}),
        json!({"tool_calls": calls}),
    ];
    assert_eq!(back(streamed(&pieces), &own, &own), "hm");
    for raw in [
        reply("reasoning", calls.clone()),
        reply("reasoning_content", Value::Null),
    ] {
        assert_eq!(back(raw, &own, &own), Value::Null);
    }
    assert_eq!(
        back(reply("reasoning_content", calls.clone()), &own, &other),
        Value::Null
    );

    let mut taught = own.clone();
    taught.adjustments.reasoning_text = ReasoningText::Always;
    assert_eq!(back(reply("reasoning", Value::Null), &own, &taught), "hm");
    assert_eq!(back(reply("reasoning", Value::Null), &other, &taught), "");
    taught.adjustments.reasoning_text = ReasoningText::Never;
    assert_eq!(
        back(reply("reasoning_content", calls), &own, &taught),
        Value::Null
    );
}

#[test]
fn the_parts_of_openrouters_reasoning_go_back_as_they_came() {
    let own = route_to("openrouter/anthropic/claude-sonnet-5");
    let detail = |text: &str, signature: Value| json!({"type": "reasoning.text", "text": text, "signature": signature, "index": 0});
    let expected = json!([detail("hm", json!("s"))]);
    let message = json!({"reasoning": "hm", "reasoning_details": expected, "content": "x"});
    let pieces = [
        json!({"reasoning": "h", "reasoning_details": [detail("h", Value::Null)]}),
        json!({"reasoning": "m", "reasoning_details": [detail("m", json!("s"))]}),
        json!({"content": "x"}),
    ];
    for raw in [whole(&message), streamed(&pieces)] {
        assert_eq!(raw.blocks[0].part, Block::reasoning("hm").part);
        let back = returned(raw, &own, &own);
        assert_eq!(back["reasoning_details"], expected);
    }
    let back = returned(whole(&message), &own, &route_to("openrouter/openai/gpt-5"));
    assert_eq!(back.get("reasoning_details"), None);
    let encrypted = json!([{"type": "reasoning.encrypted", "data": "x", "index": 0}]);
    let silent = json!({"reasoning_details": encrypted, "tool_calls": [call(0, "a", None)]});
    let back = returned(whole(&silent), &own, &own);
    assert_eq!(back["reasoning_details"], encrypted);
}

fn conversation() -> Vec<ModelMessage> {
    let user = |text: &str| ModelMessage::User(vec![Content::text(text)]);
    vec![
        user("hello"),
        ModelMessage::Assistant(AssistantMessage {
            blocks: vec![Block::call(MessageToolCall::new("a", "finish", "{}"))],
            made_by: None::<Provenance>,
        }),
        ModelMessage::ToolResult {
            call_id: "a".to_owned(),
            tool: "finish".to_owned(),
            content: vec![Content::text("done")],
        },
        user("more"),
    ]
}

#[test]
fn mistral_reads_a_reply_between_a_result_and_a_message() {
    let roles = |route: &Route| {
        let messages = messages(route, conversation());
        let roles = messages.iter().map(|message| message["role"].clone());
        roles.collect::<Vec<_>>()
    };
    let mistral = roles(&route_to("mistral/mistral-large-latest"));
    assert_eq!(mistral, ["user", "assistant", "tool", "assistant", "user"]);
    let others = roles(&route_to("openai/gpt-4o"));
    assert_eq!(others, ["user", "assistant", "tool", "user"]);
}

#[test]
fn content_beside_calls_is_as_the_provider_wants_it() {
    let mut route = route_to("openai/m");
    let mut content = |way| {
        route.adjustments.content_beside_calls = way;
        messages(&route, conversation())[1].get("content").cloned()
    };
    assert_eq!(content(ContentBesideCalls::Absent), None);
    assert_eq!(content(ContentBesideCalls::Empty), Some(json!("")));
    assert_eq!(content(ContentBesideCalls::Null), Some(Value::Null));
}

#[test]
fn thoughts_within_the_text_are_not_an_answer() {
    for raw in [
        whole(&json!({"content": "<think>hm</think>\n\n"})),
        whole(&json!({"content": "hm</think>"})),
        streamed(&[
            json!({"content": "<thi"}),
            json!({"content": "nk>hm</think>"}),
        ]),
    ] {
        assert_eq!(raw.blocks, [Block::reasoning("hm")]);
    }
    let mistral = json!({"content": [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "yes"},
    ]});
    let expected = [Block::reasoning("hm"), Block::text("yes")];
    assert_eq!(whole(&mistral).blocks, expected);
    assert_eq!(streamed(&[mistral]).blocks, expected);
}

#[test]
fn every_reason_to_stop_is_understood() {
    let stop = |reason: &str, message: Value| {
        let answer = json!({"choices": [{"message": message, "finish_reason": reason}]});
        OpenAiChat.read_reply(&answer).expect("a reply").stop
    };
    let said = json!({"content": "a"});
    for (reason, expected) in [
        ("stop", StopReason::Done),
        ("STOP", StopReason::Done),
        ("length", StopReason::Length),
        ("MAX_TOKENS", StopReason::Length),
        ("content_filter", StopReason::ContentFilter),
        ("pause_turn", StopReason::Pause),
        ("refusal", StopReason::Refusal),
        ("model_context_window_exceeded", StopReason::ContextWindow),
        ("meteor", StopReason::Other("meteor".to_owned())),
    ] {
        assert_eq!(stop(reason, said.clone()), expected, "{reason}");
    }
    assert_eq!(stop("stop", json!({"refusal": "no"})), StopReason::Refusal);
}
