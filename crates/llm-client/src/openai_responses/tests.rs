mod exchange;
mod replay;
mod replies;
mod requests;
mod streams;

use core_model::{Content, LlmSettings, MessageToolCall, masking::SecretMask};
use serde_json::{Value, json};

use super::OpenAiResponses;
use crate::format::Format;
use crate::provider::route;
use crate::transport::complete::{Completion, complete};
use crate::{AssistantMessage, Block, ModelError, ModelMessage, ModelReply, ModelRequest};

fn settings(model: &str) -> LlmSettings {
    LlmSettings {
        model: model.to_owned(),
        ..LlmSettings::default()
    }
}

fn body_of(settings: &LlmSettings, request: &ModelRequest) -> Value {
    let route = route(settings, &OpenAiResponses).expect("a route");
    Value::Object(OpenAiResponses.body(settings, &route, request))
}

fn body(settings: &LlmSettings, messages: Vec<ModelMessage>) -> Value {
    let request = ModelRequest::of(messages);
    body_of(settings, &request)
}

/// What a response object of the model `openai/gpt-5.6` is read as.
fn parsed(answer: &Value) -> Result<ModelReply, ModelError> {
    let settings = settings("openai/gpt-5.6");
    let made_by = route(&settings, &OpenAiResponses)?.made_by;
    let raw = OpenAiResponses.read_reply(answer)?;
    let completion = Completion {
        settings: &settings,
        made_by: &made_by,
        mask: &SecretMask::default(),
        longest_id: 1_000,
    };
    complete(raw, completion, &Default::default())
}

fn response(output: Value) -> Value {
    json!({"id": "resp_1", "status": "completed", "error": null, "output": output})
}

fn thought(id: &str) -> Value {
    json!({"type": "reasoning", "id": id, "encrypted_content": format!("sealed {id}"),
           "summary": []})
}

fn spoken(id: &str, text: &str) -> Value {
    json!({"type": "message", "id": id, "role": "assistant", "status": "completed",
           "content": [{"type": "output_text", "text": text, "annotations": []}]})
}

fn called(id: &str, call_id: &str) -> Value {
    json!({"type": "function_call", "id": id, "call_id": call_id, "name": "think",
           "arguments": "{}"})
}

fn user(text: &str) -> ModelMessage {
    ModelMessage::User(vec![Content::text(text)])
}

fn result(id: &str) -> ModelMessage {
    result_of(id, vec![Content::text("logged")])
}

fn result_of(id: &str, content: Vec<Content>) -> ModelMessage {
    ModelMessage::ToolResult {
        call_id: id.to_owned(),
        tool: "think".to_owned(),
        content,
    }
}

fn call(id: &str) -> MessageToolCall {
    MessageToolCall::new(id, "think", "{}")
}

fn image(url: &str) -> Content {
    Content::Image {
        cache_prompt: false,
        image_urls: vec![url.to_owned()],
    }
}

/// A reply of a model that is not recorded.
fn said(blocks: Vec<Block>) -> ModelMessage {
    ModelMessage::Assistant(AssistantMessage {
        blocks,
        made_by: None,
    })
}
