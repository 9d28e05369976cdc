use core_model::MessageToolCall;
use serde_json::json;

use super::*;
use crate::adjustments::fingerprint;
use crate::{AssistantMessage, Block};

fn image(urls: &[&str]) -> Content {
    Content::Image {
        cache_prompt: false,
        image_urls: urls.iter().map(|url| (*url).to_owned()).collect(),
    }
}

fn request(name: &str, id: &str) -> ModelRequest {
    let call = Block::call(MessageToolCall::new(id, name, "{}"));
    ModelRequest {
        messages: vec![
            ModelMessage::User(vec![Content::text("see"), image(&["a", "b"])]),
            ModelMessage::Assistant(AssistantMessage {
                blocks: vec![call.with_state(Some(json!({"signature": "s"})))],
                made_by: None,
            }),
            ModelMessage::ToolResult {
                call_id: id.to_owned(),
                tool: name.to_owned(),
                content: vec![image(&["b"])],
            },
        ],
        ..ModelRequest::default()
    }
}

#[test]
fn a_request_that_any_provider_takes_is_sent_as_it_is() {
    let request = request("terminal", "call_1");
    let sent = outgoing(&request, &Adjustments::default());
    assert!(matches!(sent, Cow::Borrowed(_)));
}

#[test]
fn calls_and_their_results_get_the_same_legal_ids_and_names() {
    for adjustments in [Adjustments::default(), Adjustments::of_provider("mistral")] {
        let request = request("ls -la", "functions.ls:0");
        let sent = outgoing(&request, &adjustments);
        let call = sent.messages[1].calls().next().unwrap();
        assert!(is_legal(&call.id) && is_legal(&call.name), "{call:?}");
        let ModelMessage::ToolResult { call_id, tool, .. } = &sent.messages[2] else {
            panic!("{sent:?}");
        };
        assert_eq!((call_id, tool), (&call.id, &call.name));
    }
}

#[test]
fn calls_that_were_stored_with_one_id_are_sent_with_several() {
    let mut twice = request("terminal", "call_0");
    twice
        .messages
        .extend(request("terminal", "call_0").messages);
    let sent = outgoing(&twice, &Adjustments::default());
    let calls = sent.messages.iter().flat_map(ModelMessage::calls);
    let calls: Vec<&str> = calls.map(|call| call.id.as_str()).collect();
    let results = sent.messages.iter().filter_map(|message| {
        let ModelMessage::ToolResult { call_id, .. } = message else {
            return None;
        };
        Some(call_id.as_str())
    });
    assert_eq!(calls, results.collect::<Vec<_>>());
    assert_eq!(calls[0], "call_0");
    assert!(calls[1] != "call_0" && is_legal(calls[1]), "{calls:?}");
}

#[test]
fn arguments_that_are_no_object_are_none() {
    let mut request = request("terminal", "call_1");
    for (arguments, sent) in [
        ("{oops", "{}"),
        ("[1]", "{}"),
        (r#"{"a": 1}"#, r#"{"a": 1}"#),
    ] {
        let call = MessageToolCall::new("call_1", "terminal", arguments);
        request.messages[1] = ModelMessage::Assistant(AssistantMessage {
            blocks: vec![Block::call(call)],
            made_by: None,
        });
        let outgoing = outgoing(&request, &Adjustments::default());
        let call = outgoing.messages[1].calls().next().unwrap();
        assert_eq!(call.arguments, sent);
    }
}

#[test]
fn a_nul_is_sent_as_its_sign() {
    let text = |text: &str| vec![Content::text(text)];
    let mut request = ModelRequest::default();
    let said = AssistantMessage {
        blocks: vec![Block::text("a\0b")],
        made_by: None,
    };
    request.messages = vec![
        ModelMessage::User(text("a\0b")),
        ModelMessage::Assistant(said),
    ];
    let sent = outgoing(&request, &Adjustments::default());
    assert!(sent.messages.iter().all(|message| message.text() == "a␀b"));
}

#[test]
fn what_was_refused_is_left_out_with_a_note() {
    let request = request("terminal", "call_1");
    let adjustments = Adjustments {
        left_out: [fingerprint(&"b"), fingerprint(&json!({"signature": "s"}))].into(),
        ..Adjustments::default()
    };
    let sent = outgoing(&request, &adjustments);
    let expected = [
        Content::text("see"),
        image(&["a"]),
        Content::text(REFUSED_IMAGE),
    ];
    assert_eq!(sent.messages[0], ModelMessage::User(expected.to_vec()));
    assert_eq!(states_of(&sent.messages[1]).count(), 0);
    assert_eq!(images_of(&sent.messages[2]).count(), 0);

    let blind = Adjustments {
        no_images: true,
        ..Adjustments::default()
    };
    let sent = outgoing(&request, &blind);
    assert_eq!(sent.messages.iter().flat_map(images_of).count(), 0);
}
