use std::sync::Mutex;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::OpenAiResponses;
use super::{called, response, spoken, thought};
use crate::format::{Format, RawReply};
use crate::message::{reasoning_of, text_of};
use crate::transport::stream::StreamedReply;
use crate::{Delta, ModelError, StopReason};

/// What a stream in these pieces comes to, and what was heard on the way.
fn assemble(pieces: &[&[u8]]) -> (Result<RawReply, ModelError>, Vec<Delta>) {
    let heard = Mutex::new(Vec::new());
    let hear = |delta| heard.lock().unwrap().push(delta);
    let mut streamed = StreamedReply::new(OpenAiResponses.stream_reader());
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

fn event(kind: &str, fields: Value) -> String {
    let mut data = json!({"type": kind});
    for (name, value) in fields.as_object().expect("fields") {
        data[name] = value.clone();
    }
    format!("event: {kind}\ndata: {data}\n\n")
}

fn summed_up() -> Value {
    let mut item = thought("rs_1");
    item["summary"] = json!([{"type": "summary_text", "text": "hm… ja"},
                             {"type": "summary_text", "text": "dann"}]);
    item
}

fn phased() -> Value {
    let mut item = spoken("msg_1", "Grüße 👋");
    item["phase"] = json!("commentary");
    item
}

/// The items of the whole stream below, as its last event may repeat them.
fn output() -> Value {
    let mut call = called("fc_1", "call_1");
    call["arguments"] = json!(r#"{"thought":"ü"}"#);
    json!([summed_up(), phased(), spoken("msg_2", "bye"), call])
}

/// Everything but the last event. `done` says whether items are repeated when they are complete.
fn pieces(done: bool) -> String {
    let begun = |at: u64, mut item: Value| {
        let fields = item.as_object_mut().expect("an item");
        fields.retain(|name, _| !matches!(name.as_str(), "summary" | "content" | "arguments"));
        event(
            "response.output_item.added",
            json!({"output_index": at, "item": item}),
        )
    };
    let ended = |at: u64| {
        let item = json!({"output_index": at, "item": output()[at as usize]});
        if done {
            event("response.output_item.done", item)
        } else {
            String::new()
        }
    };
    let summary = |part: u64, text: &str| {
        let fields = json!({"output_index": 0, "summary_index": part, "delta": text});
        event("response.reasoning_summary_text.delta", fields)
    };
    let text = |at: u64, text: &str| {
        let fields = json!({"output_index": at, "content_index": 0, "delta": text});
        event("response.output_text.delta", fields)
    };
    let part = |at: u64| {
        let part = json!({"type": "output_text", "text": "", "annotations": []});
        let fields = json!({"output_index": at, "content_index": 0, "part": part});
        event("response.content_part.added", fields)
    };
    let arguments = |text: &str| {
        let fields = json!({"output_index": 3, "delta": text});
        event("response.function_call_arguments.delta", fields)
    };
    [
        event(
            "response.created",
            json!({"response": {"id": "resp_1", "status": "in_progress"}}),
        ),
        event(
            "response.in_progress",
            json!({"response": {"id": "resp_1"}}),
        ),
        begun(0, summed_up()),
        event(
            "response.reasoning_summary_part.added",
            json!({"output_index": 0, "summary_index": 0,
                   "part": {"type": "summary_text", "text": ""}}),
        ),
        summary(0, "hm… "),
        summary(0, "ja"),
        summary(1, "dann"),
        ended(0),
        begun(1, phased()),
        part(1),
        text(1, "Grüße ").replace('\n', "\r\n"),
        ": still there\n\n".to_owned(),
        event(
            "response.something.new",
            json!({"output_index": 9, "delta": "?"}),
        ),
        text(1, "👋"),
        ended(1),
        begun(2, spoken("msg_2", "")),
        part(2),
        text(2, "bye"),
        ended(2),
        begun(3, called("fc_1", "call_1")),
        arguments(r#"{"thought":"#),
        arguments("\"ü\"}"),
        event(
            "response.function_call_arguments.done",
            json!({"output_index": 3, "arguments": r#"{"thought":"ü"}"#}),
        ),
        ended(3),
    ]
    .concat()
}

fn last(kind: &str, mut response: Value) -> String {
    response["usage"] = json!({"input_tokens": 5, "output_tokens": 2});
    event(kind, json!({ "response": response }))
}

fn whole_stream() -> String {
    pieces(true) + &last("response.completed", response(output()))
}

#[test]
fn a_stream_becomes_the_reply_that_its_last_event_holds() {
    let (reply, heard) = assemble(&[whole_stream().as_bytes()]);
    let reply = reply.expect("a reply");
    let mut whole = response(output());
    whole["usage"] = json!({"input_tokens": 5, "output_tokens": 2});
    assert_eq!(Ok(&reply), OpenAiResponses.read_reply(&whole).as_ref());
    assert_eq!(
        (reply.usage.prompt_tokens, reply.usage.completion_tokens),
        (5, 2)
    );
    let text = |text: &str| Delta::Text(text.to_owned());
    let thought = |text: &str| Delta::Reasoning(text.to_owned());
    let expected = [
        thought("hm… "),
        thought("ja"),
        thought("\n\ndann"),
        text("Grüße "),
        text("👋"),
        text("\nbye"),
    ];
    assert_eq!(heard, expected);
    assert_eq!(text_of(&reply.blocks), "Grüße 👋\nbye");
    assert_eq!(
        reasoning_of(&reply.blocks).as_deref(),
        Some("hm… ja\n\ndann")
    );
}

#[test]
fn without_output_in_its_last_event_a_stream_is_the_sum_of_its_pieces() {
    let whole = assembled(&whole_stream()).expect("a reply");
    let mut never_done = whole.blocks.clone();
    // What is said of it before it is done may be cut.
    let thought = never_done[0].state.as_mut().expect("an item");
    thought
        .as_object_mut()
        .expect("an item")
        .remove("encrypted_content");
    for (done, blocks) in [(true, &whole.blocks), (false, &never_done)] {
        for response in [
            json!({"id": "resp_1"}),
            json!({"id": "resp_1", "output": []}),
        ] {
            let stream = pieces(done) + &last("response.completed", response);
            let reply = assembled(&stream).expect("a reply");
            assert_eq!(&reply.blocks, blocks, "{done}");
            assert_eq!((&reply.id, &reply.usage), (&whole.id, &whole.usage));
        }
    }
    let bare = pieces(true) + "data: {\"type\":\"response.completed\"}\n\n";
    let reply = assembled(&bare).expect("a reply");
    assert_eq!(reply.blocks, whole.blocks);
}

#[test]
fn items_that_were_never_announced_are_known_by_their_pieces() {
    let stream = [
        event(
            "response.reasoning_text.delta",
            json!({"output_index": 0, "delta": "hm"}),
        ),
        event(
            "response.output_text.delta",
            json!({"output_index": 1, "delta": "I "}),
        ),
        event(
            "response.refusal.delta",
            json!({"output_index": 1, "content_index": 7, "delta": "will not"}),
        ),
        last("response.completed", json!({})),
    ];
    let reply = assembled(&stream.concat()).expect("a reply");
    assert_eq!(reasoning_of(&reply.blocks).as_deref(), Some("hm"));
    assert_eq!(text_of(&reply.blocks), "I will not");
    assert_eq!(reply.stop, StopReason::Refusal);
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
    fn a_stream_cut_before_its_end_is_never_a_reply(cut in 0..whole_stream().len() - 3) {
        let stream = whole_stream();
        let (reply, _) = assemble(&[&stream.as_bytes()[..cut]]);
        prop_assert_eq!(reply.map_err(|error| error.code()), Err("LLMServiceUnavailableError"));
    }

    #[test]
    fn no_order_of_events_is_a_panic(
        order in proptest::collection::vec(0..30_usize, 0..40),
        at in proptest::collection::vec(proptest::option::of(0..3_u64), 40),
    ) {
        let stream = pieces(true);
        let events: Vec<&str> = stream.split("\n\n").filter(|event| !event.is_empty()).collect();
        let mut shuffled = String::new();
        for (event, at) in order.into_iter().zip(at) {
            let event = events[event % events.len()];
            // Every index becomes another one, or none.
            let index = at.map_or("null".to_owned(), |at| at.to_string());
            let event = event.replace("_index\":0", &format!("_index\":{index}"));
            shuffled.push_str(&event);
            shuffled.push_str("\n\n");
        }
        shuffled.push_str(&last("response.completed", json!({})));
        prop_assert!(assembled(&shuffled).is_ok());
    }
}

#[test]
fn a_marker_that_all_is_done_ends_nothing() {
    let cut = assembled(&(pieces(true) + "data: [DONE]\n\n")).expect_err("a cut");
    assert_eq!(cut.code(), "LLMServiceUnavailableError");
    let marked = whole_stream() + "data: [DONE]\n\n";
    assert_eq!(assembled(&marked), assembled(&whole_stream()));
}

#[test]
fn the_last_event_says_how_the_reply_ended() {
    let mut cut = response(json!([spoken("msg_1", "as far as")]));
    cut["incomplete_details"] = json!({"reason": "max_output_tokens"});
    let reply = assembled(&last("response.incomplete", cut)).expect("a reply");
    assert_eq!(reply.stop, StopReason::Length);

    for (status, stop) in [
        ("incomplete", StopReason::Other("incomplete".to_owned())),
        ("completed", StopReason::Done),
        ("in_progress", StopReason::Done),
    ] {
        let mut ended = response(json!([spoken("msg_1", "as far as")]));
        ended["status"] = json!(status);
        let reply = assembled(&last("response.completed", ended)).expect("a reply");
        assert_eq!(reply.stop, stop, "{status}");
    }

    let failed = |error: Value| {
        let stream = pieces(true) + &last("response.failed", json!({ "error": error }));
        assembled(&stream).expect_err("a failure").code()
    };
    assert_eq!(
        failed(json!({"code": "server_error", "message": "m"})),
        "LLMServiceUnavailableError"
    );
    assert_eq!(
        failed(json!({"code": "rate_limit_exceeded", "message": "m"})),
        "LLMRateLimitError"
    );
    assert_eq!(failed(Value::Null), "LLMServiceUnavailableError");
}

#[test]
fn an_error_in_the_stream_ends_it() {
    let table = [
        (
            json!({"code": "context_length_exceeded", "message": "m"}),
            "LLMContextWindowExceedError",
        ),
        (
            json!({"code": null, "message": "m"}),
            "LLMServiceUnavailableError",
        ),
        (
            json!({"error": {"type": "invalid_request_error", "message": "m"}}),
            "LLMBadRequestError",
        ),
        (json!({}), "LLMServiceUnavailableError"),
    ];
    for (fields, code) in table {
        let stream = pieces(true) + &event("error", fields.clone()) + &whole_stream();
        assert_eq!(
            assembled(&stream).expect_err("an error").code(),
            code,
            "{fields}"
        );
    }
    let garbled = assembled(&(pieces(true) + "data: {oops}\n\n")).expect_err("an error");
    assert_eq!(garbled.code(), "LLMNoResponseError");
}
