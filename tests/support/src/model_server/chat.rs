//! OpenAI's Chat Completions.

mod check;
mod messages;
mod reply;
mod rules_of_some;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use super::render::{Answer, Refusal, event};
use super::said::Said;

pub(super) use check::RULES;

pub(super) const OVERFLOW: &str = "This model's maximum context length is 128000 tokens. However, your messages resulted \
     in 130000 tokens. Please reduce the length of the messages.";

pub(super) fn answer(said: &Said, asked: &Value) -> Answer {
    reply::answer(said, asked)
}

/// OpenRouter's error, which has status 200 once it has begun to answer.
pub(super) fn failure(failure: &Refusal) -> (Value, String) {
    let raw = json!({"error": {"message": failure.message}}).to_string();
    let metadata = json!({"provider_name": "Fake", "raw": raw});
    let whole = json!({"error": {"code": failure.status, "message": "Provider returned error",
                                 "metadata": metadata}});
    let choice = json!({"index": 0, "delta": {"content": ""}, "finish_reason": "error"});
    let mut last = whole.clone();
    last["object"] = json!("chat.completion.chunk");
    last["choices"] = json!([choice]);
    (whole, event(&last.to_string()))
}

/// OpenAI's error object.
pub(super) fn refusal(refusal: &Refusal) -> Value {
    let kind = match refusal.status {
        400 => "invalid_request_error",
        401 => "authentication_error",
        429 => "rate_limit_error",
        _ => "server_error",
    };
    json!({"error": {"message": refusal.message, "type": kind, "param": null, "code": refusal.code}})
}
