use core_model::{Content, LlmSettings, Role};
use serde_json::{Value, json};

use super::assistant;
use crate::{ModelMessage, format::ListPart, provider::Route};

const NOT_SHOWN: &str = "[An image was left out: vision is disabled.]";
/// What the model is taken to have said of a tool's result.
const REPLY: &str = "OK.";
const SHOWN_BELOW: &str = "[An image, attached to the next user message.]";

/// Messages of a request, each as its provider takes it.
pub(super) fn messages(settings: &LlmSettings, route: &Route, part: &ListPart<'_>) -> Vec<Value> {
    let style = Style(route);
    let cached = settings.caching_prompt && route.capabilities.cache_control;
    let messages = part.messages;
    let last_input = messages
        .iter()
        .rposition(|message| matches!(message.role(), Role::User | Role::Tool))
        .filter(|_| cached && part.is_last);
    let mut list = Vec::with_capacity(messages.len());
    let mut tool_images = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        if let ModelMessage::ToolResult { content, .. } = message.as_ref() {
            tool_images.extend(images_of(content).filter(|_| route.capabilities.takes_images()));
        } else {
            list.extend(images_message(&mut tool_images));
        }
        let mut value = style.message(message);
        if cached && message.role() == Role::System {
            mark(value.pointer_mut("/content/0"));
        }
        if last_input == Some(at) {
            if message.role() == Role::Tool {
                mark(Some(&mut value));
            } else {
                let parts = value.get_mut("content").and_then(Value::as_array_mut);
                mark(parts.and_then(|parts| parts.last_mut()));
            }
        }
        list.push(value);
    }
    list.extend(images_message(&mut tool_images));
    if route.adjustments.reply_after_results {
        list = with_replies(list);
    }
    list
}

/// Puts a short reply between the result of a tool and a message of the user, where the provider wants one.
fn with_replies(list: Vec<Value>) -> Vec<Value> {
    let mut replied: Vec<Value> = Vec::with_capacity(list.len());
    for message in list {
        if message["role"] == "user" && replied.last().is_some_and(|last| last["role"] == "tool") {
            replied.push(json!({"role": "assistant", "content": REPLY}));
        }
        replied.push(message);
    }
    replied
}

/// Marks the end of a prefix that Claude models shall cache.
fn mark(target: Option<&mut Value>) {
    if let Some(Value::Object(fields)) = target {
        fields.insert("cache_control".to_owned(), json!({"type": "ephemeral"}));
    }
}

/// Tool messages cannot hold images, so those follow the results as what a user shows.
fn images_message(images: &mut Vec<String>) -> Option<Value> {
    if images.is_empty() {
        return None;
    }
    let mut parts = vec![json!({"type": "text", "text": "Images from the tool results above:"})];
    parts.extend(images.drain(..).map(|url| image(&url)));
    Some(json!({"role": "user", "content": parts}))
}

fn images_of(content: &[Content]) -> impl Iterator<Item = String> {
    content.iter().flat_map(|part| match part {
        Content::Text { .. } => Vec::new(),
        Content::Image { image_urls, .. } => image_urls.clone(),
    })
}

fn image(url: &str) -> Value {
    json!({"type": "image_url", "image_url": {"url": url}})
}

/// Messages as a model takes them.
struct Style<'a>(&'a Route);

impl Style<'_> {
    fn message(&self, message: &ModelMessage) -> Value {
        match message {
            ModelMessage::System(content) | ModelMessage::User(content) => {
                json!({"role": message.role(), "content": self.parts_or_text(content)})
            }
            ModelMessage::Assistant(said) => assistant::message(said, self.0),
            ModelMessage::ToolResult {
                call_id,
                tool,
                content,
            } => json!({
                "role": "tool",
                "content": self.text_if_possible(content),
                "tool_call_id": call_id,
                "name": tool,
            }),
        }
    }

    /// A list of parts; a string where the provider wants one and there is only text.
    fn parts_or_text(&self, content: &[Content]) -> Value {
        let mut parts = Vec::new();
        for part in content {
            match part {
                // Providers refuse blank parts; a message must keep one all the same.
                Content::Text { text, .. } if text.trim().is_empty() => {}
                Content::Text { text, .. } => parts.push(json!({"type": "text", "text": text})),
                Content::Image { image_urls, .. } if self.0.capabilities.takes_images() => {
                    parts.extend(image_urls.iter().map(|url| image(url)));
                }
                Content::Image { .. } => {
                    parts.push(json!({"type": "text", "text": NOT_SHOWN}));
                }
            }
        }
        let only_text = parts.iter().all(|part| part["type"] == "text");
        if parts.is_empty() || (self.0.capabilities.plain_content && only_text) {
            return Value::String(self.text(content));
        }
        Value::Array(parts)
    }

    /// A string for a single text, as every provider takes it; otherwise a list. Images have no place
    /// in a tool's result: see [`images_message`].
    fn text_if_possible(&self, content: &[Content]) -> Value {
        if self.0.capabilities.plain_content || content.len() <= 1 {
            return Value::String(self.text(content));
        }
        let texts = content.iter().map(|part| self.text_of(part));
        let parts: Vec<Value> = texts
            .filter(|text| !text.is_empty())
            .map(|text| json!({"type": "text", "text": text}))
            .collect();
        if parts.is_empty() {
            return Value::String(String::new());
        }
        Value::Array(parts)
    }

    fn text(&self, content: &[Content]) -> String {
        let texts = content.iter().map(|part| self.text_of(part));
        texts.collect::<Vec<_>>().join("\n")
    }

    fn text_of<'a>(&self, part: &'a Content) -> &'a str {
        match part {
            Content::Text { text, .. } => text,
            Content::Image { .. } if self.0.capabilities.takes_images() => SHOWN_BELOW,
            Content::Image { .. } => NOT_SHOWN,
        }
    }
}
