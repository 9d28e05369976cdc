use std::sync::Mutex;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::OpenAiChat;
use crate::format::{Format, RawReply};
use crate::message::{self, reasoning_of, text_of};
use crate::transport::stream::StreamedReply;
use crate::{Delta, ModelError, StopReason};

/// What a stream in these pieces comes to, and what was heard on the way.
fn assemble(pieces: &[&[u8]]) -> (Result<RawReply, ModelError>, Vec<Delta>) {
    let heard = Mutex::new(Vec::new());
    let hear = |delta| heard.lock().unwrap().push(delta);
    let mut streamed = StreamedReply::new(OpenAiChat.stream_reader());
    let mut pushed = Ok(());
    for piece in pieces {
        pushed = pushed.and_then(|()| streamed.push(piece, &hear));
    }
    let reply = pushed.and_then(|()| streamed.finish(&hear));
    (reply, heard.into_inner().unwrap())
}

fn assembled(text: &str) -> Result<RawReply, ModelError> {
    assemble(&[text.as_bytes()]).0
}

fn event(value: &Value) -> String {
    format!("data: {value}\n\n")
}

fn delta(delta: Value) -> String {
    event(&json!({"id": "r", "choices": [{"delta": delta}]}))
}

fn stop() -> String {
    event(&json!({"choices": [{"delta": {}, "finish_reason": "stop"}]}))
}

fn calls_of(stream: &[String]) -> Vec<(String, String, String)> {
    calls_in(&assembled(&(stream.concat() + &stop())).expect("a reply"))
}

fn calls_in(reply: &RawReply) -> Vec<(String, String, String)> {
    message::calls_of(&reply.blocks)
        .map(|made| call(&made.id, &made.name, &made.arguments))
        .collect()
}

fn call(id: &str, name: &str, arguments: &str) -> (String, String, String) {
    (id.to_owned(), name.to_owned(), arguments.to_owned())
}

/// Text, reasoning, two interleaved calls, comments, every line ending and a usage chunk.
fn whole_stream() -> String {
    let piece = |index: u64, id: Option<&str>, name: Option<&str>, arguments: &str| {
        delta(json!({"tool_calls": [{"index": index, "id": id,
                     "function": {"name": name, "arguments": arguments}}]}))
    };
    [
        ": processing\r\n\r\n".to_owned(),
        delta(json!({"role": "assistant", "content": "", "reasoning_content": "hm… "})),
        delta(json!({"content": "Grüße 👋"})).replace('\n', "\r\n"),
        "event: x\ndata: {\"choices\":\ndata:  [{\"delta\": {\"content\": \" aus\"}}]}\n\n"
            .to_owned(),
        delta(json!({"content": " Köln"})).replace('\n', "\r"),
        piece(0, Some("c1"), Some("terminal"), ""),
        piece(1, Some("c2"), Some("think"), "{\"t"),
        piece(0, None, None, "{\"command\":"),
        piece(0, Some("c1"), Some("terminal"), " \"echo ü\"}"),
        piece(1, None, None, "\": 1}"),
        event(&json!({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]})),
        event(&json!({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}})),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat()
}

