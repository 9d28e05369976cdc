use core_model::{Content, MessageToolCall};
use serde_json::{Map, Value, json};

use super::images::Images;
use crate::wire_names::legal_name;

/// A text block. Blank ones are refused, so there is none of a blank text.
pub(super) fn text(text: &str) -> Option<Value> {
    let says_something = !text.trim().is_empty();
    says_something.then(|| json!({"type": "text", "text": text}))
}

/// What a user says or a tool gives, as blocks.
pub(super) fn blocks(content: &[Content], images: &mut Images) -> Vec<Value> {
    let mut blocks = Vec::with_capacity(content.len());
    for part in content {
        match part {
            Content::Text { text: said, .. } => blocks.extend(text(said)),
            Content::Image { image_urls, .. } => {
                blocks.extend(image_urls.iter().filter_map(|url| match images.next(url) {
                    Ok(source) => Some(json!({"type": "image", "source": source})),
                    Err(note) => text(note),
                }));
            }
        }
    }
    blocks
}

/// The answer to a call. One without content would leave it open what happened.
pub(super) fn tool_result(call_id: &str, mut content: Vec<Value>) -> Value {
    if content.is_empty() {
        content.extend(text("[no output]"));
    }
    json!({"type": "tool_result", "tool_use_id": call_id, "content": content})
}

/// A call. Arguments that are no object go back in one, because nothing else is taken.
pub(super) fn tool_use(call_id: &str, call: &MessageToolCall) -> Value {
    let input = serde_json::from_str::<Map<String, Value>>(&call.arguments);
    let input = input.map_or_else(|_| json!({"malformed": call.arguments}), Value::Object);
    json!({"type": "tool_use", "id": call_id, "name": legal_name(&call.name), "input": input})
}
