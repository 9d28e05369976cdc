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

/// What is sent of these messages.
fn outgoing(messages: &[ModelMessage], adjustments: &Adjustments) -> Vec<ModelMessage> {
    let mut outgoing = Outgoing::new(adjustments.clone());
    let sent = messages
        .iter()
        .map(|message| outgoing.next(&Arc::new(message.clone())));
    sent.map(Arc::unwrap_or_clone).collect()
}

fn images_of(messages: &[ModelMessage]) -> usize {
    messages.iter().flat_map(ModelMessage::images).count()
}

fn conversation(name: &str, id: &str) -> Vec<ModelMessage> {
    let call = Block::call(MessageToolCall::new(id, name, "{}"));
    vec![
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
    ]
}

#[test]
fn a_request_that_any_provider_takes_is_sent_as_it_is() {
    let mut outgoing = Outgoing::new(Adjustments::default());
    for message in conversation("terminal", "call_1").into_iter().map(Arc::new) {
        assert!(Arc::ptr_eq(&outgoing.next(&message), &message));
    }
}

#[test]
fn calls_and_their_results_get_the_same_legal_ids_and_names() {
    for adjustments in [Adjustments::default(), Adjustments::of_provider("mistral")] {
        let request = conversation("ls -la", "functions.ls:0");
        let sent = outgoing(&request, &adjustments);
        let call = sent[1].calls().next().unwrap();
        assert!(is_legal(&call.id) && is_legal(&call.name), "{call:?}");
        let ModelMessage::ToolResult { call_id, tool, .. } = &sent[2] else {
            panic!("{sent:?}");
        };
        assert_eq!((call_id, tool), (&call.id, &call.name));
    }
}

#[test]
fn calls_that_were_stored_with_one_id_are_sent_with_several() {
    let mut twice = conversation("terminal", "call_0");
    twice.extend(conversation("terminal", "call_0"));
    let sent = outgoing(&twice, &Adjustments::default());
    let calls = sent.iter().flat_map(ModelMessage::calls);
    let calls: Vec<&str> = calls.map(|call| call.id.as_str()).collect();
    let results = sent.iter().filter_map(|message| {
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
    let mut request = conversation("terminal", "call_1");
    for (arguments, sent) in [
        ("{oops", "{}"),
        ("[1]", "{}"),
        (r#"{"a": 1}"#, r#"{"a": 1}"#),
    ] {
        let call = MessageToolCall::new("call_1", "terminal", arguments);
        request[1] = ModelMessage::Assistant(AssistantMessage {
            blocks: vec![Block::call(call)],
            made_by: None,
        });
        let outgoing = outgoing(&request, &Adjustments::default());
        let call = outgoing[1].calls().next().unwrap();
        assert_eq!(call.arguments, sent);
    }
}

#[test]
fn a_nul_is_sent_as_its_sign() {
    let text = |text: &str| vec![Content::text(text)];
    let said = AssistantMessage {
        blocks: vec![Block::text("a\0b")],
        made_by: None,
    };
    let request = [
        ModelMessage::User(text("a\0b")),
        ModelMessage::Assistant(said),
    ];
    let sent = outgoing(&request, &Adjustments::default());
    assert!(sent.iter().all(|message| message.text() == "a␀b"));
}

#[test]
fn what_was_refused_is_left_out_with_a_note() {
    let request = conversation("terminal", "call_1");
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
    assert_eq!(sent[0], ModelMessage::User(expected.to_vec()));
    assert_eq!(states_of(&sent[1]).count(), 0);
    assert_eq!(sent[2].images().count(), 0);

    let blind = Adjustments {
        no_images: true,
        ..Adjustments::default()
    };
    let sent = outgoing(&request, &blind);
    assert_eq!(images_of(&sent), 0);
}

#[test]
fn an_image_without_data_is_left_out() {
    let adjustments = Adjustments::default();
    let shown = [
        "data:image/png;base64,",
        "data:image/png;base64,iVBORw0KGgo=",
        "https://h/a",
    ];
    let sent = outgoing(&[ModelMessage::User(vec![image(&shown)])], &adjustments);
    assert_eq!(images_of(&sent), 2);
    assert!(sent[0].text().contains("left out"), "{:?}", sent[0]);
}
