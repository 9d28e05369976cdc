use core_model::usage::TokenUsage;
use serde_json::Value;

use super::call::CallPiece;
use crate::answer::{error_in, text_in};
use crate::format::RawReply;
use crate::{Block, ModelError, StopReason};

/// What an answer holds, in one piece or put together from chunks.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ChatReply {
    pub(super) id: String,
    pub(super) text: String,
    pub(super) reasoning: String,
    pub(super) calls: Vec<CallPiece>,
    /// Empty until the provider says why it stopped.
    pub(super) finish_reason: String,
    pub(super) usage: Value,
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
    let message = &answer["choices"][0]["message"];
    if !message.is_object() {
        let lost = "the answer has no message".to_owned();
        return Err(ModelError::NoResponse(lost));
    }
    let mut calls: Vec<CallPiece> = match message["tool_calls"].as_array() {
        Some(calls) => calls.iter().map(CallPiece::read).collect(),
        None => Vec::new(),
    };
    if calls.is_empty() && message["function_call"].is_object() {
        calls.push(CallPiece::read(message));
    }
    let reply = ChatReply {
        id: text_in(&answer["id"]),
        text: said(message),
        reasoning: reasoning_in(message),
        calls,
        finish_reason: text_in(&answer["choices"][0]["finish_reason"]),
        usage: answer["usage"].clone(),
    };
    Ok(reply.into())
}

impl From<ChatReply> for RawReply {
    fn from(reply: ChatReply) -> Self {
        let mut blocks = Vec::new();
        if !reply.reasoning.is_empty() {
            blocks.push(Block::reasoning(reply.reasoning));
        }
        if !reply.text.is_empty() {
            blocks.push(Block::text(reply.text));
        }
        blocks.extend(reply.calls.into_iter().map(CallPiece::into_block));
        Self {
            id: reply.id,
            blocks,
            stop: stop_reason(&reply.finish_reason),
            usage: usage(&reply.usage),
            stated_cost: reply.usage["cost"].as_f64(),
        }
    }
}

fn stop_reason(reason: &str) -> StopReason {
    match reason {
        "" | "stop" | "tool_calls" | "function_call" | "eos" | "end_turn" => StopReason::Done,
        "length" | "max_tokens" => StopReason::Length,
        "model_context_window_exceeded" => StopReason::ContextWindow,
        "content_filter" => StopReason::ContentFilter,
        "refusal" => StopReason::Refusal,
        other => StopReason::Other(other.to_owned()),
    }
}

fn usage(value: &Value) -> TokenUsage {
    let first = |paths: &[&str]| {
        let found = paths.iter().find_map(|path| value.pointer(path)?.as_u64());
        found.unwrap_or(0)
    };
    TokenUsage {
        prompt_tokens: first(&["/prompt_tokens"]),
        completion_tokens: first(&["/completion_tokens"]),
        cache_read_tokens: first(&[
            "/prompt_tokens_details/cached_tokens",
            "/cache_read_input_tokens",
            "/prompt_cache_hit_tokens",
        ]),
        cache_write_tokens: first(&[
            "/cache_creation_input_tokens",
            "/prompt_tokens_details/cache_creation_tokens",
            "/prompt_tokens_details/cache_write_tokens",
        ]),
        reasoning_tokens: first(&["/completion_tokens_details/reasoning_tokens"]),
        ..TokenUsage::default()
    }
}

/// What a message or delta says: a string, or a list of parts; else why it refuses.
pub(super) fn said(message: &Value) -> String {
    let content = &message["content"];
    let text = match content.as_array() {
        Some(parts) => parts.iter().map(|part| text_in(&part["text"])).collect(),
        None => text_in(content),
    };
    if text.is_empty() {
        return text_in(&message["refusal"]);
    }
    text
}

pub(super) fn reasoning_in(message: &Value) -> String {
    let named = [&message["reasoning_content"], &message["reasoning"]];
    let text = named.into_iter().find_map(Value::as_str);
    text.unwrap_or_default().to_owned()
}
