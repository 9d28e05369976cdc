use std::sync::Arc;

use core_model::Content;
use serde_json::{Value, json};

use super::items_back;
use crate::call_ids::CallIds;
use crate::{ModelMessage, format::ListPart, provider::Route};

const NOT_SHOWN: &str = "[An image was left out: vision is disabled.]";
const NO_RESULT: &str = "[No result of this call was recorded.]";
const BETWEEN_INSTRUCTIONS: &str = "\n\n";

/// The system messages before anything else; None when there are none.
pub(super) fn instructions(messages: &[Arc<ModelMessage>]) -> Option<String> {
    let system = messages.iter().map_while(|message| match message.as_ref() {
        ModelMessage::System(content) => Some(text(content, BETWEEN_INSTRUCTIONS)),
        ModelMessage::User(_) | ModelMessage::Assistant(_) | ModelMessage::ToolResult { .. } => {
            None
        }
    });
    let system = system.collect::<Vec<_>>().join(BETWEEN_INSTRUCTIONS);
    Some(system).filter(|system| !system.trim().is_empty())
}

/// A part of a conversation as a Responses request takes it, without its [`instructions`].
pub(super) fn items(route: &Route, part: &ListPart<'_>) -> Vec<Value> {
    let mut builder = Items {
        route,
        ids: CallIds::default(),
        items: Vec::new(),
    };
    let is_instruction =
        |message: &&Arc<ModelMessage>| matches!(message.as_ref(), ModelMessage::System(_));
    let instructions = part.messages.iter().take_while(is_instruction);
    let before = if part.is_first {
        instructions.count()
    } else {
        0
    };
    for message in &part.messages[before..] {
        builder.add(message);
    }
    builder.answer_open_calls();
    builder.items
}

struct Items<'a> {
    route: &'a Route,
    ids: CallIds,
    items: Vec<Value>,
}

impl Items<'_> {
    fn add(&mut self, message: &ModelMessage) {
        let vision = self.route.capabilities.takes_images();
        match message {
            // Only users show images.
            ModelMessage::System(content) => self.say("system", parts(content, false)),
            ModelMessage::User(content) => self.say("user", parts(content, vision)),
            ModelMessage::Assistant(said) => {
                self.answer_open_calls();
                let items = items_back::items(said, &self.route.made_by, &mut self.ids);
                self.items.extend(items);
            }
            ModelMessage::ToolResult {
                call_id,
                tool,
                content,
            } => match self.ids.result(call_id) {
                Some(id) => self.answer(&id, output(content, vision)),
                // Its call is not in the conversation any more.
                None => {
                    let mut said = vec![input_text(&format!("[A result of the tool {tool}:]"))];
                    said.extend(parts(content, vision));
                    self.say("user", said);
                }
            },
        }
    }

    fn say(&mut self, role: &str, content: Vec<Value>) {
        self.items.push(json!({"role": role, "content": content}));
    }

    fn answer(&mut self, call_id: &str, output: Value) {
        let result = json!({
            "type": "function_call_output",
            "call_id": call_id,
            "output": output,
        });
        self.items.push(result);
    }

    /// No call may be without a result.
    fn answer_open_calls(&mut self) {
        for id in self.ids.unanswered() {
            self.answer(&id, json!(NO_RESULT));
        }
    }
}

fn text(content: &[Content], between: &str) -> String {
    let texts: Vec<&str> = content.iter().map(text_of_part).collect();
    texts.join(between)
}

fn text_of_part(part: &Content) -> &str {
    match part {
        Content::Text { text, .. } => text,
        Content::Image { .. } => NOT_SHOWN,
    }
}

/// What a message holds. Providers refuse blank parts; a message must keep one all the same.
fn parts(content: &[Content], vision: bool) -> Vec<Value> {
    let blank =
        |part: &&Content| matches!(part, Content::Text { text, .. } if text.trim().is_empty());
    let said = content.iter().filter(|part| !blank(part));
    let parts: Vec<Value> = said.flat_map(|part| part_values(part, vision)).collect();
    if parts.is_empty() {
        return vec![input_text(&text(content, "\n"))];
    }
    parts
}

/// A tool's result: a string, as every server takes it, or a list when there are images in it.
fn output(content: &[Content], vision: bool) -> Value {
    let has_images = content
        .iter()
        .any(|part| matches!(part, Content::Image { .. }));
    if vision && has_images {
        return Value::Array(parts(content, vision));
    }
    Value::String(text(content, "\n"))
}

fn part_values(part: &Content, vision: bool) -> Vec<Value> {
    match part {
        Content::Image { image_urls, .. } if vision => image_urls
            .iter()
            .map(|url| json!({"type": "input_image", "image_url": url, "detail": "auto"}))
            .collect(),
        Content::Text { .. } | Content::Image { .. } => vec![input_text(text_of_part(part))],
    }
}

fn input_text(text: &str) -> Value {
    json!({"type": "input_text", "text": text})
}
