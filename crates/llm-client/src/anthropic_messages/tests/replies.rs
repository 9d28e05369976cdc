use core_model::{MessageToolCall, usage::TokenUsage};
use serde_json::{Value, json};

use super::{AnthropicMessages, signed, thought};
use crate::format::{Format, RawReply};
use crate::{Block, ModelError, StopReason};

fn read(answer: &Value) -> Result<RawReply, ModelError> {
    AnthropicMessages.read_reply(answer)
}

fn with_content(content: &Value) -> RawReply {
    read(&json!({"content": content})).expect("a reply")
}

#[test]
fn a_whole_reply_is_read() {
    let redacted = json!({"type": "redacted_thinking", "data": "ZGF0YQ"});
    let answer = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude",
        "content": [
            signed("hm"),
            redacted,
            {"type": "text", "text": "aloud"},
            {"type": "text", "text": ""},
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            {"type": "tool_use", "id": "toolu_1", "name": "x", "input": {"b": 1, "a": [2]}},
            {"type": "tool_use", "id": "toolu_2", "name": "y", "input": {}},
        ],
        "stop_reason": "tool_use", "stop_sequence": null,
        "usage": {"input_tokens": 10, "cache_read_input_tokens": 200,
                  "cache_creation_input_tokens": 30, "output_tokens": 7,
                  "output_tokens_details": {"thinking_tokens": 5}},
    });
    let expected = RawReply {
        id: "msg_1".to_owned(),
        blocks: vec![
            Block::reasoning("hm").with_state(Some(signed("hm"))),
            thought(redacted),
            Block::text("aloud"),
            Block::call(MessageToolCall::new("toolu_1", "x", r#"{"b":1,"a":[2]}"#)),
            Block::call(MessageToolCall::new("toolu_2", "y", "{}")),
        ],
        stop: StopReason::Done,
        usage: TokenUsage {
            prompt_tokens: 240,
            completion_tokens: 7,
            cache_read_tokens: 200,
            cache_write_tokens: 30,
            reasoning_tokens: 5,
            ..TokenUsage::default()
        },
        stated_cost: None,
    };
    assert_eq!(read(&answer), Ok(expected));
}

#[test]
fn every_reason_to_stop_is_understood() {
    let table = [
        (json!("end_turn"), StopReason::Done),
        (json!("stop_sequence"), StopReason::Done),
        (json!("tool_use"), StopReason::Done),
        (Value::Null, StopReason::Done),
        (json!("max_tokens"), StopReason::Length),
        (
            json!("model_context_window_exceeded"),
            StopReason::ContextWindow,
        ),
        (json!("pause_turn"), StopReason::Pause),
        (json!("refusal"), StopReason::Refusal),
        (json!("boredom"), StopReason::Other("boredom".to_owned())),
    ];
    for (reason, stop) in table {
        let reply = read(&json!({"content": [], "stop_reason": reason})).expect("a reply");
        assert_eq!(reply.stop, stop, "{reason}");
    }
}

#[test]
fn a_refusal_without_a_word_is_explained() {
    let answer = |content: Value| {
        read(
            &json!({"content": content, "stop_reason": "refusal", "stop_details":
            {"type": "refusal", "category": "cyber", "explanation": "It could do harm."}}),
        )
        .expect("a reply")
        .blocks
    };
    assert_eq!(answer(json!([])), [Block::text("It could do harm.")]);
    let said = json!([{"type": "text", "text": "No."}]);
    assert_eq!(answer(said), [Block::text("No.")]);
}

#[test]
fn what_proxies_make_of_blocks_is_read_too() {
    let unsigned = json!([{"type": "thinking", "thinking": "hm"}]);
    assert_eq!(with_content(&unsigned).blocks, [Block::reasoning("hm")]);
    let hidden = json!([{"type": "thinking", "thinking": "", "signature": "s"}]);
    assert_eq!(with_content(&hidden).blocks, [thought(hidden[0].clone())]);
    assert_eq!(
        with_content(&json!([{"type": "thinking", "thinking": ""}])).blocks,
        []
    );
    let arguments = |input: Value| {
        let call = json!([{"type": "tool_use", "id": "c", "name": "x", "input": input}]);
        with_content(&call).blocks
    };
    let call = |arguments: &str| [Block::call(MessageToolCall::new("c", "x", arguments))];
    assert_eq!(arguments(json!("{\"a\":1}")), call("{\"a\":1}"));
    assert_eq!(arguments(Value::Null), call(""));
}

#[test]
fn what_is_no_reply_is_an_error() {
    let lost = read(&json!({"id": "x"})).expect_err("no reply");
    assert_eq!(lost.code(), "LLMNoResponseError");
    let busy =
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    assert_eq!(
        read(&busy),
        Err(ModelError::from_status(529, "Overloaded", None))
    );
}
