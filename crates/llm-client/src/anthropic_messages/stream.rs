use serde_json::{Map, Value, json};

use super::error::error_in;
use super::reply::{MessagesReply, ReplyBlock};
use crate::format::{Progress, RawReply, StreamReader};
use crate::{Delta, ModelError, model::OnDelta};

/// Puts a streamed reply together from its events.
#[derive(Debug, Default)]
pub(super) struct EventReader {
    reply: MessagesReply,
    /// The numbers of the reply's blocks, in the same order.
    indices: Vec<Option<u64>>,
    /// The provider said that nothing at all follows.
    closed: bool,
}

impl StreamReader for EventReader {
    fn event(&mut self, data: &str, on_delta: OnDelta<'_>) -> Result<(), ModelError> {
        if self.closed {
            return Ok(());
        }
        let data = data.trim();
        // Some proxies end with the mark of Chat Completions.
        let (events, done) = match data.strip_suffix("[DONE]") {
            Some(before) => (before, true),
            None => (data, false),
        };
        for event in serde_json::Deserializer::from_str(events).into_iter::<Value>() {
            let event = event.map_err(|error| {
                ModelError::NoResponse(format!("a streamed event is not JSON: {error}"))
            })?;
            self.read(&event, on_delta)?;
        }
        self.closed |= done;
        Ok(())
    }

    fn progress(&self) -> Progress {
        if self.closed {
            Progress::Closed
        } else if self.reply.stop_reason.is_empty() {
            Progress::Partial
        } else {
            Progress::Whole
        }
    }

    fn finish(self: Box<Self>) -> RawReply {
        self.reply.into()
    }
}

impl EventReader {
    fn read(&mut self, event: &Value, on_delta: OnDelta<'_>) -> Result<(), ModelError> {
        if let Some(error) = error_in(event) {
            return Err(error);
        }
        match event["type"].as_str().unwrap_or_default() {
            "message_start" => {
                let message = &event["message"];
                let id = message["id"].as_str().unwrap_or_default();
                id.clone_into(&mut self.reply.id);
                self.reply.usage.take(&message["usage"]);
            }
            "content_block_start" => {
                let block = event["content_block"].clone();
                self.begin(event["index"].as_u64(), block, on_delta);
            }
            "content_block_delta" => {
                self.extend(event["index"].as_u64(), &event["delta"], on_delta);
            }
            "message_delta" => {
                self.reply.usage.take(&event["usage"]);
                self.reply.stopped(&event["delta"]);
            }
            "message_stop" => self.closed = true,
            // `ping`, `content_block_stop`, and whatever will be added.
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, index: Option<u64>, value: Value, on_delta: OnDelta<'_>) {
        hear(value["text"].as_str(), Delta::Text, on_delta);
        hear(value["thinking"].as_str(), Delta::Reasoning, on_delta);
        self.indices.push(index);
        self.reply.blocks.push(ReplyBlock {
            value,
            arguments: String::new(),
        });
    }

    fn extend(&mut self, index: Option<u64>, delta: &Value, on_delta: OnDelta<'_>) {
        let (kind, field) = match delta["type"].as_str().unwrap_or_default() {
            "text_delta" => ("text", "text"),
            "thinking_delta" => ("thinking", "thinking"),
            "signature_delta" => ("thinking", "signature"),
            "input_json_delta" => ("tool_use", "partial_json"),
            _ => return,
        };
        let piece = delta[field].as_str().unwrap_or_default();
        match field {
            "text" => hear(Some(piece), Delta::Text, on_delta),
            "thinking" => hear(Some(piece), Delta::Reasoning, on_delta),
            _ => {}
        }
        let at = self.indices.iter().rposition(|open| *open == index);
        let at = at.unwrap_or_else(|| {
            self.begin(index, json!({"type": kind}), on_delta);
            self.indices.len() - 1
        });
        let block = &mut self.reply.blocks[at];
        if field == "partial_json" {
            block.arguments.push_str(piece);
        } else if let Value::Object(fields) = &mut block.value {
            append(fields, field, piece);
        }
    }
}

fn hear(piece: Option<&str>, delta: fn(String) -> Delta, on_delta: OnDelta<'_>) {
    if let Some(piece) = piece.filter(|piece| !piece.is_empty()) {
        on_delta(delta(piece.to_owned()));
    }
}

fn append(fields: &mut Map<String, Value>, name: &str, piece: &str) {
    match fields.get_mut(name) {
        Some(Value::String(text)) => text.push_str(piece),
        _ => {
            fields.insert(name.to_owned(), json!(piece));
        }
    }
}
