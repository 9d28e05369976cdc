use core_model::MessageToolCall;
use serde_json::Value;

use super::error::error_in;
use super::usage::Usage;
use crate::format::RawReply;
use crate::{Block, ModelError, StopReason};

/// What an answer holds, in one piece or put together from events.
#[derive(Debug, Default, PartialEq)]
pub(super) struct MessagesReply {
    pub(super) id: String,
    pub(super) blocks: Vec<ReplyBlock>,
    /// Empty until the provider says why it stopped.
    pub(super) stop_reason: String,
    /// Why it refused, in words for the user.
    pub(super) explanation: String,
    pub(super) usage: Usage,
}

/// One content block.
#[derive(Debug, PartialEq)]
pub(super) struct ReplyBlock {
    /// The block as the provider gives it, except for the arguments of a call that is streamed.
    pub(super) value: Value,
    /// JSON text of a streamed call's arguments; empty when they are in the value.
    pub(super) arguments: String,
}

/// Reads an answer that came in one piece.
///
/// # Errors
/// The provider's own, when the answer is an error object; [`ModelError::NoResponse`] when it is
/// neither that nor a reply.
pub(super) fn read(answer: &Value) -> Result<RawReply, ModelError> {
    if let Some(error) = error_in(answer) {
        return Err(error);
    }
    let Some(content) = answer["content"].as_array() else {
        let lost = "the answer has no content".to_owned();
        return Err(ModelError::NoResponse(lost));
    };
    let mut reply = MessagesReply {
        id: text_in(&answer["id"]),
        ..MessagesReply::default()
    };
    reply.blocks.extend(content.iter().map(|value| ReplyBlock {
        value: value.clone(),
        arguments: String::new(),
    }));
    reply.usage.take(&answer["usage"]);
    reply.stopped(answer);
    Ok(reply.into())
}

impl MessagesReply {
    /// Takes the reason for which the model stopped, if there is one.
    pub(super) fn stopped(&mut self, message: &Value) {
        if let Some(reason) = message["stop_reason"].as_str() {
            reason.clone_into(&mut self.stop_reason);
        }
        if let Some(explanation) = message["stop_details"]["explanation"].as_str() {
            explanation.clone_into(&mut self.explanation);
        }
    }
}

impl From<MessagesReply> for RawReply {
    fn from(reply: MessagesReply) -> Self {
        let blocks = reply.blocks.into_iter();
        let mut blocks: Vec<Block> = blocks.filter_map(ReplyBlock::into_block).collect();
        if blocks.is_empty() && !reply.explanation.is_empty() {
            blocks.push(Block::text(reply.explanation));
        }
        Self {
            id: reply.id,
            blocks,
            stop: stop_reason(&reply.stop_reason),
            usage: reply.usage.into(),
            stated_cost: None,
        }
    }
}

impl ReplyBlock {
    /// None of a block that is empty, or of a kind which this build does not ask for.
    fn into_block(self) -> Option<Block> {
        let value = self.value;
        match value["type"].as_str().unwrap_or_default() {
            "text" => Some(text_in(&value["text"]))
                .filter(|text| !text.is_empty())
                .map(Block::text),
            "thinking" => {
                let text = text_in(&value["thinking"]);
                let signed = !text_in(&value["signature"]).is_empty();
                let block = Block::reasoning(text.as_str()).with_state(signed.then_some(value));
                (signed || !text.is_empty()).then_some(block)
            }
            "redacted_thinking" => Some(Block::reasoning("").with_state(Some(value))),
            "tool_use" => {
                let input = &value["input"];
                let arguments = match input.as_str() {
                    _ if !self.arguments.is_empty() => self.arguments,
                    Some(text) => text.to_owned(),
                    None if input.is_null() => String::new(),
                    None => input.to_string(),
                };
                let (id, name) = (text_in(&value["id"]), text_in(&value["name"]));
                Some(Block::call(MessageToolCall::new(id, name, arguments)))
            }
            _ => None,
        }
    }
}

fn stop_reason(reason: &str) -> StopReason {
    match reason {
        "" | "end_turn" | "tool_use" | "stop_sequence" => StopReason::Done,
        "max_tokens" => StopReason::Length,
        "model_context_window_exceeded" => StopReason::ContextWindow,
        "pause_turn" => StopReason::Pause,
        "refusal" => StopReason::Refusal,
        other => StopReason::Other(other.to_owned()),
    }
}

fn text_in(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
