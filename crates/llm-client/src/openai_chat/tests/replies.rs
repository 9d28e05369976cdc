use core_model::{
    LlmSettings, MessageToolCall, masking::SecretMask, message::Provenance, usage::TokenUsage,
};
use serde_json::{Value, json};

use super::super::OpenAiChat;
use crate::format::Format;
use crate::transport::complete::{Completion, complete};
use crate::{Block, ModelError, ModelReply, StopReason};

fn parsed(body: &Value) -> Result<ModelReply, ModelError> {
    let settings = LlmSettings {
        model: "openai/m".to_owned(),
        max_input_tokens: Some(128_000),
        ..LlmSettings::default()
    };
    let raw = OpenAiChat.read_reply(body)?;
    let completion = Completion {
        settings: &settings,
        made_by: &made_by(),
        mask: &SecretMask::default(),
        longest_id: 1_000,
    };
    complete(raw, completion, ["taken".to_owned()].into())
}

fn made_by() -> Provenance {
    Provenance {
        model: "openai/m".to_owned(),
        format: "chat".to_owned(),
    }
}

fn with_message(message: Value) -> ModelReply {
    parsed(&json!({"id": "r", "choices": [{"message": message}]})).expect("a reply")
}

fn call(id: &str, name: &str, arguments: &str) -> MessageToolCall {
    MessageToolCall::new(id, name, arguments)
}

fn reasoning(text: &str) -> Block {
    Block::reasoning(text)
}

fn calls(reply: &ModelReply) -> Vec<&MessageToolCall> {
    reply.calls().collect()
}

#[test]
fn a_whole_reply_is_read() {
    let function = |name: &str| json!({"name": name, "arguments": "{\"a\": 1}"});
    let reply = parsed(&json!({
        "id": "r1",
        "choices": [{"finish_reason": "tool_calls", "message": {
            "role": "assistant", "content": "aloud", "reasoning_content": "private",
            "tool_calls": [{"id": "c1", "type": "function", "function": function("x")},
                           {"id": "c2", "type": "function", "function": function("y")}]}}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120,
                  "prompt_tokens_details": {"cached_tokens": 40},
                  "completion_tokens_details": {"reasoning_tokens": 5}},
    }));
    let expected = ModelReply {
        id: "r1".to_owned(),
        blocks: vec![
            reasoning("private").with_state(Some(json!({"field": "reasoning_content"}))),
            Block::text("aloud"),
            Block::call(call("c1", "x", "{\"a\": 1}")),
            Block::call(call("c2", "y", "{\"a\": 1}")),
        ],
        usage: TokenUsage {
            model: "openai/m".to_owned(),
            prompt_tokens: 100,
            completion_tokens: 20,
            cache_read_tokens: 40,
            cache_write_tokens: 0,
            reasoning_tokens: 5,
            context_window: 128_000,
            per_turn_token: 120,
            response_id: "r1".to_owned(),
        },
        stop: StopReason::Done,
        latency: std::time::Duration::ZERO,
        cost: None,
        made_by: Some(made_by()),
        notices: Vec::new(),
        fallback: None,
    };
    assert_eq!(reply, Ok(expected));
}

#[test]
fn other_dialects_are_read_too() {
    let legacy = with_message(json!({"function_call": {"name": "x", "arguments": ""}}));
    let legacy = calls(&legacy);
    assert_eq!(legacy, [&call(&legacy[0].id, "x", "{}")]);
    assert!(legacy[0].id.starts_with("call_"));

    let parts = with_message(
        json!({"content": [{"type": "text", "text": "a"}, {"text": "b"}],
                                    "reasoning": "r"}),
    );
    assert_eq!(parts.blocks, [reasoning("r"), Block::text("ab")]);

    let refusal = with_message(json!({"content": null, "refusal": "I will not"}));
    assert_eq!(refusal.text(), "I will not");

    let empty = with_message(json!({"content": null}));
    assert_eq!(empty.blocks, []);

    let usage = json!({"prompt_tokens": 9, "prompt_cache_hit_tokens": 4});
    let cached = parsed(&json!({"choices": [{"message": {}}], "usage": usage})).expect("a reply");
    assert_eq!(cached.usage.cache_read_tokens, 4);
    assert!(!cached.id.is_empty() && cached.usage.response_id == cached.id);
}

#[test]
fn calls_without_an_id_of_their_own_get_one() {
    let same = json!({"id": "c", "function": {"name": "x", "arguments": {"a": 1}}});
    let none = json!({"function": {"name": "x"}});
    let reply = with_message(json!({"tool_calls": [same, same, none, none]}));
    let calls = calls(&reply);
    let ids: std::collections::BTreeSet<&str> = calls.iter().map(|call| call.id.as_str()).collect();
    assert_eq!((ids.len(), calls[0].id.as_str()), (4, "c"));
    assert_eq!(calls[0].arguments, r#"{"a":1}"#);
    assert_eq!(calls[3].arguments, "{}");
}

#[test]
fn calls_get_ids_that_every_provider_takes_and_that_the_conversation_has_not() {
    let call = |id: &str| json!({"id": id, "function": {"name": "x"}});
    let long = "x".repeat(450);
    let ids = ["taken", "functions.x:0", &long, "toolu_1"];
    let reply = with_message(json!({"tool_calls": ids.map(call)}));
    let calls = calls(&reply);
    assert_eq!(calls[3].id, "toolu_1");
    let own: std::collections::BTreeSet<&str> = calls.iter().map(|call| call.id.as_str()).collect();
    assert_eq!(own.len(), 4);
    for id in ids[..3].iter() {
        assert!(!own.contains(id), "{id}");
    }
    assert!(
        own.iter().all(|id| crate::wire_names::is_legal(id)),
        "{own:?}"
    );
}

#[test]
fn what_is_no_reply_is_an_error() {
    let nameless = json!({"choices": [{"message": {"tool_calls": [{"id": "c", "function": {}}]}}]});
    for body in [json!({}), json!([]), json!({"choices": []}), nameless] {
        let error = parsed(&body).expect_err("no reply");
        assert_eq!(error.code(), "LLMNoResponseError", "{body}");
    }
}

#[test]
fn an_error_object_in_a_good_answer_is_an_error() {
    let table = [
        (
            json!({"error": {"message": "m", "code": 429}}),
            "LLMRateLimitError",
        ),
        (
            json!({"error": {"message": "m", "type": "rate_limit_error"}}),
            "LLMRateLimitError",
        ),
        (
            json!({"error": {"message": "m", "type": "overloaded_error"}}),
            "LLMServiceUnavailableError",
        ),
        (
            json!({"error": {"message": "m", "type": "invalid_request_error"}}),
            "LLMBadRequestError",
        ),
        (
            json!({"error": {"message": "m", "code": "context_length_exceeded"}}),
            "LLMContextWindowExceedError",
        ),
        (json!({"error": "m"}), "LLMServiceUnavailableError"),
        (
            json!({"choices": [{"error": {"message": "m", "code": 502}}]}),
            "LLMServiceUnavailableError",
        ),
    ];
    for (body, code) in table {
        let error = parsed(&body).expect_err("an error");
        assert_eq!(error.code(), code, "{body}");
        assert!(error.to_string().contains('m'), "{error}");
    }
}
