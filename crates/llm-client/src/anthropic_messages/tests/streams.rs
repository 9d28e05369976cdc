use std::sync::Mutex;

use core_model::MessageToolCall;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{AnthropicMessages, signed, thought};
use crate::format::{Format, RawReply};
use crate::transport::stream::StreamedReply;
use crate::{Block, Delta, ModelError, StopReason};

/// What a stream in these pieces comes to, and what was heard on the way.
fn assemble(pieces: &[&[u8]]) -> (Result<RawReply, ModelError>, Vec<Delta>) {
    let heard = Mutex::new(Vec::new());
    let hear = |delta| heard.lock().unwrap().push(delta);
    let mut streamed = StreamedReply::new(AnthropicMessages.stream_reader());
    let mut pushed = Ok(());
    for piece in pieces {
        pushed = pushed.and_then(|()| streamed.push(piece, &hear));
    }
    let reply = pushed.and_then(|()| streamed.finish(&hear));
    (reply, heard.into_inner().unwrap())
}

fn assembled(stream: &str) -> Result<RawReply, ModelError> {
    assemble(&[stream.as_bytes()]).0
}

fn event(value: &Value) -> String {
    let kind = value["type"].as_str().unwrap_or("?");
    format!("event: {kind}\ndata: {value}\n\n")
}

fn start(index: u64, block: &Value) -> String {
    event(&json!({"type": "content_block_start", "index": index, "content_block": block}))
}

fn delta(index: u64, delta: &Value) -> String {
    event(&json!({"type": "content_block_delta", "index": index, "delta": delta}))
}

fn stop(index: u64) -> String {
    event(&json!({"type": "content_block_stop", "index": index}))
}

fn begin() -> String {
    event(&json!({"type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "claude",
        "stop_reason": null, "usage": {"input_tokens": 10, "cache_read_input_tokens": 200,
                                       "cache_creation_input_tokens": 30, "output_tokens": 1}}}))
}

fn end(reason: &str) -> String {
    let usage = json!({"input_tokens": null, "cache_read_input_tokens": 0, "output_tokens": 42});
    let delta = json!({"stop_reason": reason, "stop_sequence": null});
    event(&json!({"type": "message_delta", "delta": delta, "usage": usage}))
        + &event(&json!({"type": "message_stop"}))
}

fn text_delta(text: &str) -> Value {
    json!({"type": "text_delta", "text": text})
}

fn json_delta(piece: &str) -> Value {
    json!({"type": "input_json_delta", "partial_json": piece})
}

fn call(id: &str) -> Value {
    json!({"type": "tool_use", "id": id, "name": "terminal", "input": {}})
}

/// Thoughts, one of them redacted, text, two calls, and what there is to pass over.
fn whole_stream() -> String {
    let empty = json!({"type": "thinking", "thinking": "", "signature": ""});
    let redacted = json!({"type": "redacted_thinking", "data": "ZGF0YQ"});
    [
        begin(),
        event(&json!({"type": "ping"})),
        start(0, &empty),
        delta(0, &json!({"type": "thinking_delta", "thinking": "hm… "})),
        delta(0, &json!({"type": "thinking_delta", "thinking": "ja"})),
        delta(0, &json!({"type": "signature_delta", "signature": "c2ln"})),
        stop(0),
        start(1, &redacted),
        stop(1),
        start(2, &json!({"type": "text", "text": ""})),
        delta(2, &text_delta("Grüße 👋")).replace('\n', "\r\n"),
        delta(2, &text_delta(" aus Köln")),
        delta(2, &json!({"type": "citations_delta", "citation": {}})),
        stop(2),
        start(3, &call("toolu_1")),
        start(4, &call("toolu_2")),
        delta(3, &json_delta("")),
        delta(4, &json_delta("")),
        delta(3, &json_delta("{\"command\":")),
        delta(3, &json_delta(" \"echo ü\"}")),
        stop(3),
        stop(4),
        event(&json!({"type": "whatever_comes_next", "index": 9})),
        end("tool_use"),
    ]
    .concat()
}

#[test]
fn a_stream_becomes_a_reply() {
    let (reply, heard) = assemble(&[whole_stream().as_bytes()]);
    let reply = reply.expect("a reply");
    let called =
        |id: &str, arguments: &str| Block::call(MessageToolCall::new(id, "terminal", arguments));
    assert_eq!(
        reply.blocks,
        [
            Block::reasoning("hm… ja").with_state(Some(signed("hm… ja"))),
            thought(json!({"type": "redacted_thinking", "data": "ZGF0YQ"})),
            Block::text("Grüße 👋 aus Köln"),
            called("toolu_1", "{\"command\": \"echo ü\"}"),
            called("toolu_2", "{}"),
        ]
    );
    assert_eq!((reply.id.as_str(), reply.stop), ("msg_1", StopReason::Done));
    let usage = &reply.usage;
    assert_eq!(
        [
            usage.prompt_tokens,
            usage.cache_read_tokens,
            usage.cache_write_tokens
        ],
        [240, 200, 30]
    );
    assert_eq!(usage.completion_tokens, 42);
    let expected = [
        Delta::Reasoning("hm… ".to_owned()),
        Delta::Reasoning("ja".to_owned()),
        Delta::Text("Grüße 👋".to_owned()),
        Delta::Text(" aus Köln".to_owned()),
    ];
    assert_eq!(heard, expected);
}