#[test]
fn a_stream_becomes_a_reply() {
    let (reply, heard) = assemble(&[whole_stream().as_bytes()]);
    let reply = reply.expect("a reply");
    assert_eq!(
        (reply.id.as_str(), text_of(&reply.blocks).as_str()),
        ("r", "Grüße 👋 aus Köln")
    );
    assert_eq!(reasoning_of(&reply.blocks).as_deref(), Some("hm… "));
    assert_eq!(reply.usage.prompt_tokens, 5);
    assert_eq!(
        calls_in(&reply),
        [
            call("c1", "terminal", "{\"command\": \"echo ü\"}"),
            call("c2", "think", "{\"t\": 1}")
        ]
    );
    let text = |text: &str| Delta::Text(text.to_owned());
    let expected = [
        Delta::Reasoning("hm… ".to_owned()),
        text("Grüße 👋"),
        text(" aus"),
        text(" Köln"),
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
    fn a_stream_cut_before_its_end_is_never_a_reply(cut in 0..1_000usize) {
        let stream = delta(json!({"content": "a"})) + &delta(json!({"content": "ö"}));
        let bytes = &stream.as_bytes()[..cut.min(stream.len())];
        let (reply, _) = assemble(&[bytes]);
        prop_assert_eq!(reply.map_err(|error| error.code()), Err("LLMServiceUnavailableError"));
    }
}

#[test]
fn one_byte_at_a_time_is_enough() {
    let stream = whole_stream();
    let bytes: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
    assert_eq!(assemble(&bytes), assemble(&[stream.as_bytes()]));
}

#[test]
fn servers_number_calls_in_their_own_ways() {
    let piece = |index: Value, id: Value, name: Value, arguments: &str| {
        delta(json!({"tool_calls": [{"index": index, "id": id,
                     "function": {"name": name, "arguments": arguments}}]}))
    };
    let all_zero = [
        piece(json!(0), json!("a"), json!("x"), "{}"),
        piece(json!(0), json!("b"), json!("y"), "{}"),
    ];
    assert_eq!(
        calls_of(&all_zero),
        [call("a", "x", "{}"), call("b", "y", "{}")]
    );
    let no_index = [
        piece(Value::Null, json!("a"), json!("x"), "{"),
        piece(Value::Null, Value::Null, Value::Null, "}"),
        piece(Value::Null, json!("b"), json!("y"), "{}"),
    ];
    assert_eq!(
        calls_of(&no_index),
        [call("a", "x", "{}"), call("b", "y", "{}")]
    );
    let id_a_piece = [
        piece(json!(0), json!("a"), json!("x"), "{"),
        piece(json!(0), json!("b"), Value::Null, "}"),
    ];
    assert_eq!(calls_of(&id_a_piece), [call("a", "x", "{}")]);
    let no_id = [
        piece(json!(0), json!(""), json!("x"), "{\"n\": 1}"),
        piece(json!(0), json!(""), json!("x"), "{\"n\": 2}"),
        piece(json!(0), json!(""), json!("y"), "{}"),
        piece(Value::Null, Value::Null, json!("z"), ""),
    ];
    assert_eq!(
        calls_of(&no_id),
        [
            call("", "x", "{\"n\": 1}"),
            call("", "x", "{\"n\": 2}"),
            call("", "y", "{}"),
            call("", "z", ""),
        ]
    );
    let name_a_piece = [
        piece(json!(0), json!("a"), json!("x"), ""),
        piece(json!(0), Value::Null, json!("x"), "{\"n\": \"\\"),
        piece(json!(0), Value::Null, json!("x"), "u00e9\"}"),
        piece(json!(0), json!("a"), json!("x"), ""),
    ];
    assert_eq!(
        calls_of(&name_a_piece),
        [call("a", "x", "{\"n\": \"\\u00e9\"}")]
    );
    let legacy = [
        delta(json!({"function_call": {"name": "x", "arguments": "{"}})),
        delta(json!({"function_call": {"arguments": "}"}})),
    ];
    assert_eq!(calls_of(&legacy), [call("", "x", "{}")]);
}

#[test]
fn either_kind_of_end_is_an_end() {
    let said = delta(json!({"content": "a"}));
    for end in [
        stop(),
        "data: [DONE]\n\n".to_owned(),
        "data: [DONE]".to_owned(),
    ] {
        let reply = assembled(&format!("{said}{end}")).expect("a reply");
        assert_eq!(text_of(&reply.blocks), "a");
    }
    // No blank line between events, as some servers send them.
    let joined = format!(
        "{}{}data: [DONE]\n",
        said.replace("\n\n", "\n"),
        stop().replace("\n\n", "\n")
    );
    let reply = assembled(&joined).expect("a reply");
    assert_eq!(text_of(&reply.blocks), "a");
}

#[test]
fn an_error_in_the_stream_ends_it() {
    let said = delta(json!({"content": "a"}));
    let error = event(&json!({"error": {"message": "full", "code": 529}}));
    let failed = assembled(&format!("{said}{error}")).expect_err("an error");
    assert_eq!(failed, ModelError::from_status(529, "full", None));
    let unended = format!("{said}{}", error.trim_end());
    assert_eq!(assembled(&unended), Err(failed));
    let garbled = assembled(&format!("{said}data: {{oops}}\n\n")).expect_err("an error");
    assert_eq!(garbled.code(), "LLMNoResponseError");
}

#[test]
fn an_error_of_openrouters_in_the_stream_ends_it_too() {
    let said = delta(json!({"content": "a"}));
    let broken = |code: Value| {
        let choice = json!({"index": 0, "delta": {"content": ""}, "finish_reason": "error"});
        let error = json!({"code": code, "message": "Provider disconnected"});
        event(&json!({"id": "r", "provider": "x", "error": error, "choices": [choice]}))
    };
    for (code, wanted) in [
        (json!("server_error"), "LLMServiceUnavailableError"),
        (json!(502), "LLMServiceUnavailableError"),
        (json!(429), "LLMRateLimitError"),
    ] {
        let comment = ": OPENROUTER PROCESSING\n\n";
        let stream = format!("{comment}{said}{}data: [DONE]\n\n", broken(code));
        let failed = assembled(&stream).expect_err("an error");
        assert_eq!(failed.code(), wanted, "{stream}");
        assert!(failed.to_string().contains("Provider disconnected"));
    }
}

#[test]
fn what_azure_says_of_its_filters_is_no_part_of_a_reply() {
    let passed = json!({"hate": {"filtered": false, "severity": "safe"}});
    let stream = [
        event(
            &json!({"id": "", "model": "", "object": "", "created": 0, "choices": [],
                      "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": passed}]}),
        ),
        event(
            &json!({"id": "r", "choices": [{"index": 0, "finish_reason": null, "delta": {"role": "assistant"},
                      "content_filter_results": {}}]}),
        ),
        event(
            &json!({"id": "r", "choices": [{"index": 0, "finish_reason": null, "delta": {"content": "a"},
                      "content_filter_results": passed}]}),
        ),
        // With its asynchronous filter, chunks without a delta.
        event(
            &json!({"id": "", "choices": [{"index": 0, "finish_reason": null,
                      "content_filter_results": passed, "content_filter_offsets": {"check_offset": 1}}]}),
        ),
        event(
            &json!({"id": "r", "choices": [{"index": 0, "finish_reason": "stop", "delta": {},
                      "content_filter_results": {}}]}),
        ),
        event(
            &json!({"id": "r", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 1}}),
        ),
        "data: [DONE]\n\n".to_owned(),
    ];
    let reply = assembled(&stream.concat()).expect("a reply");
    assert_eq!(
        (reply.id.as_str(), text_of(&reply.blocks).as_str()),
        ("r", "a")
    );
    assert_eq!(
        (reply.usage.prompt_tokens, reply.stop),
        (5, StopReason::Done)
    );
}

