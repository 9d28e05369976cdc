use core_model::usage::TokenUsage;
use serde_json::{Map, Value, json};

use super::assistant::{EXTRA_CONTENT, REASONING_DETAILS, REASONING_TEXT};
use super::call::CallPiece;
use super::details;
use super::thoughts::{Split, ThoughtSplitter, split_unopened};
use crate::answer::{error_in, text_in};
use crate::format::RawReply;
use crate::{Block, ModelError, StopReason};

/// What an answer holds, in one piece or put together from chunks.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ChatReply {
    pub(super) id: String,
    pub(super) text: String,
    pub(super) reasoning: String,
    /// Whether thoughts came in the field in which they go back.
    pub(super) reasoning_goes_back: bool,
    pub(super) reasoning_details: Vec<Value>,
    /// What the provider wants back with the text; null if nothing.
    pub(super) extra: Value,
    /// It refuses, in the words of its text.
    pub(super) refuses: bool,
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
    let mut reply = ChatReply {
        id: text_in(&answer["id"]),
        calls,
        finish_reason: text_in(&answer["choices"][0]["finish_reason"]),
        usage: answer["usage"].clone(),
        ..ChatReply::default()
    };
    let mut splitter = ThoughtSplitter::default();
    let told = [reply.add(message, &mut splitter), splitter.finish()];
    for split in told {
        reply.reasoning.push_str(&split.thoughts);
        reply.text.push_str(&split.said);
    }
    Ok(reply.into())
}

impl ChatReply {
    /// Takes in what a message, or a piece of one, adds beside calls. What it thinks and says is returned:
    /// not all of it may be clear yet.
    pub(super) fn add(&mut self, message: &Value, splitter: &mut ThoughtSplitter) -> Split {
        let mut split = splitter.push(&said(message));
        let reasoning = reasoning_in(message);
        self.reasoning_goes_back |= message[REASONING_TEXT].is_string() && !reasoning.is_empty();
        split.thoughts.insert_str(0, &reasoning);
        details::join(&mut self.reasoning_details, &message[REASONING_DETAILS]);
        if !message[EXTRA_CONTENT].is_null() {
            self.extra = message[EXTRA_CONTENT].clone();
        }
        self.refuses |= !text_in(&message["refusal"]).is_empty();
        split
    }

    /// What the provider wants back with the thoughts.
    fn reasoning_state(&self) -> Option<Value> {
        let mut state = Map::new();
        if self.reasoning_goes_back {
            state.insert("field".to_owned(), json!(REASONING_TEXT));
        }
        if !self.reasoning_details.is_empty() {
            let details = json!(self.reasoning_details);
            state.insert(REASONING_DETAILS.to_owned(), details);
        }
        (!state.is_empty()).then_some(Value::Object(state))
    }
}

impl From<ChatReply> for RawReply {
    fn from(mut reply: ChatReply) -> Self {
        if reply.reasoning.is_empty()
            && let Some(split) = split_unopened(&reply.text)
        {
            reply.reasoning = split.thoughts;
            reply.text = split.said;
        }
        let mut blocks = Vec::new();
        let state = reply.reasoning_state();
        if !reply.reasoning.is_empty() || state.is_some() {
            blocks.push(Block::reasoning(reply.reasoning).with_state(state));
        }
        if !reply.text.is_empty() {
            let extra = reply.extra;
            let state = (!extra.is_null()).then(|| json!({EXTRA_CONTENT: extra}));
            blocks.push(Block::text(reply.text).with_state(state));
        }
        blocks.extend(reply.calls.into_iter().map(CallPiece::into_block));
        let mut stop = stop_reason(&reply.finish_reason);
        if reply.refuses && stop == StopReason::Done {
            stop = StopReason::Refusal;
        }
        Self {
            id: reply.id,
            blocks,
            stop,
            usage: usage(&reply.usage),
            stated_cost: reply.usage["cost"].as_f64(),
        }
    }
}

/// Why it stopped, by the words of many servers.
fn stop_reason(reason: &str) -> StopReason {
    match reason.to_ascii_lowercase().as_str() {
        "" | "stop" | "tool_calls" | "tool_call" | "tool_use" | "function_call" | "eos"
        | "eos_token" | "end_turn" | "end_of_turn" | "stop_sequence" | "complete" | "completed"
        | "null" => StopReason::Done,
        "length" | "max_tokens" | "max_output_tokens" | "max_completion_tokens" => {
            StopReason::Length
        }
        "model_context_window_exceeded" | "model_length" => StopReason::ContextWindow,
        "content_filter" | "content_filtered" | "safety" | "recitation" | "blocklist"
        | "prohibited_content" | "spii" | "sensitive" => StopReason::ContentFilter,
        "refusal" => StopReason::Refusal,
        "pause_turn" => StopReason::Pause,
        _ => StopReason::Other(reason.to_owned()),
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
fn said(message: &Value) -> String {
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

/// What a message or delta thinks: a field of its own, OpenRouter's parts, or Mistral's among what it says.
fn reasoning_in(message: &Value) -> String {
    let named = [&message[REASONING_TEXT], &message["reasoning"]];
    let text = named.into_iter().filter_map(Value::as_str);
    let text = text.filter(|text| !text.is_empty()).collect::<Vec<_>>();
    if let Some(text) = text.first() {
        return (*text).to_owned();
    }
    let details = details::text(&message[REASONING_DETAILS]);
    if !details.is_empty() {
        return details;
    }
    let parts = message["content"].as_array().into_iter().flatten();
    let thoughts = parts.flat_map(|part| part["thinking"].as_array().into_iter().flatten());
    thoughts.map(|part| text_in(&part["text"])).collect()
}
