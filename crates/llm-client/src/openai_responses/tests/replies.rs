use core_model::{message::CallOrigin, usage::TokenUsage};
use serde_json::{Value, json};

use super::{call, called, parsed, response, spoken, thought};
use crate::{Block, ModelReply, Part, StopReason};

#[test]
fn a_whole_reply_is_read() {
    let mut summed_up = thought("rs_1");
    summed_up["summary"] = json!([{"type": "summary_text", "text": "first"},
                                  {"type": "summary_text", "text": "then"}]);
    summed_up["status"] = Value::Null;
    let mut commentary = spoken("msg_1", "looking");
    commentary["phase"] = json!("commentary");
    let mut answer = response(json!([
        summed_up,
        commentary,
        called("fc_1", "call_1"),
        thought("rs_2"),
        called("fc_2", "call_2")
    ]));
    answer["usage"] = json!({
        "input_tokens": 100, "input_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 30},
        "output_tokens": 20, "output_tokens_details": {"reasoning_tokens": 5},
        "total_tokens": 120,
    });
    let own_call = |id: &str, item: &str| core_model::MessageToolCall {
        responses_item_id: Some(item.to_owned()),
        origin: CallOrigin::Responses,
        ..call(id)
    };
    let reply = parsed(&answer).expect("a reply");
    summed_up.as_object_mut().expect("an item").remove("status");
    let expected = ModelReply {
        id: "resp_1".to_owned(),
        blocks: vec![
            Block::reasoning("first\n\nthen").with_state(Some(summed_up)),
            Block::text("looking").with_state(Some(json!(
                {"type": "message", "id": "msg_1", "phase": "commentary", "after": "rs_1"}
            ))),
            Block::call(own_call("call_1", "fc_1"))
                .with_state(Some(json!({"type": "function_call", "id": "fc_1"}))),
            Block::reasoning("").with_state(Some(thought("rs_2"))),
            Block::call(own_call("call_2", "fc_2")).with_state(Some(json!(
                {"type": "function_call", "id": "fc_2", "after": "rs_2"}
            ))),
        ],
        stop: StopReason::Done,
        usage: TokenUsage {
            model: "openai/gpt-5.6".to_owned(),
            prompt_tokens: 100,
            completion_tokens: 20,
            cache_read_tokens: 40,
            cache_write_tokens: 30,
            reasoning_tokens: 5,
            per_turn_token: 120,
            response_id: "resp_1".to_owned(),
            ..TokenUsage::default()
        },
        made_by: reply.made_by.clone(),
        ..ModelReply::default()
    };
    assert_eq!(reply, expected);
    let said = reply.said();
    assert_eq!(
        said.responses_reasoning_item.expect("an item")["id"],
        "rs_1"
    );
    assert_eq!(reply.made_by.expect("known").format, "responses");
}

#[test]
fn other_servers_answers_are_read_too() {
    let shown = json!({"type": "reasoning", "id": "rs", "summary": [],
                       "content": [{"type": "reasoning_text", "text": "all of it"}]});
    let plain = json!({"role": "assistant", "content": [{"type": "output_text", "text": "hi"},
                                                        {"text": " there"}]});
    let object = json!({"type": "function_call", "call_id": "c", "name": "think",
                        "arguments": {"a": 1}});
    let nothing = json!({"type": "function_call", "call_id": "d", "name": "think"});
    let reply = parsed(&json!({"output": [shown, plain, object, nothing]})).expect("a reply");
    let parts: Vec<&Part> = reply.blocks.iter().map(|block| &block.part).collect();
    assert_eq!(parts[0], &Part::Reasoning("all of it".to_owned()));
    assert_eq!(reply.text(), "hi there");
    let arguments: Vec<&str> = reply.calls().map(|call| call.arguments.as_str()).collect();
    assert_eq!(arguments, [r#"{"a":1}"#, "{}"]);
}

#[test]
fn items_that_nobody_here_asked_for_are_left_out() {
    let search = json!({"type": "web_search_call", "id": "ws_1", "status": "completed"});
    let asked = json!({"type": "computer_call", "id": "cu_1", "call_id": "x", "action": {}});
    let output = json!([search, spoken("msg_1", "found"), asked, spoken("msg_2", "")]);
    let reply = parsed(&response(output)).expect("a reply");
    let state = json!({"type": "message", "id": "msg_1", "after": "ws_1"});
    assert_eq!(reply.blocks, [Block::text("found").with_state(Some(state))]);
}

#[test]
fn it_is_said_why_a_reply_ends() {
    let refusal = json!({"type": "message", "content": [{"type": "refusal", "refusal": "no"}]});
    let refused = parsed(&response(json!([refusal]))).expect("a reply");
    assert_eq!(
        (refused.text().as_str(), refused.stop),
        ("no", StopReason::Refusal)
    );

    let stop = |reason: Value| {
        let mut cut = response(json!([spoken("msg_1", "as far as")]));
        cut["status"] = json!("incomplete");
        cut["incomplete_details"] = reason;
        parsed(&cut).expect("a reply").stop
    };
    assert_eq!(
        stop(json!({"reason": "max_output_tokens"})),
        StopReason::Length
    );
    assert_eq!(
        stop(json!({"reason": "content_filter"})),
        StopReason::ContentFilter
    );
    assert_eq!(
        stop(json!({"reason": "lunch"})),
        StopReason::Other("lunch".to_owned())
    );
    assert_eq!(
        stop(Value::Null),
        StopReason::Other("incomplete".to_owned())
    );
}

#[test]
fn what_is_no_reply_is_an_error() {
    let failed = |code: &str| json!({"status": "failed", "output": [], "error": {"code": code, "message": "m"}});
    let table = [
        (json!({}), "LLMNoResponseError"),
        (json!([]), "LLMNoResponseError"),
        (
            json!({"status": "completed", "output": null}),
            "LLMNoResponseError",
        ),
        (
            json!({"status": "queued", "output": []}),
            "LLMNoResponseError",
        ),
        (
            json!({"status": "in_progress", "output": []}),
            "LLMNoResponseError",
        ),
        (
            json!({"status": "cancelled", "output": []}),
            "LLMNoResponseError",
        ),
        (
            json!({"status": "failed", "error": null, "output": []}),
            "LLMServiceUnavailableError",
        ),
        (failed("server_error"), "LLMServiceUnavailableError"),
        (failed("rate_limit_exceeded"), "LLMRateLimitError"),
        (failed("insufficient_quota"), "LLMRateLimitError"),
        (failed("invalid_prompt"), "LLMBadRequestError"),
        (failed("image_parse_error"), "LLMBadRequestError"),
        (
            failed("context_length_exceeded"),
            "LLMContextWindowExceedError",
        ),
    ];
    for (answer, code) in table {
        let error = parsed(&answer).expect_err("no reply");
        assert_eq!(error.code(), code, "{answer}");
    }
}
