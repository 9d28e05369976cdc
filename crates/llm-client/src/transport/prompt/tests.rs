use core_model::{Content, MessageToolCall};
use serde_json::json;

use super::*;
use crate::anthropic_messages::AnthropicMessages;
use crate::openai_chat::OpenAiChat;
use crate::openai_responses::OpenAiResponses;
use crate::{AssistantMessage, Block, provider::route};

const PIXEL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUg==";

fn user(text: &str) -> ModelMessage {
    ModelMessage::User(vec![Content::text(text)])
}

fn said(blocks: Vec<Block>) -> ModelMessage {
    ModelMessage::Assistant(AssistantMessage {
        blocks,
        made_by: None,
    })
}

fn call(id: &str) -> Block {
    let arguments = json!({"command": format!("echo {id}")});
    Block::call(MessageToolCall::new(id, "terminal", arguments.to_string()))
}

fn thought(text: &str) -> Block {
    let state = json!({"type": "thinking", "thinking": text, "signature": "s"});
    Block::reasoning(text).with_state(Some(state))
}

fn result(id: &str, images: usize) -> ModelMessage {
    let mut content = vec![Content::text(format!("result of {id}"))];
    content.extend((0..images).map(|_| Content::Image {
        cache_prompt: false,
        image_urls: vec![PIXEL.to_owned()],
    }));
    ModelMessage::ToolResult {
        call_id: id.to_owned(),
        tool: "terminal".to_owned(),
        content,
    }
}

/// Steps of all kinds: `number` tells them apart.
fn step(number: usize, images: usize) -> Vec<ModelMessage> {
    let id = format!("c{number}");
    let other = format!("other.{number}");
    match number % 8 {
        0 => vec![said(vec![thought("hm"), call(&id)]), result(&id, 0)],
        // Calls beside each other, and ids that have to be changed.
        1 => vec![
            said(vec![Block::text("two"), call(&id), call(&other)]),
            result(&id, images),
            result(&other, 0),
        ],
        2 => vec![
            said(vec![call("again")]),
            result("again", images),
            user("a word in between"),
        ],
        3 => vec![said(vec![Block::text("an answer")]), user("and now?")],
        4 => vec![said(vec![thought("only thought")]), user("go on")],
        5 => vec![said(vec![call("again")]), result("again", 0)],
        6 => vec![said(vec![call(&id)]), said(vec![Block::text("no result")])],
        _ => vec![
            ModelMessage::System(vec![Content::text("a late instruction")]),
            said(vec![call(&id)]),
            result(&id, 0),
            result("of no call", 0),
        ],
    }
}

fn begun() -> Vec<ModelMessage> {
    vec![
        ModelMessage::System(vec![Content::text("be good"), Content::text("today")]),
        user("hello"),
    ]
}

/// A conversation as it grows: what is sent at each step is what would be sent if nothing was known of the
/// steps before. How many of the messages were not written anew at the end.
fn grows_as_written_at_once(
    format: &'static dyn Format,
    settings: &LlmSettings,
    adjustments: &Adjustments,
    steps: impl Iterator<Item = Vec<ModelMessage>>,
) -> usize {
    let route = Route {
        adjustments: adjustments.clone(),
        ..route(settings, format).expect("a route")
    };
    let with = Form {
        format,
        settings,
        route: &route,
    };
    let mut request = ModelRequest::of(begun());
    let mut prompt = Prompt::new(adjustments.clone());
    for (number, messages) in steps.enumerate() {
        request.messages.extend(messages.into_iter().map(Arc::new));
        assert!(prompt.is_beginning_of(&request.messages, adjustments));
        prompt.extend(&request);
        let fields = format.fields(settings, &route, &prompt.sent);
        let body = prompt
            .body(with, &fields, &BTreeSet::new())
            .expect("a body");
        let body: Value = serde_json::from_slice(&body).expect("JSON");

        let mut at_once = Prompt::new(adjustments.clone());
        at_once.extend(&request);
        let whole = format.body(settings, &route, &at_once.sent);
        assert_eq!(body, Value::Object(whole), "{} {number}", settings.model);
    }
    prompt.beginning.messages
}

fn models() -> Vec<(&'static dyn Format, &'static str)> {
    vec![
        (&OpenAiChat, "openai/gpt-4o"),
        (&OpenAiChat, "openrouter/anthropic/claude-opus-5"),
        (&OpenAiChat, "deepseek/deepseek-v4-pro"),
        (&OpenAiResponses, "openai/gpt-5.6"),
        (&AnthropicMessages, "anthropic/claude-opus-5-5"),
        (&AnthropicMessages, "anthropic/claude-sonnet-4-5"),
        (&AnthropicMessages, "anthropic/unknown"),
    ]
}

fn settings(model: &str) -> LlmSettings {
    LlmSettings {
        model: model.to_owned(),
        caching_prompt: true,
        ..LlmSettings::default()
    }
}

#[test]
fn a_conversation_that_grows_is_sent_as_if_it_was_written_at_once() {
    for (format, model) in models() {
        for adjustments in [Adjustments::default(), Adjustments::of_provider("mistral")] {
            let steps = (0..40).map(|number| step(number, 1));
            let kept = grows_as_written_at_once(format, &settings(model), &adjustments, steps);
            assert!(kept > 50, "{model}: {kept}");
        }
    }
}

#[test]
fn the_oldest_images_are_left_out_when_there_are_more_than_a_provider_takes() {
    for (format, model) in models() {
        let steps = (0..40).map(|number| step(number, 12));
        let adjustments = Adjustments::default();
        grows_as_written_at_once(format, &settings(model), &adjustments, steps);
    }
}

#[test]
fn another_conversation_or_another_way_of_writing_begins_anew() {
    let request = ModelRequest::of(begun());
    let mut prompt = Prompt::new(Adjustments::default());
    prompt.extend(&request);
    assert!(prompt.is_beginning_of(&request.messages, &Adjustments::default()));
    let same_again = ModelRequest::of(begun());
    assert!(!prompt.is_beginning_of(&same_again.messages, &Adjustments::default()));
    assert!(!prompt.is_beginning_of(&request.messages[..1], &Adjustments::default()));
    let mistral = Adjustments::of_provider("mistral");
    assert!(!prompt.is_beginning_of(&request.messages, &mistral));
}