proptest! {
    #[test]
    fn any_split_of_the_bytes_gives_the_same_reply(
        mut cuts in proptest::collection::vec(0..whole_stream().len(), 0..60),
    ) {
        let stream = whole_stream();
        let bytes = stream.as_bytes();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
        prop_assert_eq!(assemble(&pieces), assemble(&[bytes]));
    }

    #[test]
    fn a_stream_cut_before_its_end_is_never_a_reply(cut in 0..10_000usize) {
        let stream = whole_stream();
        let whole = stream.find("\"stop_reason\":\"tool_use\"").expect("an end");
        let (reply, _) = assemble(&[&stream.as_bytes()[..cut.min(whole)]]);
        prop_assert_eq!(reply.map_err(|error| error.code()), Err("LLMServiceUnavailableError"));
    }
}

#[test]
fn only_the_count_may_be_missing_at_the_end() {
    let said = begin() + &start(0, &json!({"type": "text", "text": "a"}));
    let stopped = event(&json!({"type": "message_delta", "delta": {"stop_reason": "max_tokens"}}));
    for (rest, stop) in [
        (stopped.clone(), StopReason::Length),
        (stopped.trim_end().to_owned(), StopReason::Length),
        (event(&json!({"type": "message_stop"})), StopReason::Done),
        ("data: [DONE]\n\n".to_owned(), StopReason::Done),
    ] {
        let reply = assembled(&format!("{said}{rest}")).expect("a reply");
        assert_eq!(
            (&reply.blocks[..], reply.stop),
            (&[Block::text("a")][..], stop)
        );
    }
}

#[test]
fn a_thought_that_was_cut_is_not_sent_back() {
    let cut = [
        begin(),
        start(
            0,
            &json!({"type": "thinking", "thinking": "", "signature": ""}),
        ),
        delta(0, &json!({"type": "thinking_delta", "thinking": "hm"})),
        end("max_tokens"),
    ];
    let reply = assembled(&cut.concat()).expect("a reply");
    assert_eq!(reply.blocks, [Block::reasoning("hm")]);
}

#[test]
fn an_error_in_the_stream_ends_it() {
    let said = begin() + &start(0, &json!({"type": "text", "text": "a"}));
    let error =
        event(&json!({"type": "error", "error": {"type": "overloaded_error", "message": "full"}}));
    let failed = ModelError::from_status(529, "full", None);
    assert_eq!(assembled(&format!("{said}{error}")), Err(failed.clone()));
    assert_eq!(
        assembled(&format!("{said}{}", error.trim_end())),
        Err(failed)
    );
    let garbled = assembled(&format!("{said}data: {{oops}}\n\n")).expect_err("an error");
    assert_eq!(garbled.code(), "LLMNoResponseError");
}

#[test]
fn servers_with_habits_of_their_own_are_understood() {
    let whole_input = [
        start(
            0,
            &json!({"type": "tool_use", "id": "c", "name": "x", "input": {"a": 1}}),
        ),
        end("tool_use"),
    ];
    let reply = assembled(&whole_input.concat()).expect("a reply");
    assert_eq!(
        reply.blocks,
        [Block::call(MessageToolCall::new("c", "x", "{\"a\":1}"))]
    );

    // Every block numbered 0, and a piece of a block that was never begun.
    let numbered = [
        delta(0, &text_delta("a")),
        start(0, &json!({"type": "tool_use", "id": "c", "name": "x"})),
        delta(0, &json_delta("{}")),
        start(0, &json!({"type": "text", "text": ""})),
        delta(0, &text_delta("b")),
        end("end_turn"),
    ];
    let reply = assembled(&numbered.concat()).expect("a reply");
    let call = Block::call(MessageToolCall::new("c", "x", "{}"));
    assert_eq!(reply.blocks, [Block::text("a"), call, Block::text("b")]);

    // Counts only at the end.
    let counted = event(
        &json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
                                "usage": {"input_tokens": 9, "output_tokens": 3}}),
    );
    let reply = assembled(&counted).expect("a reply");
    assert_eq!(
        (reply.usage.prompt_tokens, reply.usage.completion_tokens),
        (9, 3)
    );
}
