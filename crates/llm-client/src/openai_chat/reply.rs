use core_model::{MessageToolCall, masking::SecretMask, message::CallOrigin, usage::TokenUsage};
use serde_json::Value;
use uuid::Uuid;

use crate::{ModelError, ModelReply};

/// How much is quoted of an answer that is no JSON, and in how many bytes of it secrets are looked for
/// before.
const QUOTED_CHARS: usize = 200;
const LOOKED_THROUGH: usize = 16 * 1024;

/// What a provider answered, in one piece or assembled from chunks, before it is accounted for.
#[derive(Debug, Default, PartialEq)]
pub(super) struct RawReply {
    pub(super) id: String,
    pub(super) text: String,
    pub(super) reasoning: String,
    pub(super) calls: Vec<RawCall>,
    pub(super) usage: Value,
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct RawCall {
    /// Which of a streamed reply's calls this is.
    pub(super) index: Option<u64>,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) arguments: String,
}

/// Reads a whole Chat Completions answer. `mask` hides secrets in what is quoted of it.
///
/// # Errors
/// The provider's own, when the body is an error object; [`ModelError::NoResponse`] when it is
/// neither that nor a reply.
pub(super) fn parse(body: &[u8], mask: &SecretMask) -> Result<RawReply, ModelError> {
    let value: Value = serde_json::from_slice(body).map_err(|_| {
        // Hidden before it is cut: half a secret cannot be told from other text.
        let start = String::from_utf8_lossy(&body[..body.len().min(LOOKED_THROUGH + 1)]);
        let start = mask.mask_up_to(&start, LOOKED_THROUGH);
        let start: String = start.chars().take(QUOTED_CHARS).collect();
        ModelError::NoResponse(format!("the answer is not JSON and starts with {start:?}"))
    })?;
    if let Some(error) = error_in(&value) {
        return Err(error);
    }
    let choice = &value["choices"][0];
    let message = &choice["message"];
    if !message.is_object() {
        let lost = "the answer has no message".to_owned();
        return Err(ModelError::NoResponse(lost));
    }
    let mut calls: Vec<RawCall> = match message["tool_calls"].as_array() {
        Some(calls) => calls.iter().map(call).collect(),
        None => Vec::new(),
    };
    if calls.is_empty() && message["function_call"].is_object() {
        calls.push(call(message));
    }
    Ok(RawReply {
        id: text_of(&value["id"]),
        text: said(message),
        reasoning: reasoning_in(message),
        calls,
        usage: value["usage"].clone(),
    })
}

impl RawReply {
    /// Fills in what the provider left out: ids, empty arguments, token counts.
    ///
    /// # Errors
    /// [`ModelError::NoResponse`] when a tool call has no name.
    pub(super) fn complete(self, model: &str, window: u64) -> Result<ModelReply, ModelError> {
        let mut tool_calls: Vec<MessageToolCall> = Vec::with_capacity(self.calls.len());
        for call in self.calls {
            if call.name.is_empty() {
                let lost = "a tool call has no name".to_owned();
                return Err(ModelError::NoResponse(lost));
            }
            let taken = tool_calls.iter().any(|earlier| earlier.id == call.id);
            let id = match call.id.is_empty() || taken {
                true => format!("call_{}", Uuid::new_v4().simple()),
                false => call.id,
            };
            let arguments = match call.arguments.trim() {
                "" | "null" => "{}".to_owned(),
                _ => call.arguments,
            };
            tool_calls.push(MessageToolCall {
                id,
                responses_item_id: None,
                name: call.name,
                arguments,
                origin: CallOrigin::Completion,
            });
        }
        let id = match self.id.is_empty() {
            true => format!("chatcmpl-{}", Uuid::new_v4().simple()),
            false => self.id,
        };
        Ok(ModelReply {
            usage: usage(&self.usage, model, window, &id),
            id,
            text: self.text,
            reasoning: Some(self.reasoning).filter(|text| !text.is_empty()),
            tool_calls,
            cost: None,
        })
    }

    /// What the provider itself says the call cost, in US dollars.
    pub(super) fn stated_cost(&self) -> Option<f64> {
        self.usage["cost"].as_f64()
    }
}

/// The failure that an answer with status 200 may hold all the same.
pub(super) fn error_in(value: &Value) -> Option<ModelError> {
    let error = [&value["error"], &value["choices"][0]["error"]]
        .into_iter()
        .find(|error| error.is_object() || error.as_str().is_some_and(|text| !text.is_empty()))?;
    let kind = format!("{} {}", text_of(&error["type"]), text_of(&error["code"])).to_lowercase();
    let number = error["code"].as_u64().or(error["status"].as_u64());
    let status = match number.and_then(|code| u16::try_from(code).ok()) {
        Some(code @ 400..=599) => code,
        _ if kind.contains("rate_limit") => 429,
        _ if kind.contains("insufficient_quota") => 402,
        _ if kind.contains("authentication") || kind.contains("api_key") => 401,
        _ if kind.contains("invalid") || kind.contains("context_length") => 400,
        _ => 503,
    };
    Some(ModelError::from_whole(status, &message_in(value), None))
}

/// A provider's words out of an error body, whatever its shape.
pub(super) fn message_in(value: &Value) -> String {
    let spoken = [
        &value["error"]["message"],
        &value["choices"][0]["error"]["message"],
        &value["message"],
        &value["detail"],
        &value["error"],
    ];
    let message = spoken.into_iter().find_map(Value::as_str);
    let code = value["error"]["code"].as_str().unwrap_or_default();
    match message {
        Some(message) if code.is_empty() || message.contains(code) => message.to_owned(),
        Some(message) => format!("{message} ({code})"),
        None => value.to_string(),
    }
}

/// What a message or delta says: a string, or a list of parts; else why it refuses to.
pub(super) fn said(message: &Value) -> String {
    let content = &message["content"];
    let text = match content.as_array() {
        Some(parts) => parts.iter().map(|part| text_of(&part["text"])).collect(),
        None => text_of(content),
    };
    match text.is_empty() {
        true => text_of(&message["refusal"]),
        false => text,
    }
}

pub(super) fn reasoning_in(message: &Value) -> String {
    let named = [&message["reasoning_content"], &message["reasoning"]];
    let text = named.into_iter().find_map(Value::as_str);
    text.unwrap_or_default().to_owned()
}

/// A tool call, whole or a piece of it, in today's or in the legacy form.
pub(super) fn call(value: &Value) -> RawCall {
    let named = [&value["function"], &value["function_call"]];
    let function = named.into_iter().find(|function| function.is_object());
    let function = function.unwrap_or(&Value::Null);
    let arguments = &function["arguments"];
    RawCall {
        index: value["index"].as_u64(),
        id: text_of(&value["id"]),
        name: text_of(&function["name"]),
        arguments: match arguments.as_str() {
            Some(text) => text.to_owned(),
            None if arguments.is_null() => String::new(),
            // Some servers send the object itself.
            None => arguments.to_string(),
        },
    }
}

fn usage(value: &Value, model: &str, window: u64, response_id: &str) -> TokenUsage {
    let first = |paths: &[&str]| {
        let found = paths.iter().find_map(|path| value.pointer(path)?.as_u64());
        found.unwrap_or(0)
    };
    let prompt_tokens = first(&["/prompt_tokens"]);
    let completion_tokens = first(&["/completion_tokens"]);
    TokenUsage {
        model: model.to_owned(),
        prompt_tokens,
        completion_tokens,
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
        context_window: window,
        per_turn_token: prompt_tokens.saturating_add(completion_tokens),
        response_id: response_id.to_owned(),
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
