mod errors;
mod exchange;
mod histories;
mod replies;
mod requests;
mod streams;
mod thinking;

use core_model::{Content, LlmSettings, MessageToolCall, message::Provenance};
use serde_json::{Value, json};

use super::AnthropicMessages;
use crate::format::Format;
use crate::{AssistantMessage, Block, ModelMessage, ModelRequest, ToolSpec, provider::route};

/// Thinks by budget, and takes sampling parameters.
const BUDGET: &str = "anthropic/claude-sonnet-4-5";
/// Thinks when told to.
const ADAPTIVE: &str = "anthropic/claude-opus-4-6";
/// Always thinks.
const ALWAYS: &str = "anthropic/claude-opus-5-5";
/// Nothing is known about it.
const UNKNOWN: &str = "anthropic/m";

const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC";

fn settings(model: &str) -> LlmSettings {
    LlmSettings {
        model: model.to_owned(),
        ..LlmSettings::default()
    }
}

fn body(settings: &LlmSettings, messages: Vec<ModelMessage>) -> Value {
    let request = ModelRequest::of(messages);
    body_of(settings, &request)
}

fn body_of(settings: &LlmSettings, request: &ModelRequest) -> Value {
    let route = route(settings, &AnthropicMessages).expect("a route");
    Value::Object(AnthropicMessages.body(settings, &route, request))
}

fn system(parts: &[&str]) -> ModelMessage {
    ModelMessage::System(parts.iter().map(|text| Content::text(*text)).collect())
}

fn user(text: &str) -> ModelMessage {
    ModelMessage::User(vec![Content::text(text)])
}

/// A reply of the model that is called `made_by`.
fn reply(made_by: &str, blocks: Vec<Block>) -> ModelMessage {
    ModelMessage::Assistant(AssistantMessage {
        blocks,
        made_by: Some(Provenance {
            model: made_by.to_owned(),
            format: "messages".to_owned(),
        }),
    })
}

fn call(id: &str) -> Block {
    Block::call(MessageToolCall::new(id, "think", r#"{"thought":"q"}"#))
}

fn calling(ids: &[&str]) -> ModelMessage {
    reply(UNKNOWN, ids.iter().map(|id| call(id)).collect())
}

fn result(id: &str, text: &str) -> ModelMessage {
    ModelMessage::ToolResult {
        call_id: id.to_owned(),
        tool: "think".to_owned(),
        content: vec![Content::text(text)],
    }
}

fn image(url: &str) -> Content {
    Content::Image {
        cache_prompt: false,
        image_urls: vec![url.to_owned()],
    }
}

fn tool(name: &str) -> ToolSpec {
    ToolSpec {
        name: name.to_owned(),
        description: "d".to_owned(),
        parameters: json!({"type": "object"}),
    }
}

/// A thought as a provider signs it.
fn signed(thought: &str) -> Value {
    json!({"type": "thinking", "thinking": thought, "signature": "c2ln"})
}

fn thought(state: Value) -> Block {
    Block::reasoning("").with_state(Some(state))
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

fn tool_use(id: &str) -> Value {
    json!({"type": "tool_use", "id": id, "name": "think", "input": {"thought": "q"}})
}

fn tool_result(id: &str, said: &str) -> Value {
    json!({"type": "tool_result", "tool_use_id": id, "content": [text(said)]})
}