#[test]
fn halves_of_a_character_are_joined_across_chunks() {
    let chunk = |content: &str| {
        format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{content}\"}}}}]}}\n\n")
    };
    let arguments = r#"{\"a\": \"\ud83d"#;
    let piece_of_call = |arguments: &str| {
        let call = format!(
            r#"{{"index":0,"id":"c","function":{{"name":"x","arguments":"{arguments}"}}}}"#
        );
        format!("data: {{\"choices\":[{{\"delta\":{{\"tool_calls\":[{call}]}}}}]}}\n\n")
    };
    let stream = [
        chunk(r"hi \ud83d"),
        chunk(r"\udc4b"),
        chunk(r"\ud83d"),
        chunk("!"),
        piece_of_call(arguments),
        piece_of_call(r#"\udc4b\"}"#),
        stop(),
    ];
    let (reply, heard) = assemble(&[stream.concat().as_bytes()]);
    let reply = reply.expect("a reply");
    assert_eq!(text_of(&reply.blocks), "hi 👋\u{fffd}!");
    assert_eq!(calls_in(&reply), [call("c", "x", "{\"a\": \"👋\"}")]);
    let text = |text: &str| Delta::Text(text.to_owned());
    assert_eq!(heard, [text("hi "), text("👋"), text("\u{fffd}!")]);
}

#[test]
fn an_empty_reason_to_stop_is_none() {
    let piece = event(&json!({"choices": [{"delta": {"content": "a"}, "finish_reason": ""}]}));
    let cut = assembled(&piece).expect_err("a cut");
    assert_eq!(cut.code(), "LLMServiceUnavailableError");
    let reply = assembled(&format!("{piece}{piece}{}", stop())).expect("a reply");
    assert_eq!(text_of(&reply.blocks), "aa");
}
